/*
 * xacts.c - transactions, and snapshots as PostgreSQL takes them: xmax is one more
 * than the highest that has ended, not than the highest that has begun.
 */
#include <stdlib.h>
#include <string.h>

#include "registry.h"
#include "tables.h"
#include "trace.h"
#include "world.h"

Tables tables;

static BmwUuidState clocks[8];

static void link_by_id(Xact *xact, int event);
static void leave_running(int xact);
static void commit_events(const Xact *xact);
static void free_messages(const Xact *xact, bool is_committed);

void
tables_begin(void)
{
	memset(&tables, 0, sizeof(tables));
	memset(clocks, 0, sizeof(clocks));
	tables.last_ended = -1;
	wal_begin();
}

int
xact_begin(void)
{
	int xact = tables.xacts_length;

	if (xact == MAX_XACTS || tables.running_length == 60)
		return -1;
	tables.xacts_length++;
	tables.xacts[xact] = (Xact){.first_event = -1, .change = NO_CHANGE};
	tables.running[tables.running_length++] = xact;
	return xact;
}

void
xact_end(int number, bool is_committed)
{
	Xact *xact = &tables.xacts[number];

	leave_running(number);
	if (number > tables.last_ended)
		tables.last_ended = number;
	xact->state = is_committed ? XACT_COMMITTED : XACT_ROLLED_BACK;
	free_messages(xact, is_committed);
	if (is_committed)
		commit_events(xact);
}

void
xact_snapshot(BmwSnapshot *snapshot)
{
	*snapshot = (BmwSnapshot){.xmax = (uint64_t) (FIRST_XID + tables.last_ended + 1)};
	snapshot->xip = malloc(sizeof(uint64_t) * 64);
	for (int i = 0; i < tables.running_length && tables.running[i] <= tables.last_ended; i++)
		snapshot->xip[snapshot->xip_length++] = (uint64_t) (FIRST_XID + tables.running[i]);
	snapshot->xmin = snapshot->xip_length > 0 ? snapshot->xip[0] : snapshot->xmax;
}

/* The number of an event is in its id: that is how it is found again. */
int
event_insert(int number, const Event *event)
{
	Xact *xact = &tables.xacts[number];
	int made = tables.events_length;
	uint8_t random[8] = {0};
	Event *stored = &tables.events[made];

	if (made == MAX_EVENTS)
		return -1;
	tables.events_length++;
	for (int i = 0; i < 4; i++)
	{
		random[i] = (uint8_t) ((uint32_t) made * 2654435761U >> 8 * i);
		random[4 + i] = (uint8_t) (made >> (24 - 8 * i));
	}
	*stored = *event;
	stored->xact = number;
	stored->next = -1;
	bmw_uuid_next(&clocks[event->message >= 0 ? 0 : 1 + number % 7], world_wall(), random,
				  &stored->id);
	link_by_id(xact, made);
	return made;
}

int
event_of(const BmwUuid *id)
{
	int event = 0;

	for (int i = 0; i < 4; i++)
		event = event << 8 | id->bytes[12 + i];
	return event;
}

void
xact_crash(void)
{
	for (int i = tables.running_length - 1; i >= 0; i--)
		if (!tables.xacts[tables.running[i]].is_prepared)
			xact_end(tables.running[i], false);
}

static void
link_by_id(Xact *xact, int event)
{
	int *link = &xact->first_event;

	while (*link >= 0 && memcmp(tables.events[*link].id.bytes, tables.events[event].id.bytes,
								sizeof(BmwUuid)) < 0)
		link = &tables.events[*link].next;
	tables.events[event].next = *link;
	*link = event;
	xact->events++;
}

static void
leave_running(int xact)
{
	int i = 0;

	while (i < tables.running_length && tables.running[i] != xact)
		i++;
	if (i == tables.running_length)
		violation("the simulation ends a transaction twice");
	tables.running_length--;
	memmove(&tables.running[i], &tables.running[i + 1],
			sizeof(int) * (size_t) (tables.running_length - i));
}

/* From now on they are for all that match. */
static void
commit_events(const Xact *xact)
{
	for (int i = xact->first_event; i >= 0; i = tables.events[i].next)
	{
		Event *event = &tables.events[i];

		event->is_committed = true;
		event->committed = world.now;
		event->must = registry_match(event);
		event->may = event->must | registry_match_before(event);
		trace("event %d commits, for endpoints %x%s", i, event->must,
			  event->message != NO_MESSAGE ? ", of a message" : "");
	}
}

/* The next event of a message is made when the one before is committed: its order is known to all. */
static void
free_messages(const Xact *xact, bool is_committed)
{
	for (int i = xact->first_event; i >= 0; i = tables.events[i].next)
	{
		Message *message;

		if (tables.events[i].message == NO_MESSAGE)
			continue;
		message = &tables.messages[tables.events[i].message];
		message->busy_xact = 0;
		if (is_committed && message->length < MAX_OF_MESSAGE)
			message->events[message->length++] = i;
	}
}
