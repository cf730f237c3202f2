/*
 * core/scheduler_memory.c - every delivery in memory, and the bytes of their bodies.
 *
 * A hash table by event and endpoint: a delivery is in memory once, from the
 * moment it is taken or loaded until its record has been written. A body that
 * several deliveries share is counted for each.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/scheduler_internal.h"

static bool make_room(BmwScheduler *scheduler);
static BmwDelivery **bucket_of(const BmwScheduler *scheduler, const BmwUuid *event_id,
							   int64_t endpoint_id);

BmwDelivery *
bmw_memory_create(BmwScheduler *scheduler, const BmwUuid *event_id, int64_t endpoint_id)
{
	BmwDelivery *delivery;

	if (!make_room(scheduler) || !bmw_scheduler_record_reserve(scheduler, 1))
		return NULL;
	delivery = calloc(1, sizeof(*delivery));
	if (delivery == NULL)
		return NULL;
	delivery->event_id = *event_id;
	delivery->endpoint_id = endpoint_id;
	return delivery;
}

BmwStatus
bmw_memory_give_up(BmwDelivery *delivery)
{
	free(delivery);
	return BMW_ERROR_MEMORY;
}

void
bmw_memory_add(BmwScheduler *scheduler, BmwDelivery *delivery)
{
	BmwDelivery **bucket = bucket_of(scheduler, &delivery->event_id, delivery->endpoint_id);

	delivery->hash_next = *bucket;
	*bucket = delivery;
	scheduler->deliveries++;
}

BmwDelivery *
bmw_memory_find(const BmwScheduler *scheduler, const BmwUuid *event_id, int64_t endpoint_id)
{
	BmwDelivery *delivery =
		scheduler->buckets_length > 0 ? *bucket_of(scheduler, event_id, endpoint_id) : NULL;

	while (delivery != NULL &&
		   (delivery->endpoint_id != endpoint_id ||
			memcmp(delivery->event_id.bytes, event_id->bytes, sizeof(event_id->bytes)) != 0))
		delivery = delivery->hash_next;
	return delivery;
}

void
bmw_memory_forget(BmwScheduler *scheduler, BmwDelivery *delivery)
{
	BmwDelivery **link = bucket_of(scheduler, &delivery->event_id, delivery->endpoint_id);
	BmwTarget *target = bmw_target_find(scheduler, delivery->endpoint_id);

	while (*link != delivery)
		link = &(*link)->hash_next;
	*link = delivery->hash_next;
	scheduler->deliveries--;
	if (delivery->job.has_row && target != NULL)
		target->loaded--;
	bmw_memory_release_body(scheduler, delivery);
	free(delivery);
	if (target != NULL)
		bmw_target_close_if_gone(scheduler, target);
}

void
bmw_memory_hold(BmwScheduler *scheduler, BmwDelivery *delivery, BmwEvent *event)
{
	BmwTarget *target = bmw_target_find(scheduler, delivery->endpoint_id);

	assert(target != NULL && delivery->job.event == NULL);
	delivery->job.event = bmw_event_retain(event);
	delivery->is_operational = event->is_operational;
	scheduler->bytes += (int64_t) event->body_len;
	target->bytes += (int64_t) event->body_len;
}

void
bmw_memory_release_body(BmwScheduler *scheduler, BmwDelivery *delivery)
{
	BmwTarget *target = bmw_target_find(scheduler, delivery->endpoint_id);
	BmwEvent *event = delivery->job.event;

	if (event == NULL)
		return;
	scheduler->bytes -= (int64_t) event->body_len;
	if (target != NULL)
		target->bytes -= (int64_t) event->body_len;
	bmw_event_release(event);
	delivery->job.event = NULL;
}

void
bmw_memory_each(BmwScheduler *scheduler,
				void (*fn)(BmwScheduler *scheduler, BmwDelivery *delivery, void *context),
				void *context)
{
	for (int i = 0; i < scheduler->buckets_length; i++)
		for (BmwDelivery *delivery = scheduler->buckets[i], *next; delivery != NULL;
			 delivery = next)
		{
			next = delivery->hash_next;
			fn(scheduler, delivery, context);
		}
}

void
bmw_memory_destroy(BmwScheduler *scheduler)
{
	for (int i = 0; i < scheduler->buckets_length; i++)
		for (BmwDelivery *delivery = scheduler->buckets[i], *next; delivery != NULL;
			 delivery = next)
		{
			next = delivery->hash_next;
			if (delivery->job.event != NULL)
				bmw_event_release(delivery->job.event);
			free(delivery);
		}
	free(scheduler->buckets);
}

/* Longer chains are no harm, but there must be buckets. */
static bool
make_room(BmwScheduler *scheduler)
{
	BmwScheduler grown = {.buckets_length =
							  scheduler->buckets_length > 0 ? scheduler->buckets_length * 2 : 1024};

	if (scheduler->deliveries < scheduler->buckets_length)
		return true;
	grown.buckets = calloc((size_t) grown.buckets_length, sizeof(*grown.buckets));
	if (grown.buckets == NULL)
		return scheduler->buckets_length > 0;
	for (int i = 0; i < scheduler->buckets_length; i++)
		for (BmwDelivery *delivery = scheduler->buckets[i], *next; delivery != NULL;
			 delivery = next)
		{
			BmwDelivery **bucket = bucket_of(&grown, &delivery->event_id, delivery->endpoint_id);

			next = delivery->hash_next;
			delivery->hash_next = *bucket;
			*bucket = delivery;
		}
	free(scheduler->buckets);
	scheduler->buckets = grown.buckets;
	scheduler->buckets_length = grown.buckets_length;
	return true;
}

/* The last bytes of an id are random. */
static BmwDelivery **
bucket_of(const BmwScheduler *scheduler, const BmwUuid *event_id, int64_t endpoint_id)
{
	uint64_t hash;

	memcpy(&hash, &event_id->bytes[8], sizeof(hash));
	hash = (hash ^ (uint64_t) endpoint_id) * UINT64_C(0x9E3779B97F4A7C15);
	return &scheduler->buckets[(hash >> 32) & (uint64_t) (scheduler->buckets_length - 1)];
}
