/*
 * operations.c - a model of the table operation: what users have asked for, how far it is.
 */
#include "operations.h"

#include <string.h>

#include "registry.h"
#include "tables.h"
#include "trace.h"
#include "work.h"
#include "world.h"

Operation operations[MAX_OPERATIONS];
int operations_length;

static void mark_canceled(int number);
static void mark_recovering(const Operation *operation, bool is_new);

void
operations_begin(void)
{
	operations_length = 0;
}

void
operations_add(const Operation *operation)
{
	int number = operations_length;

	if (number == MAX_OPERATIONS)
		return;
	operations_length++;
	operations[number] = *operation;
	operations[number].row = (OperationRow){.reached = operation->since};
	if (operation->kind == OPERATION_CANCEL)
		mark_canceled(number);
	else
		mark_recovering(&operations[number], true);
}

bool
operations_mean(const Operation *operation, int event)
{
	const BmwUuid *id = &tables.events[event].id;

	if (operation->event != NO_EVENT)
		return event == operation->event;
	return memcmp(id, &operation->since, sizeof(*id)) >= 0 &&
		   memcmp(id, &operation->until, sizeof(*id)) < 0;
}

/* The rule once more: it need not be enabled, and what names an endpoint is for nobody else. */
bool
operations_recover(const Operation *operation, int number)
{
	const Version *now = &registry.endpoints[operation->endpoint].now;
	const Event *event = &tables.events[number];

	return now->exists && event->endpoint == NOBODY &&
		   (now->application == NO_APPLICATION || now->application == event->application) &&
		   (now->types >> event->type & 1) != 0;
}

void
operations_note_change(int endpoint)
{
	for (int i = 0; i < operations_length; i++)
		if (operations[i].kind == OPERATION_RECOVER && operations[i].endpoint == endpoint &&
			!operations[i].row.has_ended)
			mark_recovering(&operations[i], false);
}

void
operations_forget_known(void)
{
	for (int i = 0; i < operations_length; i++)
		operations[i].is_known = false;
}

void
operations_forgive(const Operation *operation)
{
	for (int i = 0; i < tables.events_length; i++)
		if (operations_mean(operation, i))
		{
			pair_of(i, operation->endpoint)->recovering_by = 0;
			pair_of(i, operation->endpoint)->canceled_by = 0;
		}
}

void
operations_set_known(Operation *operation)
{
	for (int i = 0; i < tables.events_length; i++)
		if (operations_mean(operation, i))
			pair_of(i, operation->endpoint)->was_in_flight =
				pair_of(i, operation->endpoint)->open > 0;
	operation->is_known = true;
}

bool
operations_have_ended(void)
{
	for (int i = 0; i < operations_length; i++)
		if (!operations[i].row.has_ended)
			return false;
	return true;
}

/* Who was canceled before, and not sent again since, is so still. */
static void
mark_canceled(int number)
{
	const Operation *operation = &operations[number];

	for (int i = 0; i < tables.events_length; i++)
	{
		const Event *event = &tables.events[i];
		Pair *pair = pair_of(i, operation->endpoint);
		bool is_to_come =
			pair->row.status == ROW_NONE && (event->must >> operation->endpoint & 1) != 0;

		if (!event->is_committed || !operations_mean(operation, i) || pair->row.aside != ROW_NONE ||
			(pair->row.status != ROW_PENDING && !is_to_come) ||
			(pair->canceled_by != 0 && pair->again < pair->canceled))
			continue;
		pair->canceled_by = number + 1;
		pair->canceled = world.now;
		pair->was_in_flight = false;
	}
}

static void
mark_recovering(const Operation *operation, bool is_new)
{
	for (int i = 0; i < tables.events_length; i++)
	{
		Pair *pair = pair_of(i, operation->endpoint);
		bool is_meant = operations_recover(operation, i);

		if (!tables.events[i].is_committed || !operations_mean(operation, i))
			continue;
		if (is_meant)
			tables.events[i].may |= UINT32_C(1) << operation->endpoint;
		if (is_new && pair->row.status == ROW_NONE && pair->row.aside == ROW_NONE)
			pair->recovering_by = (int) (operation - operations) + 1;
		if (!is_meant)
			pair->recovering_by = 0;
	}
}
