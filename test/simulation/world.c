/*
 * world.c - virtual time, and the heap of what happens next.
 *
 * A dispatcher that waits for a statement lets the world run on: then this is
 * entered again, and what happens meanwhile happens in the middle of its cycle.
 */
#include "world.h"

#include <string.h>

#include "dispatcher.h"
#include "receivers.h"
#include "tables.h"
#include "trace.h"
#include "support.h"
#include "users.h"

#define MOST 65536

typedef struct Entry
{
	int64_t when;
	uint64_t number; /* of those at the same time the first that was planned */
	Actor actor;
	int argument;
} Entry;

World world;
static Entry heap[MOST];
static int length;
static uint64_t numbers;

static bool is_before(const Entry *a, const Entry *b);
static Entry pop(void);
static void act(const Entry *entry);

void
world_begin(const Plan *plan)
{
	memset(&world, 0, sizeof(world));
	world.plan = *plan;
	world.clock = CLOCK_AT_START;
	world.hash = plan->seed;
	length = 0;
	numbers = 0;
}

void
world_at(int64_t when, Actor actor, int argument)
{
	int place = length++;
	Entry entry = {.when = when, .number = numbers++, .actor = actor, .argument = argument};

	if (length > MOST)
		violation("the simulation plans more than it has room for");
	for (; place > 0 && is_before(&entry, &heap[(place - 1) / 2]); place = (place - 1) / 2)
		heap[place] = heap[(place - 1) / 2];
	heap[place] = entry;
}

void
world_after(int64_t delay, Actor actor, int argument)
{
	world_at(world.now + delay, actor, argument);
}

void
world_run_until(int64_t when)
{
	while (length > 0 && heap[0].when <= when)
	{
		Entry entry = pop();

		if (entry.when > world.now)
			world.now = entry.when;
		world.steps++;
		world_mix((uint64_t) world.now ^ (uint64_t) entry.actor << 56 ^
				  (uint64_t) entry.argument << 40);
		act(&entry);
	}
	if (when > world.now)
		world.now = when;
}

int64_t
world_wall(void)
{
	return world.now + world.clock;
}

int64_t
world_planned(void)
{
	return world_wall() + world.set_back;
}

void
world_mix(uint64_t value)
{
	world.hash = (world.hash ^ value) * UINT64_C(0x100000001B3);
	world.hash ^= world.hash >> 29;
}

void
world_fault(int64_t duration)
{
	if (world.now + duration > world.faulty)
		world.faulty = world.now + duration;
}

static bool
is_before(const Entry *a, const Entry *b)
{
	return a->when < b->when || (a->when == b->when && a->number < b->number);
}

static Entry
pop(void)
{
	Entry top = heap[0];
	Entry last = heap[--length];
	int place = 0;

	for (int child; (child = 2 * place + 1) < length; place = child)
	{
		child += child + 1 < length && is_before(&heap[child + 1], &heap[child]);
		if (!is_before(&heap[child], &last))
			break;
		heap[place] = heap[child];
	}
	heap[place] = last;
	return top;
}

static void
act(const Entry *entry)
{
	switch (entry->actor)
	{
		case ACTOR_WRITER:
			users_write(entry->argument);
			break;
		case ACTOR_XACT:
			users_go_on(entry->argument);
			break;
		case ACTOR_ADMIN:
			users_administer();
			break;
		case ACTOR_SUPPORT:
			support_ask(entry->argument);
			break;
		case ACTOR_OPERATOR:
			users_operate(entry->argument);
			break;
		case ACTOR_WAL_WRITER:
			wal_flush(wal_end());
			world_after(random_between(50 * MS, 600 * MS), ACTOR_WAL_WRITER, 0);
			break;
		case ACTOR_RECEIVER:
			receivers_change(entry->argument);
			break;
		case ACTOR_ANSWER:
			receivers_answer(entry->argument);
			break;
		case ACTOR_CHALLENGED:
			challenge_answer(entry->argument);
			break;
		case ACTOR_DISPATCHER:
			dispatcher_wakes(entry->argument);
			break;
		case ACTOR_START:
			dispatcher_start(entry->argument);
			break;
		case ACTORS:
			break;
	}
}
