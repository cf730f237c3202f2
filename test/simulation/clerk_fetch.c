/*
 * clerk_fetch.c - the clerk who fetches what waits in the table.
 */
#include "check.h"
#include "dispatcher.h"
#include "trace.h"
#include "world.h"

#define AT_ONCE 4 /* endpoints */

typedef struct Found
{
	int events[MAX_EVENTS];
	BmwDueRow rows[MAX_EVENTS];
} Found;

static Found founds[MAX_SHARDS];

static void hear(Dispatcher *dispatcher);
static Result look(Dispatcher *dispatcher);
static int next_waiting(int64_t after_id);
static void expect(Dispatcher *dispatcher, int endpoint, const BmwLook *step);
static Result learn(Dispatcher *dispatcher);
static bool is_unfinished(int event, int endpoint);
static BmwStatus learn_one(Dispatcher *dispatcher, int64_t id, int event);
static Result fetch_all(Dispatcher *dispatcher, BmwFetch *fetches, int length);
static Result fetch(Dispatcher *dispatcher, BmwFetch *fetch);
static int find_heads(const BmwFetch *fetch, int endpoint, int *events);
static BmwDueRow due_row(int event, int endpoint);
static Result load(Dispatcher *dispatcher, BmwFetch *fetch, int event, const BmwDueRow *row);

bool
clerk_wants_fetch(Dispatcher *dispatcher)
{
	hear(dispatcher);
	return bmw_scheduler_wants_rows(dispatcher->scheduler);
}

Result
clerk_fetch(Dispatcher *dispatcher)
{
	Result result = RESULT_DONE;
	BmwFetch fetches[AT_ONCE];
	int rows = random_chance(500) ? BMW_FETCH_LENGTH : 2;

	hear(dispatcher);
	if (bmw_scheduler_wants_look(dispatcher->scheduler))
		result = look(dispatcher);
	if (result == RESULT_DONE)
		result = learn(dispatcher);
	if (result == RESULT_DONE)
		result = fetch_all(dispatcher, fetches,
						   bmw_scheduler_next_heads(dispatcher->scheduler, rows, fetches, AT_ONCE));
	if (result == RESULT_DONE)
		result = fetch_all(dispatcher, fetches,
						   bmw_scheduler_next_due(dispatcher->scheduler, rows, fetches, AT_ONCE));
	return result;
}

/* Those that are not ended, because one failed, are wanted still. */
static Result
fetch_all(Dispatcher *dispatcher, BmwFetch *fetches, int length)
{
	Result result = RESULT_DONE;

	for (int i = 0; i < length && result == RESULT_DONE; i++)
		result = fetch(dispatcher, &fetches[i]);
	return result;
}

static void
hear(Dispatcher *dispatcher)
{
	int before = check_before_look(dispatcher);

	if (dispatcher->has_due)
		bmw_scheduler_rows_are_due(dispatcher->scheduler);
	for (int i = 0; i < dispatcher->due_length; i++)
		if (dispatcher_owns(dispatcher, dispatcher->due[i]))
		{
			bmw_scheduler_rows_are_due_for(dispatcher->scheduler, registry_id(dispatcher->due[i]));
			check_look(dispatcher, before);
			before = check_before_look(dispatcher);
		}
	dispatcher->has_due = false;
	dispatcher->due_length = 0;
}

/* A step, of some endpoints. When it is calm, only one look more. */
static Result
look(Dispatcher *dispatcher)
{
	BmwLook step = bmw_scheduler_begin_look(dispatcher->scheduler);
	Result result = dispatcher_statement(dispatcher);
	int64_t last = INT64_MIN;
	int found = 0;
	int before;

	if (result != RESULT_DONE)
		return result;
	if (step.limit > 2)
		step.limit = 2; /* there are few endpoints */
	for (int i; found < step.limit && (i = next_waiting(found > 0 ? last : step.after_id)) >= 0;
		 found++)
	{
		last = registry_id(i);
		expect(dispatcher, i, &step);
	}
	before = check_before_look(dispatcher);
	bmw_scheduler_end_look(dispatcher->scheduler, &step, found, last, 0);
	check_look(dispatcher, before);
	if (world.is_calm && found < step.limit)
		check_plan_look(dispatcher, INT64_MAX);
	return RESULT_DONE;
}

/* -1: none. */
static int
next_waiting(int64_t after_id)
{
	int next = -1;

	for (int i = 0; i < registry.length; i++)
		if (registry_id(i) > after_id && (next < 0 || registry_id(i) < registry_id(next)) &&
			(rows_next_due(i, INT64_MIN) != BMW_HELD_BACK || rows_are_held(i)))
			next = i;
	return next;
}

static void
expect(Dispatcher *dispatcher, int endpoint, const BmwLook *step)
{
	int64_t due = rows_next_due(endpoint, INT64_MIN);

	if (!dispatcher_owns(dispatcher, endpoint))
		return;
	if (due != BMW_HELD_BACK)
		bmw_scheduler_expect(dispatcher->scheduler, registry_id(endpoint), due);
	if (step->with_held && rows_are_held(endpoint))
		bmw_scheduler_expect(dispatcher->scheduler, registry_id(endpoint), BMW_HELD_BACK);
}

static Result
learn(Dispatcher *dispatcher)
{
	int64_t id;

	while (bmw_scheduler_next_unlearnt(dispatcher->scheduler, &id, 1) > 0)
	{
		Result result = dispatcher_statement(dispatcher);

		if (result != RESULT_DONE)
			return result;
		MET(MET_LEARNT);
		for (int i = 0; i < tables.events_length; i++)
			if (is_unfinished(i, registry_of(id)) && learn_one(dispatcher, id, i) != BMW_OK)
				return RESULT_FAILED;
		bmw_scheduler_learnt(dispatcher->scheduler, id);
	}
	return RESULT_DONE;
}

static bool
is_unfinished(int event, int endpoint)
{
	const Row *row = &pair_of(event, endpoint)->row;

	return tables.events[event].message != NO_MESSAGE &&
		   (row->aside != ROW_NONE ? row->aside : row->status) == ROW_PENDING;
}

static BmwStatus
learn_one(Dispatcher *dispatcher, int64_t id, int event)
{
	BmwEventSource source = event_source(event);

	return bmw_scheduler_learn(dispatcher->scheduler, id, source.application, source.message_id,
							   &source.id);
}

static Result
fetch(Dispatcher *dispatcher, BmwFetch *at_hand)
{
	Found *found = &founds[dispatcher->shard];
	int endpoint = registry_of(at_hand->endpoint_id);
	Result result;
	int rows;
	int wanted = 0;

	check_taken(dispatcher, at_hand);
	result = dispatcher_statement(dispatcher);
	if (result != RESULT_DONE)
		return result;
	rows = at_hand->heads != NULL ? find_heads(at_hand, endpoint, found->events)
								  : rows_due(endpoint, at_hand->from_us, at_hand->to_us,
											 at_hand->limit, found->events);
	for (int i = 0; i < rows; i++)
	{
		BmwDueRow row = due_row(found->events[i], endpoint);

		world.steps++;
		if (!bmw_scheduler_offer(dispatcher->scheduler, at_hand, &row))
		{
			MET(MET_FOUND_AGAIN);
			continue;
		}
		found->events[wanted] = found->events[i];
		found->rows[wanted++] = row;
	}
	trace("shard %d fetches for endpoint %d: %d of at most %d rows%s from %.3f, wants %d",
		  dispatcher->shard, endpoint, rows, at_hand->limit,
		  at_hand->heads != NULL ? " of heads" : "",
		  (double) (at_hand->from_us - world_wall()) / 1e6, wanted);
	if (wanted > 0)
		result = dispatcher_statement(dispatcher);
	for (int i = 0; i < wanted && result == RESULT_DONE; i++)
		result = load(dispatcher, at_hand, found->events[i], &found->rows[i]);
	if (result == RESULT_DONE && at_hand->heads == NULL && rows < at_hand->limit)
		result = dispatcher_statement(dispatcher);
	if (result == RESULT_DONE)
		bmw_scheduler_end_fetch(dispatcher->scheduler, at_hand, rows,
								at_hand->heads == NULL && rows < at_hand->limit
									? rows_next_due(endpoint, at_hand->to_us)
									: INT64_MAX);
	return result;
}

static int
find_heads(const BmwFetch *at_hand, int endpoint, int *events)
{
	int rows = 0;

	for (int i = 0; i < at_hand->heads_length; i++)
	{
		int event = event_of(&at_hand->heads[i]);
		const Row *row = &pair_of(event, endpoint)->row;

		MET(MET_HEAD_FETCHED);
		if (row->aside != ROW_NONE || row->status != ROW_NONE)
			events[rows++] = event;
	}
	return rows;
}

static BmwDueRow
due_row(int event, int endpoint)
{
	const Row *row = &pair_of(event, endpoint)->row;

	return (BmwDueRow){.event_id = tables.events[event].id,
					   .is_pending =
						   (row->aside != ROW_NONE ? row->aside : row->status) == ROW_PENDING,
					   .attempts = row->attempts,
					   .first_attempt_us = row->first,
					   .due_us = row->aside != ROW_NONE ? 0 : row->due};
}

static Result
load(Dispatcher *dispatcher, BmwFetch *at_hand, int number, const BmwDueRow *row)
{
	const Event *event = &tables.events[number];
	int endpoint = registry_of(at_hand->endpoint_id);
	BmwEventSource source = event_source(number);

	if (!bmw_scheduler_has_room(dispatcher->scheduler, at_hand, row, event->size))
	{
		MET(MET_NO_ROOM);
		return RESULT_DONE;
	}
	if (dispatcher->starts > 1 && at_hand->heads != NULL)
		MET(MET_HEAD_AFTER_CRASH);
	if (bmw_scheduler_load(dispatcher->scheduler, at_hand, row, &source,
						   registry_fits(&dispatcher->known[endpoint], event, endpoint)) != BMW_OK)
		return RESULT_FAILED;
	return RESULT_DONE;
}
