/*
 * core/lane_queue.c - a queue of jobs, linked through the jobs themselves.
 */
#include "core/lane_queue.h"

#include <stddef.h>

void
bmw_lane_queue_push(BmwLaneQueue *queue, BmwJob *job)
{
	job->next = NULL;
	if (queue->tail != NULL)
		queue->tail->next = job;
	else
		queue->head = job;
	queue->tail = job;
	queue->length++;
}

void
bmw_lane_queue_return(BmwLaneQueue *queue, BmwJob *job)
{
	job->next = queue->head;
	queue->head = job;
	if (queue->tail == NULL)
		queue->tail = job;
	queue->length++;
}

BmwJob *
bmw_lane_queue_pop(BmwLaneQueue *queue)
{
	BmwJob *job = queue->head;

	if (job == NULL)
		return NULL;
	queue->head = job->next;
	if (queue->head == NULL)
		queue->tail = NULL;
	queue->length--;
	job->next = NULL;
	return job;
}
