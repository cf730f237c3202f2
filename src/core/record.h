/*
 * core/record.h - what is to be written into the log about one delivery.
 *
 * Made by the scheduler, written by whoever has the tables, and given back to
 * the scheduler with its fate. Until then it is the only trace of an outcome.
 */
#ifndef BMW_CORE_RECORD_H
#define BMW_CORE_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "core/http.h"
#include "core/uuid.h"

/* As next_attempt_us: it waits for an earlier event of its message. */
#define BMW_HELD_BACK INT64_MAX

typedef enum BmwDeliveryStatus
{
	BMW_PENDING,
	BMW_DELIVERED,
	BMW_FAILED,
	BMW_CANCELED
} BmwDeliveryStatus;

typedef enum BmwRecordFate
{
	BMW_RECORD_UNTRIED,
	BMW_RECORD_WRITTEN,
	BMW_RECORD_OVERTAKEN, /* written; but the row was changed since it was fetched, and keeps its due time */
	BMW_RECORD_STUCK,	 /* somebody has locked it, or nothing of it can be written: try again */
	BMW_RECORD_SET_ASIDE /* the log refuses it; it is kept elsewhere, for a person to look at */
} BmwRecordFate;

typedef struct BmwRecord
{
	BmwUuid event_id;
	int64_t endpoint_id;
	BmwDeliveryStatus status;
	bool has_row;			/* a row exists: change it, else insert one */
	bool is_failed_attempt; /* goes into the table of failed attempts as well */
	bool is_exhausted;		/* given up: tell whose endpoint it is */
	char *application; /* of the endpoint, then; malloc'd text or NULL; the scheduler frees it */
	int attempts;
	int64_t fetched_due_us;	  /* next_attempt of the row when it was fetched; BMW_HELD_BACK */
	int64_t next_attempt_us;  /* 0: none; BMW_HELD_BACK */
	int64_t first_attempt_us; /* 0: none */
	int64_t last_attempt_us;  /* 0: none */
	int http_status;		  /* 0: none */
	const char *error_class;  /* constant or NULL */
	char *error;			  /* malloc'd text or NULL; the scheduler frees it */
	char *response;			  /* likewise */
	BmwHttpTimes times;
	bool is_locked;		 /* the writer's: its row was skipped by the attempt at hand */
	int64_t kept_due_us; /* the writer's: of the row, when it is OVERTAKEN */
	BmwRecordFate fate;	 /* of the last attempt to write it */
	struct BmwDelivery *delivery;
} BmwRecord;

#endif
