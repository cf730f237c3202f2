/*
 * core/scheduler_durable.c - what has ended, and that is written but not durable.
 *
 * A delivery of a message that has ended stays in the order until its end is on
 * disk: else a crash could send it again after the next.
 */
#include <stdlib.h>

#include "core/scheduler_internal.h"

static bool push_ended(BmwWriter *writer, const BmwEnded *ended);
static void leave_order(BmwScheduler *scheduler, const BmwOrderHead *head);

uint64_t
bmw_scheduler_wants_durable(const BmwScheduler *scheduler)
{
	return scheduler->writer.committed > scheduler->writer.flushed ? scheduler->writer.committed
																   : 0;
}

void
bmw_scheduler_durable(BmwScheduler *scheduler, uint64_t flushed)
{
	BmwWriter *writer = &scheduler->writer;

	writer->flushed = flushed;
	while (writer->ended_length > 0 && writer->ended[writer->ended_first].committed <= flushed)
	{
		BmwOrderHead head = writer->ended[writer->ended_first].head;

		writer->ended_first = (writer->ended_first + 1) % writer->ended_capacity;
		writer->ended_length--;
		leave_order(scheduler, &head);
	}
}

/* Something waits behind what has ended: perhaps only for that to be durable. */
void
bmw_scheduler_durable_hasten(BmwScheduler *scheduler)
{
	BmwWriter *writer = &scheduler->writer;
	int last = writer->ended_first + writer->ended_length - 1;

	if (writer->ended_length > 0)
		writer->committed = writer->ended[last % writer->ended_capacity].committed;
}

void
bmw_scheduler_durable_note(BmwScheduler *scheduler, const BmwEnded *ended)
{
	BmwWriter *writer = &scheduler->writer;

	if (bmw_order_has_others(scheduler->order, &ended->head.key, &ended->head.id))
		writer->committed = ended->committed;
	if (ended->committed <= writer->flushed || !push_ended(writer, ended))
		leave_order(scheduler, &ended->head);
}

/* False: no memory. */
static bool
push_ended(BmwWriter *writer, const BmwEnded *ended)
{
	if (writer->ended_length == writer->ended_capacity)
	{
		int capacity = writer->ended_capacity > 0 ? writer->ended_capacity * 2 : 256;
		BmwEnded *grown = malloc(sizeof(*grown) * (size_t) capacity);

		if (grown == NULL)
			return false;
		for (int i = 0; i < writer->ended_length; i++)
			grown[i] = writer->ended[(writer->ended_first + i) % writer->ended_capacity];
		free(writer->ended);
		writer->ended = grown;
		writer->ended_capacity = capacity;
		writer->ended_first = 0;
	}
	writer->ended[(writer->ended_first + writer->ended_length++) % writer->ended_capacity] = *ended;
	return true;
}

/* One that was made due again in between has not ended. */
static void
leave_order(BmwScheduler *scheduler, const BmwOrderHead *head)
{
	BmwUuid next;

	if (bmw_memory_find(scheduler, &head->id, head->key.endpoint_id) != NULL)
		return;
	if (bmw_order_remove(scheduler->order, &head->key, &head->id, &next))
		bmw_order_want(scheduler->order, &head->key);
}
