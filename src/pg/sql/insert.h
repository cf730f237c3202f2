/*
 * pg/sql/insert.h - inserts events, as the role bm_webhook, whoever calls.
 *
 * The caller has made the data as the invoker; only the insert of the finished
 * values runs as the owner of the table.
 */
#ifndef BMW_PG_SQL_INSERT_H
#define BMW_PG_SQL_INSERT_H

#include "postgres.h"
#include "pg/sql/idempotency.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

/* A finished event. Texts are in the database's encoding, NULL where not set. */
typedef struct BmwNewEvent
{
	pg_uuid_t id;	  /* set by bmw_event_store_insert() */
	const char *type; /* a valid event type */
	const char *application;
	const char *channel;
	const char *message_id;
	int64 endpoint_id;	  /* 0: for all that match */
	bool has_occurred_at; /* false: when captured */
	TimestampTz occurred_at;
	bool has_expires_at; /* of an event that is inserted alone */
	TimestampTz expires_at;
	const char *data; /* a JSON object as text, 0-terminated */
} BmwNewEvent;

/*
 * Inserts them in this order, with ids that ascend, and arranges that the
 * dispatcher wakes at commit. Assigns a transaction id. Ereports what an INSERT
 * can (disk full, read-only transaction or standby: 25006). Must not be connected to SPI
 * in a way that the caller relies on: connects and finishes by itself.
 */
extern void bmw_event_store_insert(BmwNewEvent *events, int length);

/*
 * The same for one event, unless there is one under this key already: then false, event->id
 * is that one's, and whether it says the same.
 */
extern bool bmw_event_store_insert_once(BmwNewEvent *event, const BmwIdempotencyKey *key,
										bool *says_the_same);

/* The role bm_webhook, whatever it is called now: the owner of the table. */
extern Oid bmw_event_store_owner(void);

/* The endpoint that an event is for. */
typedef struct BmwEventEndpoint
{
	bool is_enabled;
	char *application; /* NULL: it serves all */
} BmwEventEndpoint;

/*
 * Does the caller have such an endpoint? Asked as the role bm_webhook, so that row-level security and
 * rights do not matter.
 */
extern bool bmw_event_store_find_endpoint(int64 endpoint_id, BmwEventEndpoint *endpoint);

#endif
