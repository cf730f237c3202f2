/*
 * clerk_operate.c - the clerk who works off what users have asked for, as
 * src/pg/dispatch/operate.c and the functions of SQL that it calls have it.
 */
#include <string.h>

#include "check.h"
#include "dispatcher.h"
#include "operations.h"
#include "operators.h"
#include "trace.h"
#include "world.h"

#define STEP_PART 12 /* of the rows that a step may have: there are few events */
#define OF_ONE_APPLICATION 4

typedef struct Step
{
	Operation *operation;
	bool is_more_to_come;
	BmwUuid in_memory[MAX_EVENTS];
	int in_memory_length;
	int most; /* events */
	int events[BMW_OPERATION_ROWS];
	int events_length;
} Step;

typedef enum StepEnd
{
	STEP_DONE,
	STEP_LOCKED,
	STEP_REFUSED
} StepEnd;

static void read_open(Dispatcher *dispatcher);
static int nth_open(int application, int rank);
static Result make_step(Dispatcher *dispatcher, Step *step, BmwOperationResult *result);
static void see_memory(Dispatcher *dispatcher, Step *step);
static BmwOperationResult commit(Dispatcher *dispatcher, const Step *step, OperationRow *row);
static StepEnd cancel_some(Step *step);
static StepEnd walk(const Dispatcher *dispatcher, Step *step);
static void recover_some(Step *step);
static int next_event(const Operation *operation, const BmwUuid *after);
static bool is_known(const Step *step, int event);
static BmwOperationResult give_up(Step *step);

/* At most one step. */
Result
clerk_operate(Dispatcher *dispatcher)
{
	static Step steps[MAX_SHARDS];
	Step *step = &steps[dispatcher->shard];
	int64_t start = world.now;
	BmwOperationResult result;
	int64_t id;

	if (dispatcher->is_stopping || dispatcher->mode != BMW_RUNNING)
		return RESULT_DONE;
	if (bmw_operations_wants_reading(&dispatcher->operations, dispatcher->has_operation, start))
		read_open(dispatcher);
	if (!bmw_operations_next(&dispatcher->operations, &id, start))
		return RESULT_DONE;
	step->operation = &operations[id];
	step->most = bmw_operations_rows(&dispatcher->operations) / STEP_PART;
	if (make_step(dispatcher, step, &result) == RESULT_DIED)
		return RESULT_DIED;
	bmw_operations_done(&dispatcher->operations, id, result, world.now - start, world.now);
	return RESULT_DONE;
}

/* At most so many of each application, the oldest of each first. */
static void
read_open(Dispatcher *dispatcher)
{
	bool has_more = false;

	dispatcher->has_operation = false;
	bmw_operations_begin_reading(&dispatcher->operations);
	for (int rank = 1; rank <= OF_ONE_APPLICATION * dispatchers_length; rank++)
		for (int application = NO_APPLICATION; application < APPLICATIONS; application++)
		{
			int open = nth_open(application, rank);

			has_more |= open >= 0 && rank == OF_ONE_APPLICATION * dispatchers_length;
			if (open >= 0 && dispatcher_owns(dispatcher, operations[open].endpoint))
				has_more |= !bmw_operations_add(&dispatcher->operations, open, application);
		}
	bmw_operations_read(&dispatcher->operations, !has_more, world.now);
}

/* -1: there are not so many. */
static int
nth_open(int application, int rank)
{
	for (int i = 0; i < operations_length; i++)
		if (!operations[i].row.has_ended && operations[i].application == application && --rank == 0)
			return i;
	return -1;
}

static Result
make_step(Dispatcher *dispatcher, Step *step, BmwOperationResult *result)
{
	Operation *operation = step->operation;
	OperationRow row = operation->row;
	Result statement = dispatcher_statement(dispatcher);
	StepEnd end;

	*result = BMW_OPERATION_LATER;
	if (row.has_ended)
		*result = BMW_OPERATION_ENDED;
	if (statement != RESULT_DONE || row.has_ended)
		return statement;
	see_memory(dispatcher, step);
	statement = dispatcher_statement(dispatcher);
	if (statement != RESULT_DONE || tables.full_until > world.now ||
		tables.log_locked_until > world.now ||
		(operation->kind == OPERATION_RECOVER && tables.endpoints_locked_until > world.now))
		return statement;
	step->events_length = 0;
	end = operation->kind == OPERATION_CANCEL ? cancel_some(step) : walk(dispatcher, step);
	if (end == STEP_REFUSED)
		*result = give_up(step);
	else if (end == STEP_DONE)
		*result = commit(dispatcher, step, &row);
	return RESULT_DONE;
}

/* What is canceled must not begin any more; what is in memory alone is no less known than what has a row. */
static void
see_memory(Dispatcher *dispatcher, Step *step)
{
	Operation *operation = step->operation;
	BmwScheduler *scheduler = dispatcher->scheduler;
	bool has_taken = bmw_scheduler_has_taken(scheduler, (uint64_t) (FIRST_XID + operation->xact));
	BmwCancellation cancellation = {.endpoint_id = registry_id(operation->endpoint),
									.before = operation->until};

	step->is_more_to_come = !has_taken;
	if (operation->kind == OPERATION_RECOVER)
	{
		step->in_memory_length = bmw_scheduler_in_memory(scheduler, cancellation.endpoint_id,
														 step->in_memory, MAX_EVENTS);
		return;
	}
	if (operation->event >= 0)
	{
		cancellation.events = &tables.events[operation->event].id;
		cancellation.events_length = 1;
	}
	memory_begin(true);
	step->is_more_to_come |= bmw_scheduler_cancel(scheduler, &cancellation) > 0;
	memory_end();
	if (has_taken)
		operations_set_known(operation);
}

static BmwOperationResult
commit(Dispatcher *dispatcher, const Step *step, OperationRow *row)
{
	Operation *operation = step->operation;
	bool is_cancel = operation->kind == OPERATION_CANCEL;
	int64_t id = registry_id(operation->endpoint);

	row->has_ended = is_cancel ? step->events_length == 0 && !step->is_more_to_come
							   : step->events_length < step->most && !step->is_more_to_come;
	if (is_cancel && step->events_length == 0 && step->is_more_to_come)
		MET(MET_CANCEL_WAITED);
	if (!is_cancel && step->is_more_to_come)
		MET(MET_RECOVERY_WAITED);
	if (step->events_length > 0)
		row->reached = tables.events[step->events[step->events_length - 1]].id;
	if (row->has_ended || step->events_length > 0)
	{
		dispatcher->deeds++;
		wal_note_operation((int) (operation - operations));
		operation->row = *row;
		wal_commit();
		trace("shard %d: operation %d looks at %d%s", dispatcher->shard,
			  (int) (operation - operations), step->events_length,
			  row->has_ended ? ", and has ended" : "");
	}
	if (row->has_ended && PLAN_HAS(HAS_SERVER_CRASHES) && random_chance(50))
		world_after(random_about(20 * MS), ACTOR_OPERATOR, CRASH_SERVER);
	if (row->has_ended && !is_cancel)
		check_recovered(operation, step->in_memory, step->in_memory_length);
	if (is_cancel && bmw_scheduler_keeps_order(dispatcher->scheduler, id))
		wal_flush(wal_end());
	if (is_cancel)
		bmw_scheduler_canceled(dispatcher->scheduler, id);
	else
		bmw_scheduler_expect(dispatcher->scheduler, id, 0);
	if (row->has_ended)
		return BMW_OPERATION_ENDED;
	return (is_cancel ? step->events_length > 0 : !step->is_more_to_come) ? BMW_OPERATION_MORE
																		  : BMW_OPERATION_LATER;
}

/* All of a step, or nothing. */
static StepEnd
cancel_some(Step *step)
{
	int endpoint = step->operation->endpoint;
	const int *events;
	int length = rows_pending(endpoint, &events);

	for (int i = 0; i < length && step->events_length < step->most; i++)
		if (operations_mean(step->operation, events[i]) &&
			pair_of(events[i], endpoint)->row.aside == ROW_NONE)
			step->events[step->events_length++] = events[i];
	for (int i = 0; i < step->events_length; i++)
		if (pair_of(step->events[i], endpoint)->locked_until > world.now)
			return STEP_LOCKED;
	for (int i = 0; i < step->events_length; i++)
		if (pair_of(step->events[i], endpoint)->is_refused)
			return STEP_REFUSED;
	for (int i = 0; i < step->events_length; i++)
	{
		Row row = pair_of(step->events[i], endpoint)->row;

		MET(MET_CANCELED_IN_TABLE);
		row.status = ROW_CANCELED;
		row.due = 0;
		row_write(step->events[i], endpoint, &row);
		trace("event %d for endpoint %d is canceled", step->events[i], endpoint);
	}
	return STEP_DONE;
}

/* The next events that are visible, in the order of their ids; none of them may be to be taken still. */
static StepEnd
walk(const Dispatcher *dispatcher, Step *step)
{
	const Operation *operation = step->operation;

	if (step->is_more_to_come)
		return STEP_DONE;
	for (int event = next_event(operation, &operation->row.reached);
		 event >= 0 && step->events_length < step->most;
		 event = next_event(operation, &tables.events[event].id))
		step->events[step->events_length++] = event;
	for (int i = 0; i < step->events_length; i++)
		if (!bmw_scheduler_has_taken(dispatcher->scheduler,
									 (uint64_t) (FIRST_XID + tables.events[step->events[i]].xact)))
		{
			MET(MET_RECOVERY_WAITED);
			return STEP_LOCKED;
		}
	for (int i = 0; i < step->events_length; i++)
		if (operations_recover(operation, step->events[i]) && !is_known(step, step->events[i]) &&
			pair_of(step->events[i], operation->endpoint)->is_refused)
			return STEP_REFUSED;
	recover_some(step);
	return STEP_DONE;
}

/* -1: none. */
static int
next_event(const Operation *operation, const BmwUuid *after)
{
	int next = -1;

	for (int i = 0; i < tables.events_length; i++)
	{
		const BmwUuid *id = &tables.events[i].id;

		if (tables.events[i].is_committed && memcmp(id, after, sizeof(*id)) > 0 &&
			memcmp(id, &operation->until, sizeof(*id)) < 0 &&
			(next < 0 || memcmp(id, &tables.events[next].id, sizeof(*id)) < 0))
			next = i;
	}
	return next;
}

static void
recover_some(Step *step)
{
	int endpoint = step->operation->endpoint;

	for (int i = 0; i < step->events_length; i++)
	{
		int event = step->events[i];
		Row row = {.status = ROW_PENDING, .due = world_wall()};

		if (!operations_recover(step->operation, event) || is_known(step, event))
			continue;
		MET(MET_RECOVERED);
		tables.events[event].may |= UINT32_C(1) << endpoint; /* it may have been committed since */
		row_write(event, endpoint, &row);
		trace("event %d for endpoint %d is recovered", event, endpoint);
	}
}

/* Has it a row, or is it in memory? */
static bool
is_known(const Step *step, int event)
{
	const Pair *pair = pair_of(event, step->operation->endpoint);

	if (pair->row.status != ROW_NONE || pair->row.aside != ROW_NONE)
		return true;
	for (int i = 0; i < step->in_memory_length; i++)
		if (memcmp(&step->in_memory[i], &tables.events[event].id, sizeof(BmwUuid)) == 0)
		{
			MET(MET_NOT_RECOVERED_TWICE);
			return true;
		}
	return false;
}

/* What the log refuses it would refuse again: the operation ends, and says why. */
static BmwOperationResult
give_up(Step *step)
{
	OperationRow *row = &step->operation->row;

	MET(MET_OPERATION_FAILED);
	wal_note_operation((int) (step->operation - operations));
	row->has_ended = row->has_failed = true;
	wal_commit();
	operations_forgive(step->operation);
	return BMW_OPERATION_ENDED;
}
