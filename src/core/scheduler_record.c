/*
 * core/scheduler_record.c - what is written, when, and what follows from it.
 *
 * A delivery in memory has at most one record, and both lists always have room
 * for as many records as there are deliveries: so an outcome can never be lost
 * for want of memory. Only when a record has been written may what was in
 * memory be forgotten.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/batch.h"
#include "core/scheduler_internal.h"

#define FLUSH_AT 1000	/* records */
#define FLUSH_MOST 2000 /* at once: nothing is sent meanwhile */
#define PARK_LEAST 50
#define RETRY_US BMW_SECOND_US
#define LOCK_RETRY_US (BMW_SECOND_US / 5)
#define STUCK_SHARE 5 /* at most this part of the time goes into what is stuck */
#define CURSOR_INTERVAL_US BMW_SECOND_US
#define CURSOR_IDLE_INTERVAL_US (60 * BMW_SECOND_US)
#define NO_SECRET "the endpoint has no usable secret"

static bool grow(BmwRecords *list, int capacity);
static void keep(BmwScheduler *scheduler, BmwRecords *list, uint64_t committed);
static void follow(BmwScheduler *scheduler, BmwRecord *record, uint64_t committed);
static void await(BmwScheduler *scheduler, const BmwRecord *record, const BmwOrderKey *key,
				  bool keeps_order);
static void shift(BmwRecords *list, int64_t by_us);
static void free_texts(BmwRecord *record);

BmwRecord *
bmw_scheduler_due_records(BmwScheduler *scheduler, int *length)
{
	BmwWriter *writer = &scheduler->writer;
	const int64_t now_us = scheduler->now_us;
	const bool is_stopping = scheduler->mode == BMW_STOPPING;

	writer->at_hand = NULL;
	if (now_us < writer->retry_at_us && !is_stopping)
		return NULL;
	if (writer->fresh.length > 0 &&
		(is_stopping || writer->fresh.length >= FLUSH_AT ||
		 now_us >= writer->oldest_us + scheduler->limits.flush_interval_us))
		writer->at_hand = &writer->fresh;
	else if (writer->stuck.length > 0 && now_us >= writer->stuck_at_us)
		writer->at_hand = &writer->stuck;
	if (writer->at_hand == NULL)
		return NULL;
	*length = writer->at_hand->length;
	/* of those that are stuck, the first could be so for ever */
	if (writer->at_hand == &writer->fresh && *length > FLUSH_MOST)
		*length = FLUSH_MOST;
	return writer->at_hand->items;
}

void
bmw_scheduler_records_done(BmwScheduler *scheduler, BmwWriting result, uint64_t committed,
						   int64_t took_us)
{
	BmwWriter *writer = &scheduler->writer;
	BmwRecords *list = writer->at_hand;
	const int64_t now_us = scheduler->now_us;
	const bool is_first_stuck = writer->stuck.length == 0;

	assert(list != NULL);
	writer->at_hand = NULL;
	writer->wrote_us = now_us;
	if (list->length >= scheduler->park_length / 2)
		scheduler->park_length =
			bmw_batch_next(list->length, list->length, took_us, PARK_LEAST, BMW_PARK_LENGTH);
	keep(scheduler, list, committed);
	writer->retry_at_us = result == BMW_WRITING_LOCKED	 ? now_us + LOCK_RETRY_US
						  : result == BMW_WRITING_FAILED ? now_us + RETRY_US
														 : 0;
	if (list == &writer->stuck || is_first_stuck)
		writer->stuck_at_us =
			now_us +
			(took_us * STUCK_SHARE > LOCK_RETRY_US ? took_us * STUCK_SHARE : LOCK_RETRY_US);
}

bool
bmw_scheduler_due_cursor(const BmwScheduler *scheduler, const BmwSnapshot **snapshot,
						 int64_t *since_us)
{
	const BmwWriter *writer = &scheduler->writer;
	bool is_writing = writer->wrote_us == scheduler->now_us; /* a row that is written anyway */

	*snapshot = &writer->settled;
	*since_us = writer->settled_since_us;
	return writer->has_settled && (scheduler->mode == BMW_STOPPING ||
								   (is_writing && scheduler->now_us >= writer->cursor_at_us) ||
								   scheduler->now_us >= writer->cursor_latest_us);
}

void
bmw_scheduler_cursor_done(BmwScheduler *scheduler, bool is_written)
{
	BmwWriter *writer = &scheduler->writer;

	writer->cursor_at_us = scheduler->now_us + CURSOR_INTERVAL_US;
	writer->cursor_latest_us =
		scheduler->now_us + (is_written ? CURSOR_IDLE_INTERVAL_US : CURSOR_INTERVAL_US);
	if (is_written)
		writer->has_settled = false;
}

BmwRecord *
bmw_scheduler_record_add(BmwScheduler *scheduler, BmwDelivery *delivery, BmwDeliveryStatus status)
{
	BmwWriter *writer = &scheduler->writer;
	BmwRecord *record = &writer->fresh.items[writer->fresh.length];

	assert(writer->fresh.length < writer->fresh.capacity && writer->at_hand == NULL);
	assert(delivery->state != BMW_DELIVERY_RECORDED);
	if (writer->fresh.length++ == 0)
		writer->oldest_us = scheduler->now_us;
	*record = (BmwRecord){.event_id = delivery->event_id,
						  .endpoint_id = delivery->endpoint_id,
						  .status = status,
						  .has_row = delivery->job.has_row,
						  .attempts = delivery->job.attempts,
						  .first_attempt_us = delivery->job.first_attempt_us,
						  .fetched_due_us = delivery->fetched_due_us,
						  .delivery = delivery};
	delivery->state = BMW_DELIVERY_RECORDED;
	bmw_memory_release_body(scheduler, delivery);
	return record;
}

BmwRecord *
bmw_scheduler_record_find(BmwScheduler *scheduler, const BmwDelivery *delivery)
{
	BmwRecords *lists[] = {&scheduler->writer.fresh, &scheduler->writer.stuck};

	for (size_t l = 0; l < 2; l++)
		for (int i = 0; i < lists[l]->length; i++)
			if (lists[l]->items[i].delivery == delivery)
				return &lists[l]->items[i];
	assert(false);
	return NULL;
}

void
bmw_scheduler_record_park(BmwScheduler *scheduler, BmwDelivery *delivery, int64_t due_us)
{
	BmwRecord *record = bmw_scheduler_record_add(scheduler, delivery, BMW_PENDING);
	const BmwTarget *target = bmw_target_find(scheduler, delivery->endpoint_id);

	record->next_attempt_us = due_us > scheduler->now_us ? due_us : scheduler->now_us;
	if (due_us == BMW_HELD_BACK)
		bmw_scheduler_durable_hasten(scheduler);
	if (target == NULL || target->is_gone || target->rules.has_secret)
		return;
	record->error_class = "no_secret";
	record->error = strdup(NO_SECRET);
}

void
bmw_scheduler_record_cancel(BmwScheduler *scheduler, BmwDelivery *delivery, const char *reason)
{
	BmwRecord *record = bmw_scheduler_record_add(scheduler, delivery, BMW_CANCELED);

	record->error = strdup(reason);
}

bool
bmw_scheduler_record_reserve(BmwScheduler *scheduler, int more)
{
	BmwWriter *writer = &scheduler->writer;
	const int most = scheduler->deliveries + more + BMW_FETCH_LENGTH;

	return grow(&writer->fresh, most) && grow(&writer->stuck, most);
}

int64_t
bmw_scheduler_record_wakeup_us(const BmwScheduler *scheduler)
{
	const BmwWriter *writer = &scheduler->writer;
	int64_t wakeup = BMW_NEVER_US;

	if (writer->fresh.length >= FLUSH_AT)
		wakeup = 0;
	else if (writer->fresh.length > 0)
		wakeup = writer->oldest_us + scheduler->limits.flush_interval_us;
	if (writer->stuck.length > 0 && writer->stuck_at_us < wakeup)
		wakeup = writer->stuck_at_us;
	if (wakeup < writer->retry_at_us)
		wakeup = writer->retry_at_us;
	if (writer->has_settled && writer->cursor_latest_us < wakeup)
		wakeup = writer->cursor_latest_us;
	return wakeup;
}

void
bmw_scheduler_record_shift(BmwScheduler *scheduler, int64_t by_us)
{
	BmwWriter *writer = &scheduler->writer;

	writer->oldest_us -= by_us;
	writer->retry_at_us -= by_us;
	writer->stuck_at_us -= by_us;
	writer->cursor_at_us -= by_us;
	writer->cursor_latest_us -= by_us;
	writer->settled_since_us -= by_us;
	shift(&writer->fresh, by_us);
	shift(&writer->stuck, by_us);
}

void
bmw_scheduler_record_destroy(BmwScheduler *scheduler)
{
	BmwWriter *writer = &scheduler->writer;

	for (int i = 0; i < writer->fresh.length; i++)
		free_texts(&writer->fresh.items[i]);
	for (int i = 0; i < writer->stuck.length; i++)
		free_texts(&writer->stuck.items[i]);
	free(writer->fresh.items);
	free(writer->stuck.items);
	free(writer->ended);
	bmw_snapshot_free(&writer->settled);
}

static bool
grow(BmwRecords *list, int capacity)
{
	BmwRecord *items;

	if (list->capacity >= capacity)
		return true;
	capacity = list->capacity * 2 > capacity ? list->capacity * 2 : capacity;
	items = realloc(list->items, sizeof(*items) * (size_t) capacity);
	if (items == NULL)
		return false;
	list->items = items;
	list->capacity = capacity;
	return true;
}

/* What has no fate stays, what is stuck goes to the list of those. */
static void
keep(BmwScheduler *scheduler, BmwRecords *list, uint64_t committed)
{
	BmwRecords *stuck = &scheduler->writer.stuck;
	int kept = 0;

	for (int i = 0; i < list->length; i++)
	{
		BmwRecord *record = &list->items[i];

		switch (record->fate)
		{
			case BMW_RECORD_UNTRIED:
				list->items[kept++] = *record;
				break;
			case BMW_RECORD_STUCK:
				if (list == stuck)
					stuck->items[kept++] = *record;
				else
					stuck->items[stuck->length++] = *record;
				break;
			case BMW_RECORD_WRITTEN:
			case BMW_RECORD_OVERTAKEN:
			case BMW_RECORD_SET_ASIDE:
				follow(scheduler, record, committed);
				break;
		}
	}
	list->length = kept;
}

/* It has its row, or is kept elsewhere: what is now possible? */
static void
follow(BmwScheduler *scheduler, BmwRecord *record, uint64_t committed)
{
	BmwDelivery *delivery = record->delivery;
	BmwTarget *target = bmw_target_find(scheduler, record->endpoint_id);
	BmwEnded ended = {.head = {.key = bmw_delivery_key(delivery), .id = record->event_id},
					  .committed = committed};
	bool is_ordered = bmw_target_keeps_order(target, delivery);
	bool keeps_order = target != NULL && !target->is_gone && target->rules.is_ordered;
	BmwPass *pass = delivery->job.pass;

	/* what follows looks at what is in memory */
	bmw_memory_forget(scheduler, delivery);
	record->delivery = NULL;
	if (record->fate == BMW_RECORD_OVERTAKEN)
		bmw_scheduler_expect(scheduler, record->endpoint_id, 0);
	else if (record->status == BMW_PENDING)
	{
		/* one that was set aside keeps its place in the order, and is not sent */
		if (record->fate == BMW_RECORD_WRITTEN)
			await(scheduler, record, &ended.head.key, keeps_order);
	}
	else if (is_ordered)
		bmw_scheduler_durable_note(scheduler, &ended);
	free_texts(record);
	bmw_pass_settled(scheduler, pass);
}

/* It waits in the table. What it waited for may have come before it was written. */
static void
await(BmwScheduler *scheduler, const BmwRecord *record, const BmwOrderKey *key, bool keeps_order)
{
	if (!keeps_order || record->next_attempt_us != BMW_HELD_BACK)
		bmw_scheduler_expect(scheduler, record->endpoint_id, record->next_attempt_us);
	else if (bmw_order_is_head(scheduler->order, key, &record->event_id))
		bmw_order_want(scheduler->order, key);
}

static void
shift(BmwRecords *list, int64_t by_us)
{
	for (int i = 0; i < list->length; i++)
	{
		BmwRecord *record = &list->items[i];

		if (record->next_attempt_us != 0 && record->next_attempt_us != BMW_HELD_BACK)
			record->next_attempt_us -= by_us;
	}
}

static void
free_texts(BmwRecord *record)
{
	free(record->application);
	free(record->error);
	free(record->response);
	record->error = record->response = NULL;
}
