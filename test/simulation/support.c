/*
 * support.c - what people ask for who look after deliveries: send it again, cancel it, pause,
 * recover; and those who only look, FOR UPDATE.
 */
#include "support.h"

#include "dispatcher.h"
#include "operations.h"
#include "receivers.h"
#include "tables.h"
#include "trace.h"
#include "work.h"
#include "world.h"

#define RESUME 1 /* everything and everybody, after a short pause */

static void look_or_redeliver(void);
static void cancel(void);
static void recover(void);
static void pause(void);
static void resume(int application);
static int recent_event(void);
static int64_t briefly(void);
static void redeliver(const Work *work);
static void add_operations(int xact, const Work *work);
static void add_operation(int xact, const Work *work, int endpoint);

void
support_ask(int argument)
{
	if (world.is_calm)
		return;
	if (argument == RESUME)
	{
		support_resume_all();
		return;
	}
	world_after(random_about(SECOND / 2), ACTOR_SUPPORT, 0);
	if (PLAN_HAS(HAS_CANCELS) && random_chance(60))
		cancel();
	else if (PLAN_HAS(HAS_RECOVERY) && random_chance(80))
		recover();
	else if (PLAN_HAS(HAS_PAUSES) && random_chance(100))
		pause();
	else
		look_or_redeliver();
}

void
support_commit(int xact, const Work *work)
{
	switch (work->kind)
	{
		case WORK_EMIT:
		case WORK_CHANGE:
			break;
		case WORK_REDELIVER:
			redeliver(work);
			break;
		case WORK_CANCEL:
		case WORK_RECOVER:
			add_operations(xact, work);
			break;
		case WORK_PAUSE:
			registry.is_pause_locked = false;
			registry_pause(work->application, work->is_paused);
			trace("application %d (-1: everything) is %s", work->application,
				  work->is_paused ? "paused" : "resumed");
			break;
	}
}

void
support_resume_all(void)
{
	for (int application = NO_APPLICATION; application < APPLICATIONS; application++)
		resume(application);
	for (int i = 0; i < registry.length; i++)
	{
		Work work = {.kind = WORK_CHANGE,
					 .event = NO_EVENT,
					 .changes = true,
					 .endpoint = i,
					 .version = registry.endpoints[i].now};

		work.version.is_paused = false;
		if (registry.endpoints[i].now.is_paused &&
			registry.endpoints[i].locked_until <= world.now && users_begin_work(&work, MS) >= 0)
			registry.endpoints[i].locked_until = INT64_MAX;
	}
}

static void
look_or_redeliver(void)
{
	Work work = {.kind = WORK_REDELIVER, .endpoint = random_below(registry.length)};
	bool redelivers = PLAN_HAS(HAS_REDELIVERY) && random_chance(500);
	int64_t lasts = briefly();
	Pair *pair;

	if (tables.events_length == 0 || (!redelivers && !PLAN_HAS(HAS_ROW_LOCKS)))
		return;
	work.event = recent_event();
	if (redelivers && random_chance(300))
		receivers_choose_open(&work.event, &work.endpoint);
	pair = pair_of(work.event, work.endpoint);
	if (pair->row.status == ROW_NONE || pair->locked_until > world.now)
		return;
	if (redelivers && users_begin_work(&work, lasts) < 0)
		return;
	if (redelivers)
		lasts = INT64_MAX - world.now;
	pair->locked_until = world.now + lasts;
}

/* Of an endpoint: one event, what was captured before a time, or all; or everything. */
static void
cancel(void)
{
	Work work = {.kind = WORK_CANCEL,
				 .endpoint = random_chance(150) ? NOBODY : random_below(registry.length),
				 .event = NO_EVENT,
				 .since = INT64_MIN / 2,
				 .until = world_wall()};

	if (tables.events_length > 0 && random_chance(300))
		work.event = recent_event();
	else if (random_chance(300))
		work.until -= random_about(3 * SECOND);
	if (PLAN_HAS(HAS_REFUSALS) && tables.events_length > 0 && random_chance(300))
		pair_of(recent_event(), random_below(registry.length))->is_refused = true;
	(void) users_begin_work(&work, briefly());
}

/* It may move back since when events are for the endpoint: that is a change of its row. */
static void
recover(void)
{
	Work work = {.kind = WORK_RECOVER,
				 .endpoint = random_below(registry.length),
				 .event = NO_EVENT,
				 .since = world_wall() - random_about(10 * SECOND),
				 .until = world_wall()};
	Endpoint *endpoint = &registry.endpoints[work.endpoint];

	if (!endpoint->now.exists || endpoint->locked_until > world.now ||
		tables.endpoints_locked_until > world.now)
		return;
	if (random_chance(200))
		work.until -= random_about(3 * SECOND);
	if (work.until < work.since)
		work.until = work.since;
	work.changes = work.since < endpoint->now.since;
	work.version = endpoint->now;
	if (work.changes)
		work.version.since = work.since;
	if (users_begin_work(&work, briefly()) >= 0 && work.changes)
		endpoint->locked_until = INT64_MAX;
}

static void
pause(void)
{
	Work work = {.kind = WORK_PAUSE,
				 .event = NO_EVENT,
				 .changes = true,
				 .application = random_below(APPLICATIONS + 1) - 1};

	if (registry.is_pause_locked)
		return;
	work.is_paused = work.application == NO_APPLICATION ? !registry.is_paused
														: !registry.are_paused[work.application];
	registry.is_pause_locked = users_begin_work(&work, briefly()) >= 0;
	if (work.is_paused && random_chance(500))
		world_after(random_about(2 * SECOND), ACTOR_SUPPORT, RESUME);
}

static void
resume(int application)
{
	Work work = {.kind = WORK_PAUSE,
				 .event = NO_EVENT,
				 .changes = true,
				 .application = application};

	if (application == NO_APPLICATION ? registry.is_paused : registry.are_paused[application])
		(void) users_begin_work(&work, MS);
}

static int
recent_event(void)
{
	return tables.events_length - 1 -
		   random_below(tables.events_length < 300 ? tables.events_length : 300);
}

static int64_t
briefly(void)
{
	return random_about(random_chance(800) ? 2 * MS : 3 * SECOND);
}

static void
redeliver(const Work *work)
{
	Pair *pair = pair_of(work->event, work->endpoint);
	Row row = pair->row;

	pair->locked_until = 0;
	if (row.status == ROW_NONE || row.due == BMW_HELD_BACK || row.aside != ROW_NONE ||
		!registry.endpoints[work->endpoint].now.exists ||
		!registry_fits(&registry.endpoints[work->endpoint].now, &tables.events[work->event],
					   work->endpoint))
		return;
	if (pair->open > 0)
		MET(MET_REDELIVERED_IN_FLIGHT);
	row.status = ROW_PENDING;
	row.due = world_wall();
	pair->redeliveries++;
	pair->not_before = 0;
	pair->again = world.now;
	row_write(work->event, work->endpoint, &row);
	trace("event %d is to be sent again to endpoint %d", work->event, work->endpoint);
}

static void
add_operations(int xact, const Work *work)
{
	for (int i = 0; i < registry.length; i++)
		if (work->endpoint == NOBODY || work->endpoint == i)
			add_operation(xact, work, i);
}

static void
add_operation(int xact, const Work *work, int endpoint)
{
	bool is_cancel = work->kind == WORK_CANCEL;
	Operation operation = {.kind = is_cancel ? OPERATION_CANCEL : OPERATION_RECOVER,
						   .endpoint = endpoint,
						   .application = registry.endpoints[endpoint].now.application,
						   .event = work->event,
						   .xact = xact};

	bmw_uuid_floor(work->since < 0 ? 0 : work->since, &operation.since);
	bmw_uuid_floor(work->until < 0 ? 0 : work->until, &operation.until);
	if (work->event != NO_EVENT && pair_of(work->event, endpoint)->row.status == ROW_NONE &&
		(tables.events[work->event].must >> endpoint & 1) == 0)
		return;
	trace("operation %d: %s endpoint %d, event %d (-1: all until %.3f)", operations_length,
		  is_cancel ? "cancel for" : "recover for", endpoint, work->event,
		  (double) (work->until - world.clock) / 1e6);
	operations_add(&operation);
}
