/*
 * pg/dispatch/store.h - every SQL statement of the dispatcher.
 *
 * All functions run inside bmw_transaction_run() and may ereport. Times are
 * Unix microseconds. Texts handed to a callback are UTF-8 and live until it
 * returns.
 */
#ifndef BMW_PG_DISPATCH_STORE_H
#define BMW_PG_DISPATCH_STORE_H

#include "postgres.h"

#include "core/event.h"
#include "core/route.h"
#include "core/scheduler.h"
#include "nodes/pg_list.h"
#include "pg/sql/sql_row.h"
#include "utils/jsonpath.h"
#include "utils/timestamp.h"

/*
 * Of a delivery d: it is not one whose outcome is known, but could not be
 * written into the log. Those are neither sent nor changed.
 */
#define BMW_NOT_SET_ASIDE                                                                          \
	" NOT EXISTS (SELECT FROM bm_webhook.set_aside s"                                              \
	" WHERE s.event_id = d.event_id AND s.endpoint_id = d.endpoint_id)"

typedef struct BmwEventRow
{
	BmwPosition position;
	BmwRouteEvent route; /* type, application, channel, created, endpoint */
	BmwEventSource source;
} BmwEventRow;

typedef void (*BmwEventRowFn)(const BmwEventRow *row, void *context);

/* fetch: the number of the one that it is of. */
typedef void (*BmwDueRowFn)(int fetch, const BmwDueRow *row, void *context);

typedef struct BmwEndpointRow
{
	int64 id;
	const char *application;
	const char *channel;
	const char *url;
	bool is_enabled;
	int timeout_ms;
	int max_in_flight;
	int rate_limit; /* 0: none */
	int rate_burst;
	int application_rate_limit; /* 0: none */
	int application_rate_burst;
	int application_max_in_flight; /* 0: no limit */
	int64 created_us;
	int64 since_us;			/* events captured before are not for it */
	int64 ttl_us;			/* 0: none */
	bool is_paused;			/* itself, or its application */
	int64 failing_since_us; /* 0: not failing */
	int64
		unverified_us; /* since when it has to prove that its URL is its own; 0: it has, or need not */
	const char **patterns;
	int patterns_length;
	const char **header_names;
	const char **header_values;
	int headers_length;
	int64 *delays_us;
	int delays_length;
	const char **secrets;
	int64 *secrets_expire_us;  /* each; 0: never */
	bool is_sealed;			   /* one of them cannot be decrypted */
	const char *scheme_header; /* of a further signature; NULL: there is none */
	const char *scheme;
	const char *authorities; /* PEM; NULL: the configured ones */
	const char *client;		 /* PEM of a certificate and its key; NULL: none */
	int secrets_length;
	bool is_ordered;		/* by message */
	bool is_thin;			/* gets bodies without data */
	bool is_direct;			/* not through the proxy */
	const JsonPath *filter; /* NULL: none */
} BmwEndpointRow;

typedef void (*BmwEndpointRowFn)(const BmwEndpointRow *row, void *context);

/* An application's patterns of event types that are not sent. */
typedef void (*BmwMutedFn)(const char *application, const char **patterns, int length,
						   void *context);

/* The extension's installed version, NULL when it is not there. Palloc'd. */
extern char *bmw_store_version(void);
/* The OID of the cursor table. */
extern Oid bmw_store_cursor_table(void);

/* The cursor of a shard. Rewrites the table when the number of shards has changed. */
extern void bmw_store_read_cursor(int shard, int shards, BmwSnapshot *snapshot, int64 *since_us);
/* False: somebody has locked the row or the table. */
extern bool bmw_store_write_cursor(int shard, const BmwSnapshot *snapshot, int64 since_us);
extern void bmw_store_current_snapshot(BmwSnapshot *snapshot);
/* The one that is pushed, instead of a new one. */
extern void bmw_store_active_snapshot(BmwSnapshot *snapshot);
/* As a text value. */
extern Datum bmw_store_snapshot_datum(const BmwSnapshot *snapshot);

/*
 * Events with (xid, id) after the position that `now` sees, ascending, at most
 * limit; none with an id below floor. Returns how many.
 */
extern int bmw_store_new_events(const BmwPosition *after, const BmwUuid *floor,
								const BmwSnapshot *now, int limit, BmwEventRowFn fn, void *context);
/* The events of these transactions (ascending), with (xid, id) after the position, ascending. */
extern int bmw_store_events_of(const uint64 *xids, int xids_length, const BmwPosition *after,
							   const BmwUuid *floor, int limit, BmwEventRowFn fn, void *context);

/* For each of these events and its endpoints that have a row. */
typedef void (*BmwDeliveryFn)(const BmwUuid *event_id, int64 endpoint_id, void *context);
extern void bmw_store_existing(const BmwUuid *events, int length, BmwDeliveryFn fn, void *context);

/*
 * For each fetch, one after the other, the endpoint's pending deliveries that are due, oldest first; and when its
 * first one after them is due (PG_INT64_MAX: there is none).
 */
extern void bmw_store_due(const BmwFetch *fetches, int length, int64 *next_due_us, BmwDueRowFn fn,
						  void *context);
/* The heads that have a row. */
extern void bmw_store_heads(const BmwFetch *fetches, int length, BmwDueRowFn fn, void *context);
/*
 * Of these events those that are there and whose data is wanted: its length in bytes is known before it is read.
 * at: where it is among them.
 */
typedef bool (*BmwSizeFn)(int at, int64 size, void *context);
typedef void (*BmwBodyFn)(int at, const BmwEventRow *row, void *context);
extern void bmw_store_bodies(const BmwUuid *events, int length, BmwSizeFn is_wanted, BmwBodyFn fn,
							 void *context);
/* All pending deliveries of these endpoints whose event has a message. */
typedef void (*BmwUnfinishedFn)(int64 endpoint_id, const BmwUuid *event_id, const char *application,
								const char *message_id, void *context);
extern void bmw_store_unfinished(const int64 *ids, int length, BmwUnfinishedFn fn, void *context);
/*
 * Makes due what was held back (what its schedule would not have planned so late), up
 * to limit, but for rows that somebody has locked; calls fn for each, returns how many.
 */
typedef void (*BmwMovedFn)(const BmwUuid *event_id, int64 due_us, void *context);
extern int bmw_store_let_go(int64 endpoint_id, int limit, bool *is_done, BmwMovedFn fn,
							void *context);
extern int bmw_store_clamp(int64 endpoint_id, int limit, bool *is_done, BmwMovedFn fn,
						   void *context);
/*
 * The endpoints with pending deliveries, ascending, from the first after this id on,
 * at most limit: when the first is due (PG_INT64_MAX: all are held back), and, if
 * that is asked, whether one is held back. Returns how many.
 */
typedef void (*BmwWaitingFn)(int64 endpoint_id, int64 due_us, bool has_held, void *context);
extern int bmw_store_waiting(int64 after_id, int limit, bool with_held, BmwWaitingFn fn,
							 void *context);

/*
 * Of what waits, but for what is held back (unless with_held), the oldest event: what is older is not looked at. To be
 * found when the look at all that waits begins; to be forgotten when something may have become due that this process
 * does not know of, or was held back.
 */
extern void bmw_store_find_oldest(bool with_held);
extern void bmw_store_forget_oldest(void);
/* This process lets it wait. */
extern void bmw_store_waits(const BmwUuid *event_id);

/*
 * Can the log be written without waiting for somebody who has locked a table of
 * it? with_partitions: looks at each, not at the parents alone.
 */
extern bool bmw_store_log_is_free(bool with_partitions);
/* Inserts and updates deliveries, inserts failed attempts: one statement each. Sets is_locked, and the fate of what was overtaken. */
extern void bmw_store_record(BmwRecord *records, int length);
/* Keeps a record that the log refuses; cause: in the database's encoding. */
extern void bmw_store_set_aside(const BmwRecord *record, const char *cause, const char *sqlstate);
/*
 * Ends a delivery as failed, and sets it aside. False: it has ended, or is not there any more.
 * has_another: it is not the first one of its endpoint that crashes the dispatcher.
 */
extern bool bmw_store_set_crashed_aside(const BmwUuid *event_id, int64 endpoint_id,
										const char *cause, bool *has_another);

/* Makes a partition ahead; false: there is none to be made, or none that can be. */
extern bool bmw_store_create_partition(void);
/* The names of those that are missing, palloc'd, or NULL. */
extern const char *bmw_store_missing_partitions(void);
/* So many that a plan for all of them costs more than to plan for few of them. */
extern bool bmw_store_has_many_partitions(void);
/* Can endpoints, and what has changed, be read without waiting for somebody who has locked a table? */
extern bool bmw_store_can_read_endpoints(void);
/* Those of these endpoints (ascending, each once) that are there, in this order. */
extern void bmw_store_endpoints(const int64 *ids, int length, BmwEndpointRowFn fn, void *context);
/* The ids of endpoints after this one, ascending, at most limit; returns how many. */
extern int bmw_store_endpoint_ids(int64 after, int limit, int64 *ids);
/* Those of an application, at most limit; returns how many. */
extern int bmw_store_endpoint_ids_of(const char *application, int limit, int64 *ids);
/* Of one application, or of all (NULL) that mute something. */
/* The patterns of event types in a column, but for what can be none. */
extern const char **bmw_store_read_patterns(const BmwSqlRow *row, int column, int *length);
/* Is everything paused? */
extern bool bmw_store_is_paused(void);
/*
 * Why nothing is sent from this database, which may be a copy; '': it may send. waits: is that because adopt() is to be
 * called, and not as it drops what waits?
 */
extern const char *bmw_store_why_not_adopted(bool *waits);
extern void bmw_store_muted(const char *application, BmwMutedFn fn, void *context);

/* Something that a transaction has changed: an endpoint, an application, or (neither) any of them. */
typedef struct BmwChange
{
	bool is_endpoint;
	int64 endpoint_id;
	const char *application;
} BmwChange;

typedef void (*BmwChangeFn)(const BmwChange *change, void *context);

/*
 * Takes a snapshot, and calls fn for what it sees and known does not (when that
 * sees nothing at all, it only takes the snapshot), at most limit; returns how many.
 */
extern int bmw_store_changes(const BmwSnapshot *known, BmwSnapshot *now, int limit, BmwChangeFn fn,
							 void *context);
/*
 * Removes up to limit notes of changes that every dispatcher has read, from the
 * transaction `from` on, which moves on. True: there are more.
 */
extern bool bmw_store_forget_changes(uint64 *from, int limit);
/* Differs when somebody has switched the triggers that note changes. Palloc'd or NULL. */
extern char *bmw_store_triggers(void);
/*
 * Cancels up to limit pending deliveries of an endpoint that is gone, but for
 * rows that somebody has locked; returns how many.
 */
extern int bmw_store_cancel(int64 endpoint_id, const char *reason, int limit, bool *is_done);
/*
 * Sets failing_since (0: NULL). Skips a row that somebody has locked; returns
 * whether it was done or the endpoint does not exist. Emits endpoint.failing, with
 * the class of the last error, if it was not failing, and with 0 endpoint.recovered if it was.
 */
extern bool bmw_store_set_failing(int64 endpoint_id, int64 since_us, const char *error_class);
/* Disables it with a reason and emits endpoint.disabled. Returns likewise. */
extern bool bmw_store_disable(int64 endpoint_id, const char *reason);

/*
 * What came of asking an endpoint for a proof since it has to give one; error: UTF-8, NULL: it has. False: it is
 * asked for another one by now, or its row is locked, and nothing was written.
 */
extern bool bmw_store_verification(int64 endpoint_id, int64 unverified_us, const char *error);

/* Emits webhook.filter_failed; error: in the database's encoding, of the last of so many events. */
extern void bmw_store_filter_failed(int64 endpoint_id, const BmwUuid *event_id, const char *error,
									int64 failures);

/* Each removes so many expired idempotency keys or secrets, and returns how many there were. */
extern int bmw_store_forget_keys(int most);
extern int bmw_store_forget_secrets(int most);

/* Operations that have not ended, at most so many of each application, the oldest of each first, until fn returns false. */
typedef struct BmwOpenOperation
{
	int64 id;
	int64 endpoint_id;
	int64 application; /* a number for each */
	bool is_last;	   /* of so many of its application */
} BmwOpenOperation;
typedef bool (*BmwOperationFn)(const BmwOpenOperation *open, void *context);
extern void bmw_store_operations(int most, BmwOperationFn fn, void *context);
/* False: it does not exist, or has ended. */
typedef struct BmwOperationRow
{
	bool is_cancel;
	bool is_recovery;
	BmwCancellation cancellation; /* of one that is not: the endpoint alone */
	BmwUuid reached;			  /* of a recovery: the last event that it has looked at */
	uint64 xid;					  /* that asked for it */
} BmwOperationRow;
extern bool bmw_store_operation(int64 id, BmwOperationRow *row);
/* How far a step has got, as the dispatcher knows it. */
typedef struct BmwOperationStep
{
	bool is_more_to_come;	  /* of what it is for, some is not in the table yet */
	const BmwUuid *in_memory; /* the endpoint's events that are, of a recovery */
	int in_memory_length;
	bool has_ended;	 /* out */
	bool is_waiting; /* out: nothing can be done now */
} BmwOperationStep;
/* Changes at most so many rows. */
extern void bmw_store_operation_step(int64 id, int length, BmwOperationStep *step);
/* Is it so for all transactions whose events the step of this transaction has looked at, those after this one? */
typedef bool (*BmwTransactionTest)(uint64 xid, const void *context);
extern bool bmw_store_operation_all_of_step(int64 id, const BmwUuid *after, BmwTransactionTest test,
											const void *context);
/* error: in the database's encoding. */
extern void bmw_store_end_operation(int64 id, const char *error);

#endif
