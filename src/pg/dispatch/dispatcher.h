/*
 * pg/dispatch/dispatcher.h - one dispatcher: what its parts share.
 *
 * The parts, in the order in which a cycle calls them: cache.c (endpoints),
 * intake.c (new events to lanes), sender.c (lanes to requests, results to
 * outcomes), recorder.c (outcomes to tables). dispatcher.c is the cycle,
 * worker.c the process around it. Times are Unix microseconds.
 */
#ifndef BMW_PG_DISPATCH_DISPATCHER_H
#define BMW_PG_DISPATCH_DISPATCHER_H

#include "postgres.h"

#include "common/pg_prng.h"
#include "core/http.h"
#include "core/lane.h"
#include "core/order.h"
#include "core/route.h"
#include "core/sign.h"
#include "core/snapshot.h"
#include "pg/dispatch/flush.h"
#include "pg/server/shared_memory.h"
#include "pg/dispatch/store.h"
#include "pg/dispatch/transaction.h"
#include "storage/spin.h"
#include "utils/hsearch.h"

#define BMW_MAX_BYTES                                                                              \
	(128 * 1024 * 1024) /* of bodies in memory; beyond, deliveries wait in the table */

/* A delivery, as a key. */
typedef struct BmwDeliveryKey
{
	BmwUuid event_id;
	int64 endpoint_id;
} BmwDeliveryKey;

/* What is needed to send to an endpoint; lives until the endpoints are read anew. */
typedef struct BmwEndpoint
{
	int64 id;
	BmwSubscription owner; /* for bmw_route_fits(): id, application, since when */
	uint64 identity;	   /* of these: another one when the id has come back */
	const char *url;
	bool is_enabled;
	bool is_ordered; /* by message */
	int timeout_ms;
	BmwSchedule schedule;
	BmwHttpHeader *headers;
	int headers_length;
	BmwSecret *secrets;
	int secrets_length;
	int64 failing_since_us; /* 0: not failing */
} BmwEndpoint;

typedef struct BmwCache
{
	uint64 generation;	 /* of what is loaded; 0: nothing yet */
	int64 read_again_us; /* not before */
	bool is_locked;		 /* they have changed, and somebody has locked a table of theirs */
	MemoryContext memory;
	BmwRouter *router;
	HTAB *muted; /* application -> patterns */
} BmwCache;

/* All events that one snapshot sees and the one before did not. */
typedef struct BmwPass
{
	struct BmwPass *next;
	BmwSnapshot now;
	int64 since_us;		 /* for the cursor: see there */
	int unsettled;		 /* deliveries in memory that have no row yet */
	bool is_read;		 /* all its events are in lanes or recorded */
	bool has_endpoints;	 /* they were read after its snapshot was taken */
	bool is_provisional; /* they could not be: see intake.c */
} BmwPass;

/* A lane that had little room at the last chunk, and since when. */
typedef struct BmwTightLane
{
	BmwLane *lane;
	int64 since_us;
} BmwTightLane;

typedef struct BmwIntake
{
	BmwSnapshot previous; /* everything that it sees has been taken */
	int64 since_us;		  /* what it does not see was captured after this */
	BmwPass *oldest;	  /* passes that are not settled, in order */
	BmwPass *newest;
	BmwPass *current; /* the newest, while it is being read; NULL: none is */
	uint64 *ended;	  /* transactions that ended between previous and current */
	int ended_length;
	bool is_reading_ended; /* still reading their events */
	BmwPosition position;
	bool is_recovering;	  /* in this pass some deliveries may have rows already */
	HTAB *recorded;		  /* those, for the chunk at hand */
	HTAB *unrecorded;	  /* deliveries of passes that are in memory and have no row yet */
	bool has_provisional; /* passes to be matched again, with what came after them */
	BmwSnapshot provisional_previous; /* from here */
	int64 provisional_since_us;
	int64 last_look_us;
	int64 gather_until_us; /* let rows gather until then */
	BmwLane *last_lane;	   /* that got an event */
	int64 mixed_us;		   /* when another got one than before; 0: never */
	BmwTightLane tight[64];
	int tight_length;
} BmwIntake;

typedef struct BmwRecords
{
	BmwRecord *items; /* malloc'd */
	int length;
	int capacity;
} BmwRecords;

typedef struct BmwRecorder
{
	BmwRecords fresh;
	BmwRecords stuck;  /* their rows are locked: tried again by themselves */
	int64 oldest_us;   /* of the first fresh record; 0: none */
	int64 retry_at_us; /* after a failure; 0: none */
	int64 stuck_at_us; /* when the stuck ones are tried again */
	BmwFlush flush;
	int64 tasks_retry_at_us; /* as retry_at_us, for tasks */
	BmwStreak tasks_streak;
	BmwStreak cursor_streak;
	int64 cursor_retry_at_us;
	bool is_cursor_updated; /* by the transaction that has just ended */
	BmwSnapshot settled;	/* what the cursor may say */
	int64 settled_since_us;
	bool has_settled; /* and has not been written */
	int64 cursor_written_us;
} BmwRecorder;

/* A delivery of the current pass to an endpoint that keeps the order. */
typedef struct BmwOrdered
{
	BmwOrderKey key;
	BmwUuid id;
	BmwEvent *event; /* NULL: recorded already, to keep memory low */
	BmwPass *pass;
} BmwOrdered;

/* Heads of an endpoint whose row is held back and must be fetched. */
typedef struct BmwWanted
{
	int64 endpoint_id;
	BmwUuid *ids; /* malloc'd */
	int length;
	int capacity;
} BmwWanted;

typedef struct BmwOrdering
{
	BmwOrder *order;
	HTAB *endpoints;   /* ids of those that keep the order */
	BmwOrdered *items; /* malloc'd */
	int length;
	int capacity;
	HTAB *wanted;	  /* BmwWanted: heads whose row is held back */
	bool needs_flush; /* before wanted ones can be found */
} BmwOrdering;

typedef struct BmwDispatcher
{
	BmwSlot *slot;
	int shard;
	int shards;
	int64 now_us;		/* of this cycle */
	int64 monotonic_us; /* the same moment by a clock that nobody sets */
	BmwAddressPolicy policy;
	BmwHttp *http;
	BmwLanes *lanes;
	BmwSigner *signer;
	HTAB *loaded; /* deliveries in memory that have a row */
	List *tasks;  /* changes of endpoints to be made: recorder.c */
	BmwCache cache;
	BmwIntake intake;
	BmwRecorder recorder;
	BmwOrdering ordering;
	size_t bytes;		  /* of event bodies in memory, shared ones counted once a job */
	char *ca_file;		  /* what libcurl was given */
	int64 next_second_us; /* when the once-a-second work is due */
	int64 next_minute_us;
	int minutes_to_partitions; /* until the next look whether some must be made */
	bool lacks_partitions;	   /* some could not be made, which was logged */
	int64 retry_at_us;		   /* no transaction to take in before; 0: any time */
	BmwStreak streak;		   /* of failures to take in */
	BmwStreak chores;		   /* of failures of what is not needed to go on */
	int64 sent;
	int64 resent;
	pg_prng_state random;
	bool is_stopping;	/* no new requests */
	bool has_extension; /* false: it has gone, end */
	bool is_clock_back; /* the clock was set back: end, to be started anew */
} BmwDispatcher;

/* dispatcher.c */
extern BmwDispatcher *bmw_dispatcher_create(BmwSlot *slot);
/* Everything that can be done now; returns how many ms to wait at most. */
extern long bmw_dispatcher_cycle(BmwDispatcher *dispatcher);
/* Settings have changed; false: they need a new dispatcher. */
extern bool bmw_dispatcher_reload(BmwDispatcher *dispatcher);
/* Lets requests in flight end for a moment, and records what is known. */
extern void bmw_dispatcher_stop(BmwDispatcher *dispatcher);
extern bool bmw_dispatcher_run(BmwDispatcher *dispatcher, BmwStreak *streak, BmwWork work);
/* Ends the process when the last of the failures were such that a new one may do better. */
extern void bmw_dispatcher_judge(const BmwStreak *streak);

/*
 * cache.c: reads the endpoints if they have changed, unless they were read a
 * moment ago or somebody has locked a table. True when they are those of now. Inside a transaction.
 */
extern bool bmw_cache_refresh(BmwDispatcher *dispatcher);
/* Have they changed, and may they be read? */
extern bool bmw_cache_wants_refresh(const BmwDispatcher *dispatcher);
/* Have they changed, and may not be read before cache.read_again_us? */
extern bool bmw_cache_is_stale(const BmwDispatcher *dispatcher);
/* False at the start, until they could be read. */
extern bool bmw_cache_is_loaded(const BmwDispatcher *dispatcher);
/* The dispatcher itself has disabled it, and that has been committed. */
extern void bmw_cache_disable(BmwDispatcher *dispatcher, int64 endpoint_id);
/* Is this event not sent for its application? */
extern bool bmw_cache_is_muted(const BmwDispatcher *dispatcher, const BmwRouteEvent *event);
/* Does this dispatcher's shard own the endpoint? */
extern bool bmw_cache_is_ours(const BmwDispatcher *dispatcher, int64 endpoint_id);

/* intake.c */
extern void bmw_intake_start(BmwDispatcher *dispatcher); /* inside a transaction */
extern bool bmw_intake_wants(BmwDispatcher *dispatcher);
extern void bmw_intake_read(BmwDispatcher *dispatcher); /* inside a transaction */
extern int64 bmw_intake_wakeup_us(const BmwDispatcher *dispatcher);
extern void bmw_intake_forget_lane(BmwDispatcher *dispatcher, BmwLane *lane);
/* A delivery has got its row, or has been set aside. */
extern void bmw_intake_recorded(BmwDispatcher *dispatcher, const BmwRecord *record);

/* ordering.c */
extern BmwOrderKey bmw_ordering_key(int64 endpoint_id, const uint64_t *message);
/* An event of the current pass for an endpoint that keeps the order. */
extern void bmw_ordering_take(BmwDispatcher *dispatcher, BmwEvent *event, int64 endpoint_id,
							  BmwPass *pass);
extern void bmw_ordering_end_pass(BmwDispatcher *dispatcher);
/* This delivery has ended, and that has been committed. */
extern void bmw_ordering_ended(BmwDispatcher *dispatcher, const BmwRecord *record);
/* May it be sent now? From then on it is known to be on its way. message: of the event. */
extern bool bmw_ordering_is_head(BmwDispatcher *dispatcher, const BmwLane *lane, const BmwUuid *id,
								 const uint64_t *message);
/* Are there heads whose row must be fetched? */
extern bool bmw_ordering_wants(const BmwDispatcher *dispatcher);
extern void bmw_ordering_fetch(BmwDispatcher *dispatcher); /* inside a transaction */
/* An endpoint keeps the order from now on. Inside a transaction. */
extern void bmw_ordering_begin(BmwDispatcher *dispatcher, int64 endpoint_id);
/* Its heads (those of all) are looked for again. */
extern void bmw_ordering_resume_all(BmwDispatcher *dispatcher);
extern void bmw_ordering_resume(BmwDispatcher *dispatcher, int64 endpoint_id);

/* sender.c */
extern BmwJob *bmw_job_create(BmwDispatcher *dispatcher, BmwEvent *event,
							  const BmwEndpoint *endpoint);
/* The recorder has its outcome. */
extern void bmw_job_free(BmwDispatcher *dispatcher, BmwJob *job);
/* A due job is left to the table, which may hand it out again. */
extern void bmw_job_forget(BmwDispatcher *dispatcher, BmwJob *job);
/* The row of a due job says what memory knows. */
extern void bmw_sender_unload(BmwDispatcher *dispatcher, const BmwUuid *event_id,
							  int64 endpoint_id);
extern void bmw_sender_fetch_due(BmwDispatcher *dispatcher); /* inside a transaction */
/* Those of these deliveries that are held back. Inside a transaction. */
extern void bmw_sender_fetch_held(BmwDispatcher *dispatcher, BmwLane *lane, const BmwUuid *ids,
								  int length);
extern bool bmw_sender_has_due(BmwDispatcher *dispatcher);
extern void bmw_sender_start(BmwDispatcher *dispatcher);
extern void bmw_sender_collect(BmwDispatcher *dispatcher);
/* Breaks off what is in flight to endpoints that were disabled or deleted a moment ago. */
extern void bmw_sender_abort_unwanted(BmwDispatcher *dispatcher);
/* Takes new jobs out of the lane's queue and leaves them to the table. */
extern void bmw_sender_park(BmwDispatcher *dispatcher, BmwLane *lane);
/* Due jobs of the lane are forgotten: their rows stay as they are. */
extern void bmw_sender_forget_due(BmwDispatcher *dispatcher, BmwLane *lane);
/* A lane without endpoint is closed as soon as it has no job. */
extern void bmw_sender_close_if_deleted(BmwDispatcher *dispatcher, BmwLane *lane);

/* recorder.c */
extern void bmw_recorder_park(BmwDispatcher *dispatcher, const BmwEvent *event, int64 endpoint_id,
							  BmwPass *pass, int64 due_us);
extern void bmw_recorder_finished(BmwDispatcher *dispatcher, const BmwJob *job, int64 endpoint_id,
								  const BmwOutcome *outcome, const BmwHttpResult *result);
/* Everything that this snapshot sees is in the tables. Takes the snapshot over. */
extern void bmw_recorder_settled(BmwDispatcher *dispatcher, BmwSnapshot *snapshot, int64 since_us);
extern void bmw_recorder_cancel(BmwDispatcher *dispatcher, const BmwJob *job, int64 endpoint_id);
extern void bmw_recorder_set_failing(BmwDispatcher *dispatcher, int64 endpoint_id, int64 since_us);
extern void bmw_recorder_disable(BmwDispatcher *dispatcher, int64 endpoint_id, const char *reason);
extern void bmw_recorder_let_go(BmwDispatcher *dispatcher, int64 endpoint_id);
/* A due delivery is not the head of its message. */
extern void bmw_recorder_hold_back(BmwDispatcher *dispatcher, const BmwEvent *event,
								   int64 endpoint_id, int attempts, int64 first_attempt_us);
/* A due delivery is not for the endpoint that has its id now. */
extern void bmw_recorder_refuse(BmwDispatcher *dispatcher, const BmwDueRow *row,
								const BmwEvent *event, int64 endpoint_id);
extern void bmw_recorder_cancel_pending(BmwDispatcher *dispatcher, int64 endpoint_id);
extern bool bmw_recorder_is_due(const BmwDispatcher *dispatcher);
extern bool bmw_recorder_is_full(const BmwDispatcher *dispatcher);
/* Flushes; keeps what cannot be written. */
extern void bmw_recorder_flush(BmwDispatcher *dispatcher);
/* Outcomes that are in memory alone. */
extern int bmw_recorder_count(const BmwDispatcher *dispatcher);
extern int64 bmw_recorder_wakeup_us(const BmwDispatcher *dispatcher);

#endif
