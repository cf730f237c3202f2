/*
 * core/lane_internal.h - what lane.c and lanes.c share; nobody else includes it.
 *
 * lane.c is one lane: its queues, its window, its health. lanes.c is the set:
 * finding a lane, and whose turn it is. Every change of a lane that may matter
 * to its turn ends with bmw_lane_refresh().
 */
#ifndef BMW_CORE_LANE_INTERNAL_H
#define BMW_CORE_LANE_INTERNAL_H

#include <sys/queue.h>

#include "core/destination.h"
#include "core/heap.h"
#include "core/lane.h"
#include "core/lane_queue.h"
#include "core/rate_limit.h"
#include "core/share.h"

/* What was said of it last (report.h). */
typedef struct BmwLaneReported
{
	int in_flight;
	int allowed;
	BmwWindowReason reason;
	float rate;
	bool is_crowded;
	bool is_queueing;
	int64_t held_until_us;
	int64_t since_us;
} BmwLaneReported;

struct BmwLane
{
	BmwLanes *lanes;
	BmwLane *hash_next;
	BmwShareMember member;
	BmwVisit visit;
	BmwHeapNode held;	 /* in lanes->held */
	BmwHeapNode waiting; /* in lanes->waiting */
	int64_t endpoint_id;
	void *tag;
	BmwLaneQueue fresh;
	BmwLaneQueue due;
	int in_flight;
	BmwWindow window;
	BmwRateLimit rate_limit;
	unsigned turn;
	bool is_stopped;
	bool is_noted;
	bool has_new;
	int64_t hold_until_us;
	int64_t open_us; /* a request may start, if there is a job */
	int64_t due_us;	 /* first waiting row of the table */
	int64_t last_success_us;
	int64_t failing_since_us;
	LIST_ENTRY(BmwLane) noted;	   /* in lanes->noted, while is_noted */
	TAILQ_ENTRY(BmwLane) with_new; /* in lanes->with_new, while has_new */
	BmwLaneReported reported;
};

struct BmwLanes
{
	BmwLane **buckets;
	int buckets_length; /* a power of two */
	int length;
	BmwShares shares; /* whose turn is next */
	BmwDestinations destinations;
	BmwHeap held;	 /* lanes with jobs, by the end of their hold */
	BmwHeap waiting; /* lanes that want to fetch, by when they may */
	int capacity;
	int max_in_flight;
	BmwJobCheck check; /* NULL: all are to be sent */
	void *check_context;
	LIST_HEAD(BmwNotedLanes, BmwLane) noted;   /* there may be something new to say of them */
	TAILQ_HEAD(BmwNewLanes, BmwLane) with_new; /* have new jobs in their queue */
	int with_new_length;
	BmwLaneCounts total;
	int64_t now_us; /* the latest that a caller said */
};

/* lanes.c: puts the lane where its state says: among the ready ones of its share, and in or out of the heaps. */
extern void bmw_lane_refresh(BmwLane *lane);

/* lane.c */
/* The job that it would hand out. */
extern BmwJob *bmw_lane_first(BmwLane *lane);
extern void bmw_lane_note(BmwLane *lane);
extern void bmw_lane_forget_note(BmwLane *lane);
extern void bmw_lane_set_limit(BmwLane *lane, int max_in_flight);
/* See bmw_lanes_shift(). */
extern void bmw_lane_shift(BmwLane *lane, int64_t by_us);
/* Takes the job whose turn it is; there must be one. It is in flight from now on. */
extern BmwJob *bmw_lane_hand_out(BmwLane *lane, int64_t now_us);

#endif
