/*
 * core/lane.h - the queues and the health of the endpoints: who sends next.
 *
 * One lane an endpoint. A lane has two bounded queues: new deliveries, and
 * those that were fetched back from the delivery table because they are due.
 * Applications take turns, and within each its lanes; within a lane new deliveries go before due
 * ones, but every fourth turn is a due one's, so that neither starves.
 *
 * How many requests a lane may have in flight, and when, its window says (window.h), and
 * its rate limit, if it has one.
 * While `hold_until_us` is ahead, because the receiver has named a time, the lane sends
 * nothing. How many requests an application may have open is in share.h: so lanes
 * that hang cannot take every place.
 *
 * Runs on virtual time: every call that depends on time takes now_us. Does not
 * own the jobs: the caller makes and frees them; a job is in at most one queue.
 */
#ifndef BMW_CORE_LANE_H
#define BMW_CORE_LANE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/event.h"
#include "core/window.h"

#define BMW_NEVER_US INT64_MAX

typedef struct BmwLane BmwLane;
typedef struct BmwLanes BmwLanes;
typedef struct BmwParty BmwParty; /* what some lanes have at a destination: destination.h */

/* One delivery in memory. */
typedef struct BmwJob
{
	struct BmwJob *next; /* in a queue */
	BmwLane *lane;
	BmwEvent *event;		  /* one reference */
	int attempts;			  /* made before */
	bool has_row;			  /* a row of the delivery table exists */
	int64_t first_attempt_us; /* 0: none yet */
	int64_t queued_us;
	int64_t started_us; /* the current attempt */
	BmwParty *party;	/* whose place at its destination it has; NULL: none */
	void *pass;			/* the caller's: which intake pass it belongs to, or NULL */
	uint64_t matched;	/* the caller's: which endpoint of this id it was matched with */
} BmwJob;

/*
 * Asks for a token of the application's rate limit, which holds for all that send for
 * it (tokens.h): 0, or when to ask again. take NULL: there is no limit.
 */
typedef struct BmwTokenPort
{
	int64_t (*take)(void *context, const char *application, int rate, int burst, int64_t now_us);
	void *context;
} BmwTokenPort;

/*
 * Asks for one of the places in flight of the application, which are for all that send for it
 * (places.h), and gives one back. take NULL: there is no limit.
 */
typedef struct BmwPlacePort
{
	bool (*take)(void *context, const char *application, int limit, int64_t now_us);
	void (*give)(void *context, const char *application);
	void *context;
} BmwPlacePort;

/*
 * The same for requests to one destination, whoever sends them; of the limit, as many as `left` must be
 * free beyond the one that is asked for. take NULL: there is no limit.
 */
typedef struct BmwDestinationPort
{
	bool (*take)(void *context, uint64_t destination, int left, int limit, int64_t now_us);
	void (*give)(void *context, uint64_t destination);
	void *context;
	bool is_alone; /* nobody else sends: places become free when requests of ours end */
} BmwDestinationPort;

typedef struct BmwLaneCounts
{
	int queued; /* in both queues */
	int in_flight;
} BmwLaneCounts;

/*
 * max_in_flight: of the lanes of one application; all together up to twice that.
 * capacity: jobs in each queue of a lane. NULL: no memory.
 */
extern BmwLanes *bmw_lanes_create(int max_in_flight, int capacity);
extern void bmw_lanes_destroy(BmwLanes *lanes); /* jobs must be gone */
extern void bmw_lanes_limit(BmwLanes *lanes, int max_in_flight);

extern void bmw_lanes_set_tokens(BmwLanes *lanes, const BmwTokenPort *tokens);
extern void bmw_lanes_set_places(BmwLanes *lanes, const BmwPlacePort *places);
extern void bmw_lanes_set_destinations(BmwLanes *lanes, const BmwDestinationPort *port);
/* So many requests to one destination, whoever sends them; 0: as many as can be. */
extern void bmw_lanes_limit_destinations(BmwLanes *lanes, int limit);
/*
 * Is a job whose turn it is to be sent still? If not, it has been taken out of its lane, or that was
 * stopped; nothing counts as started, so that it costs neither a token nor a probe. Without it all are.
 */
typedef bool (*BmwJobCheck)(BmwJob *job, void *context);
extern void bmw_lanes_set_check(BmwLanes *lanes, BmwJobCheck check, void *context);

/* Finds or makes the lane and sets its limit. NULL: no memory. */
extern BmwLane *bmw_lanes_open(BmwLanes *lanes, int64_t endpoint_id, int max_in_flight);
/* So many requests a second (rate_limit.h); rate 0: as many as can be. */
extern void bmw_lane_set_rate(BmwLane *lane, int rate, int burst);
/* Whose share of the requests it uses; NULL, as for a new lane: that of no application. False: no memory. */
extern bool bmw_lane_set_application(BmwLane *lane, const char *application);
/* NULL: none. Until another one is set. */
extern const char *bmw_lane_application(const BmwLane *lane);
/* So many requests a second of all lanes of its application; rate 0: as many as can be. */
extern void bmw_lane_set_application_rate(BmwLane *lane, int rate, int burst);
/* So many requests in flight of all lanes of its application; 0: as many as can be. */
extern void bmw_lane_set_application_limit(BmwLane *lane, int max_in_flight);
extern BmwLane *bmw_lanes_find(const BmwLanes *lanes, int64_t endpoint_id);
/* Forgets a lane that has neither queued jobs nor any in flight. */
extern void bmw_lanes_close(BmwLanes *lanes, BmwLane *lane);

extern int64_t bmw_lane_endpoint(const BmwLane *lane);
/* The caller's pointer that a lane carries (its endpoint's configuration). */
extern void *bmw_lane_tag(const BmwLane *lane);
extern void bmw_lane_set_tag(BmwLane *lane, void *tag);
/* Stopped lanes hand out nothing. One that is started again begins without a past, or goes on. */
extern void bmw_lane_set_stopped(BmwLane *lane, bool is_stopped);
extern void bmw_lane_go_on(BmwLane *lane);
extern bool bmw_lane_is_stopped(const BmwLane *lane);

/* Queue a job; false when that queue is full. */
extern bool bmw_lane_push_new(BmwLane *lane, BmwJob *job, int64_t now_us);
extern bool bmw_lane_push_due(BmwLane *lane, BmwJob *job, int64_t now_us);
/*
 * A job that was handed out goes back to the head of its queue, whatever the
 * capacity, and the lane waits for hold_us.
 */
extern void bmw_lane_give_back(BmwLane *lane, BmwJob *job, int64_t hold_us, int64_t now_us);
/* Room in the queue of new (due) jobs. */
extern int bmw_lane_room_new(const BmwLane *lane);
extern int bmw_lane_room_due(const BmwLane *lane);
/* Takes the oldest new (due) job out without sending it, to park or cancel it; NULL: none. */
extern BmwJob *bmw_lane_take_new(BmwLane *lane);
extern BmwJob *bmw_lane_take_due(BmwLane *lane);
/* One that was taken out comes to the end of its queue, whatever the capacity, as old as it was. */
extern void bmw_lane_put_back(BmwLane *lane, BmwJob *job);
/* When the oldest queued new job came in; BMW_NEVER_US when none is queued. */
extern int64_t bmw_lane_oldest_us(const BmwLane *lane);
/* When did a request last end well; 0: never. */
extern int64_t bmw_lane_last_success_us(const BmwLane *lane);
/* Since when has every request failed; 0: the last one succeeded, or none was made. */
extern int64_t bmw_lane_failing_since_us(const BmwLane *lane);
extern int64_t bmw_lane_hold_until_us(const BmwLane *lane);
extern BmwLaneCounts bmw_lane_counts(const BmwLane *lane);
extern BmwLaneCounts bmw_lanes_counts(const BmwLanes *lanes);

/* The next job to send now, counted as in flight; NULL when there is none. */
extern BmwJob *bmw_lanes_next(BmwLanes *lanes, int64_t now_us);

/*
 * A request of the lane, which holds this place or none, is about to go there. False: as many go there
 * as may. *held is given back by bmw_lanes_leave() or when the job that has it ends.
 */
extern bool bmw_lane_enter(BmwLane *lane, BmwParty **held, uint64_t destination, int64_t now_us);
extern void bmw_lanes_leave(BmwLanes *lanes, BmwParty *held);

/* The job is no longer in flight. hold_us > 0: the lane waits that long. */
extern void bmw_lane_finished(BmwLane *lane, const BmwJob *job, BmwWindowEnd end, int64_t hold_us,
							  int64_t now_us);
/* How many requests it may have, how fast, and why. Valid until the next call. */
extern const BmwWindow *bmw_lane_window(const BmwLane *lane);

/*
 * Rows of the delivery table that wait for this lane: when the first is due.
 * BMW_NEVER_US: none that we know of. bmw_lane_expect() only moves it earlier.
 */
extern void bmw_lane_set_due(BmwLane *lane, int64_t due_us);
extern void bmw_lane_expect(BmwLane *lane, int64_t due_us);
/*
 * A lane that is due, not held, not stopped, and whose due queue is empty
 * enough (at most a quarter full) to fetch again; NULL: none. Ordered by due
 * time. The caller must then set_due() it anew.
 */
extern BmwLane *bmw_lanes_next_due(BmwLanes *lanes, int64_t now_us);

/* When something can happen without an event from outside: the next due or held-back lane. */
extern int64_t bmw_lanes_wakeup_us(const BmwLanes *lanes, int64_t now_us);

/* The clock was set back by so much: what was planned by it comes earlier. */
extern void bmw_lanes_shift(BmwLanes *lanes, int64_t by_us, int64_t now_us);

/* Visits every lane; fn may close the lane it is given. */
extern void bmw_lanes_each(BmwLanes *lanes, void (*fn)(BmwLane *lane, void *context),
						   void *context);
/* How many have new jobs in their queue. */
extern int bmw_lanes_with_new(const BmwLanes *lanes);
/* One of them, and each of the others before the same again. */
extern BmwLane *bmw_lanes_turn_new(BmwLanes *lanes);

#endif
