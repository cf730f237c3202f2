/*
 * core/scheduler_cancel.c - what users cancel while it is in memory.
 *
 * What is queued and has no row yet is recorded as canceled; what has one is
 * forgotten, as the row is the caller's to cancel. A request in flight is not
 * called back: when it fails, its delivery waits in the table, where it is found.
 */
#include <stdlib.h>
#include <string.h>

#include "core/scheduler_internal.h"

typedef struct Listing
{
	int64_t endpoint_id;
	BmwUuid *events;
	int length;
	int capacity;
} Listing;

typedef struct Counting
{
	const BmwCancellation *cancellation;
	int64_t count;
} Counting;

static void sift(BmwScheduler *scheduler, BmwTarget *target, const BmwCancellation *cancellation,
				 bool has_row);
static void drop(BmwScheduler *scheduler, BmwTarget *target, BmwDelivery *delivery,
				 const char *reason);
static void list(BmwScheduler *scheduler, BmwDelivery *delivery, void *context);
static void count(BmwScheduler *scheduler, BmwDelivery *delivery, void *context);
static bool is_meant(const BmwCancellation *cancellation, const BmwUuid *event_id);

int64_t
bmw_scheduler_cancel(BmwScheduler *scheduler, const BmwCancellation *cancellation)
{
	BmwTarget *target = bmw_target_find(scheduler, cancellation->endpoint_id);
	Counting counting = {.cancellation = cancellation};

	if (target == NULL)
		return 0;
	sift(scheduler, target, cancellation, false);
	sift(scheduler, target, cancellation, true);
	bmw_memory_each(scheduler, count, &counting);
	return counting.count;
}

bool
bmw_scheduler_has_taken(const BmwScheduler *scheduler, uint64_t xid)
{
	const BmwPasses *passes = &scheduler->passes;

	return bmw_snapshot_sees(
		passes->has_provisional ? &passes->provisional_previous : &passes->previous, xid);
}

int
bmw_scheduler_in_memory(BmwScheduler *scheduler, int64_t endpoint_id, BmwUuid *events, int length)
{
	Listing listing = {.endpoint_id = endpoint_id, .events = events, .capacity = length};

	bmw_memory_each(scheduler, list, &listing);
	return listing.length;
}

void
bmw_scheduler_canceled(BmwScheduler *scheduler, int64_t endpoint_id)
{
	bmw_order_want_all(scheduler->order, endpoint_id);
}

bool
bmw_scheduler_keeps_order(const BmwScheduler *scheduler, int64_t endpoint_id)
{
	const BmwTarget *target = bmw_target_find(scheduler, endpoint_id);

	return target == NULL || target->rules.identity == 0 || target->rules.is_ordered;
}

/* Takes all out of one of the lane's queues, and puts those back that are not meant. */
static void
sift(BmwScheduler *scheduler, BmwTarget *target, const BmwCancellation *cancellation, bool has_row)
{
	BmwJob *kept = NULL;
	BmwJob **end = &kept;
	BmwJob *job;

	while ((job = has_row ? bmw_lane_take_due(target->lane) : bmw_lane_take_new(target->lane)) !=
		   NULL)
	{
		BmwDelivery *delivery = (BmwDelivery *) job;

		if (is_meant(cancellation, &delivery->event_id))
		{
			drop(scheduler, target, delivery,
				 cancellation->is_drop ? BMW_DROPPED_BY_USER : BMW_CANCELED_BY_USER);
			continue;
		}
		job->next = NULL;
		*end = job;
		end = &job->next;
	}
	while ((job = kept) != NULL)
	{
		kept = job->next;
		bmw_lane_put_back(target->lane, job);
	}
}

static void
drop(BmwScheduler *scheduler, BmwTarget *target, BmwDelivery *delivery, const char *reason)
{
	if (!delivery->job.has_row)
	{
		bmw_scheduler_record_cancel(scheduler, delivery, reason);
		return;
	}
	/* should its row not be canceled after all, it is found again */
	bmw_memory_forget(scheduler, delivery);
	bmw_target_expect(target, 0);
}

static void
list(BmwScheduler *scheduler, BmwDelivery *delivery, void *context)
{
	Listing *listing = context;

	(void) scheduler;
	if (delivery->endpoint_id != listing->endpoint_id)
		return;
	if (listing->length < listing->capacity)
		listing->events[listing->length] = delivery->event_id;
	listing->length++;
}

static void
count(BmwScheduler *scheduler, BmwDelivery *delivery, void *context)
{
	Counting *counting = context;

	(void) scheduler;
	counting->count += delivery->endpoint_id == counting->cancellation->endpoint_id &&
					   is_meant(counting->cancellation, &delivery->event_id);
}

static bool
is_meant(const BmwCancellation *cancellation, const BmwUuid *event_id)
{
	if (cancellation->events != NULL)
		return bsearch(event_id, cancellation->events, cancellation->events_length,
					   sizeof(*event_id), bmw_uuid_compare) != NULL;
	return bmw_uuid_compare(event_id, &cancellation->before) < 0;
}
