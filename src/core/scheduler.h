/*
 * core/scheduler.h - where each delivery is, and what is to be done next.
 *
 * Owns the lanes, the order of messages, every delivery in memory from the
 * moment it is taken or fetched until what became of it has been written, the
 * bytes of their bodies, the records that wait to be written, and the passes of
 * intake. Says what is to be done and never does it: no SQL, no network, no
 * clock, no randomness. The clerks of a dispatcher do it and tell the result:
 *
 *   endpoints  wants_endpoints, set_endpoint .., remove_endpoint .., endpoints_read; next_unlearnt
 *   intake     wants_events, begin_pass, next_chunk, take .., end_chunk
 *   fetch      rows_are_due; wants_rows; begin_look, end_look; next_fetch, offer .., load .., end_fetch
 *   send       next_request, not_started | ended; wants_abort, is_unwanted
 *   record     due_records, records_done; durable; due_cursor; next_errand, errand_done
 *
 *             take                next_request          ended             records_done
 *   (event) ───────▶ queued ──────────────────▶ in flight ─────▶ recorded ──────────▶ (row)
 *              │        ▲  │ stopped, stuck, no room               ▲                    │
 *              │   load │  └───────────────▶ parked ───────────────┤                    │
 *              └────────┼──────────────────────────────────────────┘                    │
 *                       └───────────────── offered ◀── next_fetch ◀── due, or the head ─┘
 *
 * A delivery is in memory once: what is taken, offered or loaded again while it
 * is here is a duplicate and changes nothing. Statements may fail at any point
 * between two calls: nothing is lost by asking again. Every function that takes
 * memory either does all or nothing (BMW_ERROR_MEMORY). Times are Unix
 * microseconds. Everything is called by one thread; callers keep no pointer
 * longer than said.
 */
#ifndef BMW_CORE_SCHEDULER_H
#define BMW_CORE_SCHEDULER_H

#include "core/endpoint_rules.h"
#include "core/lane.h"
#include "core/outcome.h"
#include "core/record.h"
#include "core/snapshot.h"

typedef struct BmwScheduler BmwScheduler;
typedef struct BmwDelivery BmwDelivery;

/* --- The whole --- */

typedef struct BmwLimits
{
	int max_in_flight;		   /* of one application; of all, twice that */
	int max_to_destination;	   /* of all that send; 0: no limit */
	int lane_capacity;		   /* deliveries in each queue of a lane */
	int64_t max_bytes;		   /* of bodies in memory; over it by two for each lane at most */
	int64_t flush_interval_us; /* that an outcome may wait to be written */
	int64_t disable_after_us;  /* of failures without a break; 0: never */
} BmwLimits;

typedef enum BmwMode
{
	BMW_RUNNING,
	BMW_HOLDING, /* nothing is taken, fetched or sent; what is in flight ends and is written */
	BMW_STOPPING /* the same, and everything is to be written now */
} BmwMode;

typedef struct BmwSchedulerCounts
{
	int queued;
	int in_flight;
	int unwritten; /* records */
	int stuck;	   /* of these */
	int deliveries;
	int64_t bytes;
	int64_t ordered; /* deliveries that the order knows */
} BmwSchedulerCounts;

extern BmwScheduler *bmw_scheduler_create(const BmwLimits *limits,
										  int64_t now_us); /* NULL: no memory */
extern void bmw_scheduler_destroy(BmwScheduler *scheduler);
extern void bmw_scheduler_set_limits(BmwScheduler *scheduler, const BmwLimits *limits);
/* Who counts the requests of applications (lane.h). Without it they have no rate limit. */
extern void bmw_scheduler_set_tokens(BmwScheduler *scheduler, const BmwTokenPort *tokens);
extern void bmw_scheduler_set_places(BmwScheduler *scheduler, const BmwPlacePort *places);
extern void bmw_scheduler_set_destinations(BmwScheduler *scheduler, const BmwDestinationPort *port);
extern void bmw_scheduler_set_mode(BmwScheduler *scheduler, BmwMode mode);
/* Everything is paused: events are taken, and wait in the table. */
extern void bmw_scheduler_set_paused(BmwScheduler *scheduler, bool is_paused);
/*
 * What time it is: at the start of a cycle and after every wait. When the clock
 * was set back by more than a second, returns by how much: all times in memory
 * have moved with it, and BMW_ERRAND_CLAMP follows for the rows. Else 0.
 */
extern int64_t bmw_scheduler_set_time(BmwScheduler *scheduler, int64_t now_us);
/* The tables could not be read: nothing is wanted from them for so long. */
extern void bmw_scheduler_rest(BmwScheduler *scheduler, int64_t us);
extern bool bmw_scheduler_is_resting(const BmwScheduler *scheduler);
/* When there is something to do again, if nothing is told before; now or earlier: at once. */
extern int64_t bmw_scheduler_wakeup_us(const BmwScheduler *scheduler);
extern BmwSchedulerCounts bmw_scheduler_counts(const BmwScheduler *scheduler);

/* --- Endpoints --- */

/*
 * Are they to be read now? has_changed: since the last reading, as far as known,
 * or a change is being committed, or some that have changed were not read yet.
 * Asked in every cycle, and in a pass after its snapshot was taken and before its
 * events are read. Not so soon after a long reading, unless that was the first, of all.
 */
extern bool bmw_scheduler_wants_endpoints(BmwScheduler *scheduler, bool has_changed);
/* They cannot be read: somebody has locked them. Passes are provisional until they can. */
extern void bmw_scheduler_endpoints_locked(BmwScheduler *scheduler);
/*
 * Some of what has changed was read, and set or removed. is_complete: all of it, and
 * whatever else there is was read before. Until then passes are provisional.
 */
extern void bmw_scheduler_endpoints_read(BmwScheduler *scheduler, bool is_complete,
										 int64_t took_us);
/* New or changed. Texts and the schedule are copied. */
extern BmwStatus bmw_scheduler_set_endpoint(BmwScheduler *scheduler, const BmwEndpointRules *rules);
/* It is deleted: what waits for it is canceled, what is in flight is unwanted. */
extern void bmw_scheduler_remove_endpoint(BmwScheduler *scheduler, int64_t endpoint_id);
/* As far as its rules say. False also when it is not known. */
extern bool bmw_scheduler_lacks_secret(const BmwScheduler *scheduler, int64_t endpoint_id);
/*
 * Endpoints that keep the order and whose unfinished deliveries are not known yet, at
 * most so many; returns how many. Of each, learn() every one that is pending and has a
 * message, then learnt(). Until then nothing is sent to it.
 */
extern int bmw_scheduler_next_unlearnt(const BmwScheduler *scheduler, int64_t *ids, int most);
extern BmwStatus bmw_scheduler_learn(BmwScheduler *scheduler, int64_t endpoint_id,
									 const char *application, const char *message_id,
									 const BmwUuid *event_id);
extern void bmw_scheduler_learnt(BmwScheduler *scheduler, int64_t endpoint_id);

/* --- Intake --- */

/* Where reading is: the next event is the first with (xid, id) greater than this. */
typedef struct BmwPosition
{
	uint64_t xid;
	BmwUuid id;
} BmwPosition;

/* Events to be read, in the order of (xid, id). Pointers are valid until end_chunk(). */
typedef struct BmwChunk
{
	const uint64_t *xids; /* only those of these transactions, ascending; NULL: all that now sees */
	int xids_length;
	BmwPosition after;
	BmwUuid floor; /* no id below can be meant */
	const BmwSnapshot *now;
	int limit;		  /* rows */
	bool needs_check; /* some of their deliveries may have rows: find these first */
} BmwChunk;

/* An endpoint that an event is for. */
typedef struct BmwMatch
{
	int64_t endpoint_id;
	bool has_row; /* or was set aside: nothing to do */
} BmwMatch;

typedef struct BmwArrival
{
	BmwPosition position;
	const BmwEventSource *source;
	const BmwMatch *matches;
	int matches_length;
	bool
		is_beyond; /* the limit of what may wait of its application: its endpoints are not sent it */
} BmwArrival;

/* At the start: what has been taken before. Takes the snapshot over. */
extern void bmw_scheduler_start(BmwScheduler *scheduler, BmwSnapshot *cursor, int64_t since_us);
/* is_announced: somebody said that there is something new. Clear that before the snapshot is taken. */
extern bool bmw_scheduler_wants_events(BmwScheduler *scheduler, bool is_announced);
/* Is a pass needed before there is a chunk? Then take a snapshot and begin one. */
extern bool bmw_scheduler_needs_pass(const BmwScheduler *scheduler);
/* Takes the snapshot over. After it, ask wants_endpoints() before the first chunk. */
extern BmwStatus bmw_scheduler_begin_pass(BmwScheduler *scheduler, BmwSnapshot *now);
/* False: nothing to read, or not before the endpoints are. */
extern bool bmw_scheduler_next_chunk(BmwScheduler *scheduler, BmwChunk *chunk);
/* An event of the chunk, for all its endpoints at once: queued, parked, held back, or known already. */
extern BmwStatus bmw_scheduler_take(BmwScheduler *scheduler, const BmwArrival *arrival);
/* rows: that were found. */
extern BmwStatus bmw_scheduler_end_chunk(BmwScheduler *scheduler, int rows);

/* --- Fetching what waits in the table --- */

#define BMW_FETCHES 100		 /* at once, at most */
#define BMW_FETCH_LENGTH 500 /* rows of all of them */

typedef struct BmwFetch
{
	int64_t endpoint_id;
	void *endpoint;		  /* the tag of its rules */
	const BmwUuid *heads; /* these deliveries; NULL: those that are due. Valid until end_fetch() */
	int heads_length;
	int64_t from_us;	 /* due at this time or later: what is before is in memory */
	int64_t to_us;		 /* and at this time or earlier */
	int limit;			 /* rows, in the order of their due times */
	int64_t last_due_us; /* from here on the scheduler's own */
	int seen_at_last;
	bool has_skipped;
	int64_t skipped_due_us;
} BmwFetch;

/* A row of a delivery, without its event. */
typedef struct BmwDueRow
{
	BmwUuid event_id;
	bool is_pending;
	int attempts;
	int64_t first_attempt_us; /* 0: none yet */
	int64_t due_us; /* BMW_HELD_BACK; of a head, 0: it was set aside and holds the others back */
} BmwDueRow;

/* Is anything wanted from the rows: a look, what an endpoint must learn, a fetch? */
extern bool bmw_scheduler_wants_rows(BmwScheduler *scheduler);
/* SQL has made rows due: nobody knows for which endpoints, or for this one. */
extern void bmw_scheduler_rows_are_due(BmwScheduler *scheduler);
extern void bmw_scheduler_rows_are_due_for(BmwScheduler *scheduler, int64_t endpoint_id);
/* Heads, or what is due, of several endpoints at once, which share these rows: of how many. Each is then ended. */
extern int bmw_scheduler_next_heads(BmwScheduler *scheduler, int rows, BmwFetch *fetches, int most);
extern int bmw_scheduler_next_due(BmwScheduler *scheduler, int rows, BmwFetch *fetches, int most);
/* Each row that was found. True: its event is wanted; load() it, unless the bytes do not fit. */
extern bool bmw_scheduler_offer(BmwScheduler *scheduler, BmwFetch *fetch, const BmwDueRow *row);
/* Is there room for a body of this size? False: leave it; it is found again. */
extern bool bmw_scheduler_has_room(BmwScheduler *scheduler, BmwFetch *fetch, const BmwDueRow *row,
								   int64_t bytes);
/* source NULL: the event is gone. is_for_endpoint: it may get the event (route.h); otherwise that is canceled. */
extern BmwStatus bmw_scheduler_load(BmwScheduler *scheduler, const BmwFetch *fetch,
									const BmwDueRow *row, const BmwEventSource *source,
									bool is_for_endpoint);
/* rows: that were found. next_due_us: the first one after to_us (BMW_NEVER_US: none); of heads: unused. */
extern void bmw_scheduler_end_fetch(BmwScheduler *scheduler, const BmwFetch *fetch, int rows,
									int64_t next_due_us);
/* Rows wait for this endpoint from due_us on, or are held back (BMW_HELD_BACK), as somebody has seen. */
extern void bmw_scheduler_expect(BmwScheduler *scheduler, int64_t endpoint_id, int64_t due_us);
/* An errand has changed when this pending row is due: one in memory is the same still. */
extern void bmw_scheduler_moved(BmwScheduler *scheduler, int64_t endpoint_id,
								const BmwUuid *event_id, int64_t due_us);
/* A step of a look at all that waits. */
typedef struct BmwLook
{
	int64_t after_id; /* at the endpoints with a greater id that have pending rows, ascending */
	int limit;		  /* so many of them */
	bool with_held;	  /* also whether something is held back */
} BmwLook;

/*
 * Is a step of it to be made: once a minute there is one, and when rows are due for
 * nobody knows whom. Then expect() for each endpoint that was found, when its first
 * row is due and what is held back, and end_look(), when all went well: how many
 * were found, the last of them, how long it took.
 */
extern bool bmw_scheduler_wants_look(const BmwScheduler *scheduler);
extern BmwLook bmw_scheduler_begin_look(BmwScheduler *scheduler);
/* At the end of it heads that do not come are looked for again, some at a time. */
extern void bmw_scheduler_end_look(BmwScheduler *scheduler, const BmwLook *look, int found,
								   int64_t last_id, int64_t took_us);

/* --- Sending --- */

typedef struct BmwRequest
{
	BmwDelivery *delivery;
	int64_t endpoint_id;
	void *endpoint; /* the tag of its rules */
	BmwEvent *event;
	int attempt; /* from 1 */
	int64_t started_us;
} BmwRequest;

/* What is known when a request has ended. */
typedef struct BmwEnd
{
	BmwTransport transport;
	int http_status;		/* 0: none */
	int64_t retry_after_us; /* BMW_RETRY_AFTER_NONE */
	BmwHttpTimes times;
	double random; /* [0, 1) */
} BmwEnd;

/* In flight from then on. The body is valid until ended(). */
extern bool bmw_scheduler_next_request(BmwScheduler *scheduler, BmwRequest *request);
/* It is about to go there (address.h). False: it may not now; it ends with BMW_TRANSPORT_CROWDED. */
extern bool bmw_scheduler_enter(BmwScheduler *scheduler, BmwDelivery *delivery,
								uint64_t destination);
/* Which one it is. */
extern void bmw_scheduler_ids(const BmwDelivery *delivery, BmwUuid *event_id, int64_t *endpoint_id);
/* It could not even be started, for a reason of ours: no attempt; its endpoint waits for hold_us. */
extern void bmw_scheduler_not_started(BmwScheduler *scheduler, BmwDelivery *delivery,
									  int64_t hold_us);
/*
 * Returns the record, to which the caller adds error and response; NULL: a local
 * fault or an abort that counts as no attempt. The endpoint's health is judged.
 */
extern BmwRecord *bmw_scheduler_ended(BmwScheduler *scheduler, BmwDelivery *delivery,
									  const BmwEnd *end);
/*
 * Are there requests that nobody wants any more: their endpoint was disabled or
 * deleted (not only paused), and they have had a second to end? Then break off those that
 * is_unwanted() names, and tell their end with BMW_TRANSPORT_ABORTED.
 */
extern bool bmw_scheduler_wants_abort(BmwScheduler *scheduler);
extern bool bmw_scheduler_is_unwanted(const BmwScheduler *scheduler, const BmwDelivery *delivery);

/* --- Recording --- */

/* How the attempt to write records ended; flush.h decides which. */
typedef enum BmwWriting
{
	BMW_WRITING_DONE,		/* each has a fate */
	BMW_WRITING_UNFINISHED, /* it took long: go on after a turn of the cycle */
	BMW_WRITING_LOCKED,		/* somebody has locked tables of the log: soon again */
	BMW_WRITING_FAILED		/* nothing can be written now */
} BmwWriting;

typedef enum BmwErrandKind
{
	BMW_ERRAND_FAILING, /* note since when it fails; 0: it works again */
	BMW_ERRAND_DISABLE,
	BMW_ERRAND_CANCEL, /* all that waits for it */
	BMW_ERRAND_LET_GO, /* what was held back is due: it no longer keeps the order */
	BMW_ERRAND_CLAMP /* nothing is due later than its schedule says from now on: the clock was set back */
} BmwErrandKind;

/* A change of an endpoint's rows, in steps. */
typedef struct BmwErrand
{
	BmwErrandKind kind;
	int64_t endpoint_id;
	int64_t time_us;
	const char *reason; /* constant or NULL; of BMW_ERRAND_FAILING: the class of the last error */
} BmwErrand;

typedef enum BmwErrandResult
{
	BMW_ERRAND_DONE,
	BMW_ERRAND_MORE, /* a step was made: go on at once */
	BMW_ERRAND_LATER /* locked or failed: in a second */
} BmwErrandResult;

#define BMW_ERRAND_ROWS 1000 /* that a step changes at most */

/* What a step over rows has come to: so many were changed; is_done: no other is meant, and none was locked. */
extern BmwErrandResult bmw_errand_result(bool is_done, int rows);

/*
 * The records to be written now, oldest first; NULL: none are due. The stuck ones
 * come by themselves. Valid until records_done(), which must follow.
 */
extern BmwRecord *bmw_scheduler_due_records(BmwScheduler *scheduler, int *length);
/*
 * The fates are set. Written and set aside are forgotten: their pass may settle.
 * committed: the position in the WAL that makes what was written durable; the next
 * of a message waits for it. took_us: the time that it took.
 */
extern void bmw_scheduler_records_done(BmwScheduler *scheduler, BmwWriting result,
									   uint64_t committed, int64_t took_us);
/* Up to where must the WAL be flushed now, because a message waits for it? 0: nowhere. */
extern uint64_t bmw_scheduler_wants_durable(const BmwScheduler *scheduler);
/* Up to where it has been flushed, by whomever. */
extern void bmw_scheduler_durable(BmwScheduler *scheduler, uint64_t flushed);
/* What the stored cursor may say, when it is time to write it. Valid until cursor_done(). */
extern bool bmw_scheduler_due_cursor(const BmwScheduler *scheduler, const BmwSnapshot **snapshot,
									 int64_t *since_us);
extern void bmw_scheduler_cursor_done(BmwScheduler *scheduler, bool is_written);
/* An errand that may be tried now, one after the other; each is followed by errand_done(). */
extern bool bmw_scheduler_next_errand(BmwScheduler *scheduler, BmwErrand *errand);
extern void bmw_scheduler_errand_done(BmwScheduler *scheduler, const BmwErrand *errand,
									  BmwErrandResult result);

/* --- For operations --- */

typedef struct BmwCancellation
{
	int64_t endpoint_id;
	const BmwUuid *events; /* these alone, in order; NULL: all with an id below before */
	size_t events_length;
	BmwUuid before;
	bool is_drop; /* of a copy, which is only then to send */
} BmwCancellation;

/*
 * What is queued is canceled; what has a row is let go, so that the caller can cancel
 * that. Returns how many there are still in memory: in flight, or not written yet.
 */
extern int64_t bmw_scheduler_cancel(BmwScheduler *scheduler, const BmwCancellation *cancellation);
/* Has everything that this transaction could see been taken? Then nothing of it can come any more. */
extern bool bmw_scheduler_has_taken(const BmwScheduler *scheduler, uint64_t xid);
/* The events of this endpoint's deliveries in memory: at most length of them. Returns how many there are. */
extern int bmw_scheduler_in_memory(BmwScheduler *scheduler, int64_t endpoint_id, BmwUuid *events,
								   int length);
/*
 * Rows have been canceled: others of their messages may be next. Where the endpoint keeps the order,
 * that must be durable before: a crash would send the canceled ones after those.
 */
extern void bmw_scheduler_canceled(BmwScheduler *scheduler, int64_t endpoint_id);
/* Also of one that is not known yet: it may. */
extern bool bmw_scheduler_keeps_order(const BmwScheduler *scheduler, int64_t endpoint_id);

#endif
