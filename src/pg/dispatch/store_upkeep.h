/*
 * pg/dispatch/store_upkeep.h - the statements by which the log is kept in order: default partitions, retention.
 *
 * What each does is in SQL (sql/parts). All may ereport; retention in seconds, 0 for none.
 */
#ifndef BMW_PG_DISPATCH_STORE_UPKEEP_H
#define BMW_PG_DISPATCH_STORE_UPKEEP_H

#include "postgres.h"

#include "datatype/timestamp.h"

typedef enum BmwTaskKind
{
	BMW_TASK_EMPTY, /* rows of a default partition get one of their own */
	BMW_TASK_DROP,
	BMW_TASK_CLOSE /* autovacuum is to freeze it */
} BmwTaskKind;

typedef struct BmwTask
{
	BmwTaskKind kind;
	NameData log; /* event, delivery or failed_attempt */
	NameData partition;
	TimestampTz since;
	TimestampTz until;
	bool with_waiting;
} BmwTask;

extern bool bmw_store_is_upkeep_due(int retention);
/* What is to be done, in this order. */
extern void bmw_store_upkeep(int retention, void (*fn)(const BmwTask *task, void *context),
							 void *context);
extern void bmw_store_empty_default(const BmwTask *task);
/* Why it stayed, or would; NULL: it is gone, or can go. */
extern const char *bmw_store_drop_partition(const BmwTask *task, bool dry_run);
extern void bmw_store_close_partition(const BmwTask *task);
/* Deletes so many rows of small tables, and returns how many. */
extern int64 bmw_store_forget_expired(int retention, int most);
/* Of what drop_before() was asked for and was seen then. */
extern void bmw_store_end_drops(bool has_failed, const char *seen);
/* Counts one day for reports; false: none is to be counted now. */
extern bool bmw_store_count_day(void);
/* By this transaction so far. */
extern const char *bmw_store_what_is_seen(void);
/* Hands it to the command, in the format jsonl or csv. Nothing happens when it is empty. As a superuser. */
extern void bmw_store_archive(const BmwTask *task, const char *command, const char *format);

#endif
