/*
 * core/lane_queue.h - a queue of jobs, linked through the jobs themselves.
 *
 * Zeroed memory is an empty queue. Owns nothing, and knows no ceiling: that is
 * for the lane to say.
 */
#ifndef BMW_CORE_LANE_QUEUE_H
#define BMW_CORE_LANE_QUEUE_H

#include "core/lane.h"

typedef struct BmwLaneQueue
{
	BmwJob *head;
	BmwJob *tail;
	int length;
} BmwLaneQueue;

/* At its end. The job must be in no queue. */
extern void bmw_lane_queue_push(BmwLaneQueue *queue, BmwJob *job);
/* At its head: the next to be taken. */
extern void bmw_lane_queue_return(BmwLaneQueue *queue, BmwJob *job);
/* Takes the head out; NULL when empty. */
extern BmwJob *bmw_lane_queue_pop(BmwLaneQueue *queue);

#endif
