/*
 * core/scheduler_internal.h - what the files of the scheduler share; nobody else includes it.
 *
 *   scheduler.c           the whole: limits, time, when to wake
 *   scheduler_memory.c    every delivery in memory, and the bytes of their bodies
 *   scheduler_endpoint.c  endpoints: what happens when one changes or goes
 *   scheduler_pass.c      passes: what is read next, what the cursor may say
 *   scheduler_take.c      where a new event goes
 *   scheduler_fetch.c     what comes back from the table
 *   scheduler_heads.c     the heads of messages among it
 *   scheduler_send.c      what is sent, and what its end means
 *   scheduler_expiry.c    what is not worth sending any more
 *   scheduler_record.c    what is written, when, and what follows from it
 *   scheduler_durable.c   what has ended and may be lost by a crash
 *   scheduler_errand.c    changes of an endpoint's rows
 *   scheduler_cancel.c    what users cancel while it is in memory
 *   scheduler_challenge.c when an endpoint is asked for a proof
 */
#ifndef BMW_CORE_SCHEDULER_INTERNAL_H
#define BMW_CORE_SCHEDULER_INTERNAL_H

#include <stddef.h>

#include "core/challenge.h"
#include "core/delays.h"
#include "core/heap.h"
#include "core/lane.h"
#include "core/order.h"
#include "core/scheduler.h"

#define BMW_SECOND_US INT64_C(1000000)
#define BMW_NO_ROOM_PAUSE_US (BMW_SECOND_US / 10)
#define BMW_CHUNK_LENGTH 500 /* events at a time */
#define BMW_PARK_LENGTH 500
#define BMW_TIGHT_LENGTH 64

typedef enum BmwDeliveryState
{
	BMW_DELIVERY_KEPT, /* of an ordered endpoint, until the end of the pass */
	BMW_DELIVERY_QUEUED,
	BMW_DELIVERY_IN_FLIGHT,
	BMW_DELIVERY_RECORDED /* its record waits to be written */
} BmwDeliveryState;

struct BmwDelivery
{
	BmwJob
		job; /* the first: what a lane hands out is a delivery; its event is NULL without a body */
	BmwDelivery *hash_next;
	BmwDelivery *kept_next;
	BmwUuid event_id;
	int64_t endpoint_id;
	uint64_t message[2]; /* 0: none */
	uint64_t identity;	 /* of the endpoint that it was meant for */
	int64_t fetched_due_us;
	BmwDeliveryState state;
	bool is_operational;
};

/* An endpoint as the scheduler knows it: the tag of its lane. */
typedef struct BmwTarget
{
	BmwEndpointRules rules; /* its texts and delays are ours */
	BmwLane *lane;
	bool is_gone;	  /* closes as soon as nothing is in flight */
	bool is_learnt;	  /* its unfinished deliveries are in the order */
	bool is_to_begin; /* without a past, when it may send again: it was not only paused */
	bool is_clamped;  /* what a clock that was ahead had planned is not due far off */
	struct BmwTarget *unlearnt_next; /* of those that are not */
	struct BmwTarget *unlearnt_previous;
	struct BmwTrial *trial; /* NULL: it is verified, or need not be */
	int64_t bytes;			/* of bodies in memory */
	int loaded;				/* rows of the table in memory */
	int64_t from_us;		/* what is due before is in memory */
	int from_length;		/* rows due at that time that were seen */
} BmwTarget;

/* An endpoint that has to prove that its URL is its own. */
typedef struct BmwTrial
{
	BmwHeapNode node; /* among those that wait, by when it is asked */
	BmwTarget *target;
	int64_t unverified_us;
	int64_t asked_for_us; /* the state that the challenge under way is for; 0: there is none */
	int64_t asked_us;	  /* the last time */
	int64_t next_us;
	int attempts;
} BmwTrial;

typedef struct BmwTrials
{
	BmwHeap waiting;
	int length; /* waiting or not */
	BmwChallenge asked[BMW_CHALLENGES_MAX];
	int asked_length;
} BmwTrials;

/* All events that one snapshot sees and the one before did not. */
typedef struct BmwPass
{
	struct BmwPass *next;
	BmwSnapshot now;
	int64_t since_us;	 /* what it does not see was captured after this */
	int unsettled;		 /* deliveries in memory that have no row yet */
	bool is_read;		 /* all its events were taken */
	bool has_endpoints;	 /* they were read after its snapshot was taken */
	bool is_provisional; /* they could not be: it is matched again, with all that follow */
} BmwPass;

typedef struct BmwPasses
{
	BmwSnapshot previous; /* everything that it sees has been taken */
	int64_t since_us;
	BmwPass *oldest; /* not settled, in order */
	BmwPass *newest;
	BmwPass *current; /* the newest, while it is being read; NULL: none is */
	uint64_t *ended;  /* transactions that ended between previous and current */
	int ended_length;
	bool is_reading_ended;
	BmwPosition position;
	bool needs_check; /* in this pass some deliveries may have rows already */
	bool has_provisional;
	BmwSnapshot provisional_previous; /* from here it is to be matched again */
	int64_t provisional_since_us;
	int64_t last_look_us;
	int64_t gather_until_us; /* let rows gather until then */
	bool is_announced;
} BmwPasses;

/* A lane that had little room at the last chunk, and since when. */
typedef struct BmwTightLane
{
	int64_t endpoint_id;
	int64_t since_us;
} BmwTightLane;

typedef struct BmwReadings
{
	bool is_loaded;	  /* all of them are known, or were once */
	bool has_changed; /* as the clerk said the last time */
	bool is_behind;	  /* they are locked, or so many have changed that it takes a while */
	int64_t again_us; /* not before */
	BmwTarget *unlearnt;
} BmwReadings;

typedef struct BmwRecords
{
	BmwRecord *items;
	int length;
	int capacity;
} BmwRecords;

/* Has ended, and that is written but not durable: it still is in the order. */
typedef struct BmwEnded
{
	BmwOrderHead head;
	uint64_t committed;
} BmwEnded;

typedef struct BmwWriter
{
	BmwRecords fresh;
	BmwRecords stuck;
	BmwRecords *at_hand; /* what due_records() has given out */
	int64_t oldest_us;	 /* of the first fresh one */
	int64_t retry_at_us;
	int64_t stuck_at_us;
	BmwEnded *ended; /* a ring */
	int ended_first;
	int ended_length;
	int ended_capacity;
	uint64_t committed; /* of the last that somebody waits for */
	uint64_t flushed;
	BmwSnapshot settled; /* what the cursor may say */
	int64_t settled_since_us;
	bool has_settled;		  /* and it has not been written */
	int64_t cursor_at_us;	  /* not before */
	int64_t cursor_latest_us; /* then it is, even if nothing else is to be written */
	int64_t wrote_us;		  /* records, the last time */
} BmwWriter;

/* At all that waits in the table. */
typedef struct BmwLooking
{
	bool is_under_way;
	bool is_wanted_again; /* from the beginning: what has been passed may have something new */
	bool has_looked;	  /* once at everything */
	int64_t after_id;	  /* the next step goes on after this endpoint */
	int step;			  /* endpoints in one */
	int64_t next_us;	  /* the next step, or look */
	int64_t ended_us;
} BmwLooking;

typedef struct BmwWaitingErrand
{
	struct BmwWaitingErrand *next;
	BmwErrand errand;
	int64_t not_before_us;
} BmwWaitingErrand;

struct BmwScheduler
{
	BmwLimits limits;
	BmwMode mode;
	bool is_paused;
	int64_t now_us;
	int64_t rest_until_us; /* nothing can be read from the tables before */
	int64_t next_second_us;
	int to_look_at; /* lanes with new jobs, of this second */
	int park_length; /* deliveries at most in a turn of the cycle: nothing is sent while they are written */
	int64_t abort_at_us;
	BmwLanes *lanes;
	const int64_t *latest_delays; /* delays.h */
	BmwOrder *order;
	BmwDelivery **buckets;
	int buckets_length; /* a power of two */
	int deliveries;
	int64_t bytes;
	BmwReadings readings;
	BmwTrials trials;
	BmwPasses passes;
	BmwDelivery *kept; /* in the order in which they came */
	BmwDelivery **kept_end;
	int kept_bodies;
	BmwTightLane tight[BMW_TIGHT_LENGTH];
	int tight_length;
	int64_t last_endpoint_id; /* that got an event */
	int64_t mixed_us;		  /* when another got one than before */
	BmwOrderHead heads[BMW_FETCH_LENGTH];
	BmwUuid head_ids[BMW_FETCH_LENGTH];
	bool is_head_seen[BMW_FETCH_LENGTH];
	int heads_length;	 /* of the fetches at hand; 0: none */
	int heads_fetches;	 /* that have not ended */
	int64_t heads_at_us; /* no room before, perhaps */
	BmwLooking looking;
	BmwWriter writer;
	BmwWaitingErrand *errands;
	BmwWaitingErrand **errands_end;
	int errands_length;
	int errands_made; /* in this turn of the cycle */
	int64_t errands_at_us;
};

static inline int64_t
bmw_scheduler_earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* scheduler.c */
extern bool bmw_scheduler_may_read(const BmwScheduler *scheduler);
extern bool bmw_scheduler_is_full(const BmwScheduler *scheduler);

/* scheduler_memory.c: a delivery is made with room for its record. NULL: no memory. */
extern BmwDelivery *bmw_memory_create(BmwScheduler *scheduler, const BmwUuid *event_id,
									  int64_t endpoint_id);
/* It is known from now on. */
/* One that has not been added is freed again; BMW_ERROR_MEMORY. */
extern BmwStatus bmw_memory_give_up(BmwDelivery *delivery);
extern void bmw_memory_add(BmwScheduler *scheduler, BmwDelivery *delivery);
extern BmwDelivery *bmw_memory_find(const BmwScheduler *scheduler, const BmwUuid *event_id,
									int64_t endpoint_id);
/* It is in the table now, or never was anywhere. */
extern void bmw_memory_forget(BmwScheduler *scheduler, BmwDelivery *delivery);
extern void bmw_memory_hold(BmwScheduler *scheduler, BmwDelivery *delivery, BmwEvent *event);
extern void bmw_memory_release_body(BmwScheduler *scheduler, BmwDelivery *delivery);
extern void bmw_memory_each(BmwScheduler *scheduler,
							void (*fn)(BmwScheduler *scheduler, BmwDelivery *delivery,
									   void *context),
							void *context);
extern void bmw_memory_destroy(BmwScheduler *scheduler);

/* scheduler_endpoint.c */
extern BmwTarget *bmw_target_find(const BmwScheduler *scheduler, int64_t endpoint_id);
/* It is closed when it has gone and nothing of it is in flight. */
extern void bmw_target_close_if_gone(BmwScheduler *scheduler, BmwTarget *target);
/* That is in its row, though the endpoints have not been read again. */
extern void bmw_target_disable(BmwScheduler *scheduler, BmwTarget *target);
extern bool bmw_target_is_stopped(const BmwTarget *target);
/* What is in flight may end; also of one that is only paused, or whose order is being learnt. */
extern bool bmw_target_is_live(const BmwTarget *target);
extern bool bmw_target_keeps_order(const BmwTarget *target, const BmwDelivery *delivery);
/* New jobs are left to the table, due ones are forgotten: their rows stay as they are. */
extern void bmw_target_park_new(BmwScheduler *scheduler, BmwTarget *target);
/* The oldest of the new ones; false: there is none. */
extern bool bmw_target_park_one(BmwScheduler *scheduler, BmwTarget *target);
extern void bmw_target_forget_due(BmwScheduler *scheduler, BmwTarget *target);
/* Its last secret has expired: everything waits. */
extern void bmw_target_lose_secret(BmwScheduler *scheduler, BmwTarget *target);
extern void bmw_target_expect(BmwTarget *target, int64_t due_us);
/* It has proved that its URL is its own: what waits is sent. */
extern void bmw_target_verified(BmwScheduler *scheduler, BmwTarget *target);

/* scheduler_pass.c */
extern void bmw_pass_settled(BmwScheduler *scheduler, BmwPass *pass);
extern void bmw_passes_shift(BmwPasses *passes, int64_t by_us);
extern void bmw_passes_destroy(BmwPasses *passes);
extern int64_t bmw_passes_wakeup_us(const BmwScheduler *scheduler);
extern bool bmw_passes_wait_for_endpoints(const BmwScheduler *scheduler);

/* scheduler_take.c */
extern void bmw_take_end_of_pass(BmwScheduler *scheduler);
extern bool bmw_take_is_blocked(BmwScheduler *scheduler);
extern BmwOrderKey bmw_delivery_key(const BmwDelivery *delivery);

/* scheduler_fetch.c: is there anything to fetch? */
extern bool bmw_scheduler_wants_fetch(BmwScheduler *scheduler);

/* scheduler_heads.c */
extern bool bmw_heads_are_wanted(const BmwScheduler *scheduler);
extern bool bmw_heads_offer(BmwScheduler *scheduler, const BmwFetch *fetch, const BmwDueRow *row);
/* NULL: it is not one of the heads that are fetched. */
extern const BmwOrderHead *bmw_heads_find(const BmwScheduler *scheduler, const BmwFetch *fetch,
										  const BmwUuid *event_id);
/* There is no room for it now. */
extern void bmw_heads_put_back(BmwScheduler *scheduler, const BmwFetch *fetch,
							   const BmwUuid *event_id);
extern void bmw_heads_end(BmwScheduler *scheduler, const BmwFetch *fetch);
/* The statements failed, or memory was out: they are wanted as before. */
extern void bmw_heads_abandon(BmwScheduler *scheduler);

/* scheduler_expiry.c: when is it worth nothing any more? BMW_NEVER_US: never. */
extern int64_t bmw_expiry_us(const BmwTarget *target, const BmwDelivery *delivery);
/* It is the first of its queue: it is taken out, and recorded as canceled. */
extern void bmw_expiry_cancel(BmwScheduler *scheduler, BmwDelivery *delivery);

/* scheduler_send.c: for the lanes, when it is a job's turn. */
extern bool bmw_send_check(BmwJob *job, void *context);
/* The last of its secrets has expired since it was read: then everything waits. */
extern bool bmw_send_lacks_secret(BmwScheduler *scheduler, BmwTarget *target);

/* scheduler_challenge.c: after each change of a target. False: no memory. */
extern bool bmw_trial_update(BmwScheduler *scheduler, BmwTarget *target);
extern void bmw_trial_end(BmwScheduler *scheduler, BmwTarget *target);
extern int64_t bmw_trials_wakeup_us(const BmwScheduler *scheduler);
extern void bmw_trials_shift(BmwTrials *trials, int64_t by_us);

/* scheduler_record.c: there is always room. */
extern BmwRecord *bmw_scheduler_record_add(BmwScheduler *scheduler, BmwDelivery *delivery,
										   BmwDeliveryStatus status);
/* That of a delivery that has one. */
extern BmwRecord *bmw_scheduler_record_find(BmwScheduler *scheduler, const BmwDelivery *delivery);
extern void bmw_scheduler_record_park(BmwScheduler *scheduler, BmwDelivery *delivery,
									  int64_t due_us);
extern void bmw_scheduler_record_cancel(BmwScheduler *scheduler, BmwDelivery *delivery,
										const char *reason);
/* Room for so many more deliveries than are in memory. */
extern bool bmw_scheduler_record_reserve(BmwScheduler *scheduler, int more);
extern int64_t bmw_scheduler_record_wakeup_us(const BmwScheduler *scheduler);
extern void bmw_scheduler_record_shift(BmwScheduler *scheduler, int64_t by_us);
extern void bmw_scheduler_record_destroy(BmwScheduler *scheduler);

/* scheduler_durable.c */
extern void bmw_scheduler_durable_note(BmwScheduler *scheduler, const BmwEnded *ended);
/* Something waits behind what has ended. */
extern void bmw_scheduler_durable_hasten(BmwScheduler *scheduler);

/* scheduler_errand.c: the same twice is once. */
extern void bmw_errand_add(BmwScheduler *scheduler, const BmwErrand *errand);
/* Its next row is due then. Later than its schedule says: perhaps a clock was set back while nobody ran. */
extern void bmw_errand_clamp_if_late(BmwScheduler *scheduler, BmwTarget *target, int64_t due_us);
extern void bmw_errand_destroy(BmwScheduler *scheduler);

#define BMW_ENDPOINT_DELETED "the endpoint was deleted"
#define BMW_ENDPOINT_REPLACED "the endpoint was deleted, or is for another application now"
#define BMW_EVENT_GONE "the event is gone"
#define BMW_CANCELED_BY_USER "canceled by cancel()"
#define BMW_DROPPED_BY_USER "dropped by adopt()"
#define BMW_EXPIRED "expired"
#define BMW_APPLICATION_FULL "as much waits as max_waiting of the application allows"

#endif
