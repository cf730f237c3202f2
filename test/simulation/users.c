/*
 * users.c - transactions of users: they write, wait, and end in any order.
 *
 * A commit that changes an endpoint has three steps, as in the server: it says
 * that a change is coming, becomes visible, says that it has come.
 */
#include "users.h"

#include <string.h>

#include "dispatcher.h"
#include "operations.h"
#include "operators.h"
#include "registry.h"
#include "tables.h"
#include "trace.h"
#include "work.h"
#include "world.h"

static Work works[MAX_XACTS];
static int session;

static void end(int xact, Work *work);
static void emit_some(int xact, int count);
static int choose_message(int xact);
static void become_visible(int xact, Work *work);
static void change_endpoint(int xact, Work *work);
static void unlock(int endpoint);
static void announce(const Work *work);
static Version change(const Version *now);
static void ask(Version *version);
static int64_t commit_delay(void);

void
users_begin(void)
{
	memset(works, 0, sizeof(works));
	session = 0;
	operators_begin();
	for (int i = 0; i < APPLICATIONS; i++)
		if (PLAN_HAS(HAS_APPLICATION_RATES) && random_chance(700))
			registry.rates[i] = 50 + random_below(200);
	operations_begin();
	for (int i = 0; i < world.plan.endpoints; i++)
	{
		Version version = change(&(Version){.exists = false});

		version.created = version.since = world_wall() - SECOND;
		registry_install(i, &version);
	}
	for (int i = 0; i < world.plan.writers; i++)
		world_after(random_about(SECOND), ACTOR_WRITER, i);
	world_after(random_about(SECOND), ACTOR_ADMIN, 0);
	world_after(random_about(SECOND), ACTOR_SUPPORT, 0);
	world_after(random_about(3 * SECOND), ACTOR_OPERATOR, 0);
	world_after(SECOND, ACTOR_WAL_WRITER, 0);
}

void
users_write(int writer)
{
	Work work = {.kind = WORK_EMIT, .event = NO_EVENT};
	int xact;
	int count = 1 + random_below(4);

	if (world.is_calm)
		return;
	world_after(random_about(random_chance(800) ? 60 * MS : 2 * SECOND), ACTOR_WRITER, writer);
	if (PLAN_HAS(HAS_BULK) && random_chance(5))
		count = random_below(800);
	xact = users_begin_work(&work, commit_delay());
	if (xact >= 0)
		emit_some(xact, count);
}

void
users_administer(void)
{
	Work work = {.kind = WORK_CHANGE, .event = NO_EVENT, .changes = true};
	bool is_new = registry.length < MAX_ENDPOINTS && random_chance(200);
	int xact;

	if (world.is_calm)
		return;
	world_after(random_about(3 * SECOND), ACTOR_ADMIN, 0);
	if (!PLAN_HAS(HAS_CHANGES) || tables.endpoints_locked_until > world.now)
		return;
	work.endpoint = is_new ? registry.length : random_below(registry.length);
	if (registry.endpoints[work.endpoint].locked_until > world.now)
		return;
	work.version = change(&registry.endpoints[work.endpoint].now);
	work.asks = work.version.unverified != registry.endpoints[work.endpoint].now.unverified;
	if (is_new)
		registry.length++;
	registry.endpoints[work.endpoint].locked_until = INT64_MAX;
	registry.endpoints[work.endpoint].is_proof_locked = work.asks;
	xact = users_begin_work(&work, commit_delay());
	if (xact < 0)
		unlock(work.endpoint);
	else if (random_chance(500))
		emit_some(xact, 1 + random_below(3));
}

void
users_go_on(int xact)
{
	Work *work = &works[xact];

	if (work->stage == STAGE_OVER || (work->session != session && !tables.xacts[xact].is_prepared))
		return;
	if (!work->commits)
	{
		end(xact, work);
		return;
	}
	switch (work->stage++)
	{
		case STAGE_OPEN:
			registry.changing += work->changes;
			world_after(work->changes ? random_about(200) : 0, ACTOR_XACT, xact);
			break;
		case STAGE_COMING:
			become_visible(xact, work);
			world_after(random_about(100), ACTOR_XACT, xact);
			break;
		case STAGE_VISIBLE:
			registry.generation += work->changes;
			registry.changing -= work->changes;
			if (work->changes && PLAN_HAS(HAS_TABLE_LOCKS) && random_chance(150))
				operators_lock_endpoints(world.now + random_about(SECOND));
			announce(work);
			break;
		case STAGE_OVER:
			break;
	}
}

void
users_crash(void)
{
	session++;
	for (int i = 0; i < tables.xacts_length; i++)
		if (tables.xacts[i].state == XACT_RUNNING && !tables.xacts[i].is_prepared)
			end(i, &works[i]);
		else if (tables.xacts[i].is_prepared && works[i].stage != STAGE_OPEN)
			tables.xacts[i].is_prepared = false;
	registry.changing = 0;
	operations_forget_known();
}

void
users_calm(void)
{
	for (int i = 0; i < tables.xacts_length; i++)
		if (tables.xacts[i].state == XACT_RUNNING && works[i].stage == STAGE_OPEN)
		{
			works[i].is_heard = true;
			world_after(random_about(SECOND), ACTOR_XACT, i);
		}
}

int
users_begin_work(Work *work, int64_t lasts)
{
	int xact = xact_begin();

	if (xact < 0)
		return -1;
	work->session = session;
	work->commits = world.is_calm || !PLAN_HAS(HAS_ROLLBACKS) || !random_chance(100);
	work->is_heard = work->kind == WORK_REDELIVER || !PLAN_HAS(HAS_UNHEARD) || !random_chance(100);
	works[xact] = *work;
	if (work->kind == WORK_PAUSE)
		tables.xacts[xact].change = work->application == NO_APPLICATION
										? NO_CHANGE
										: CHANGE_OF_APPLICATION(work->application);
	else if (work->changes)
		tables.xacts[xact].change = random_chance(300) ? CHANGE_OF_ANY : work->endpoint;
	tables.xacts[xact].is_prepared = work->kind == WORK_EMIT && random_chance(30);
	world_after(lasts, ACTOR_XACT, xact);
	return xact;
}

/* Without a commit. */
static void
end(int xact, Work *work)
{
	xact_end(xact, false);
	work->stage = STAGE_OVER;
	if (work->kind == WORK_PAUSE)
		registry.is_pause_locked = false;
	else if (work->changes)
		unlock(work->endpoint);
	if (work->kind == WORK_REDELIVER)
		pair_of(work->event, work->endpoint)->locked_until = 0;
}

static void
emit_some(int xact, int count)
{
	for (int i = 0; i < count; i++)
	{
		Event event = {.application = random_below(APPLICATIONS + 1) - 1,
					   .type = random_below(TYPES),
					   .message = choose_message(xact),
					   .endpoint = random_chance(20) ? random_below(registry.length) : NOBODY,
					   .size = (int) random_about(PLAN_HAS(HAS_BIG_BODIES) ? 4000 : 100),
					   .created = world_wall()};

		if (PLAN_HAS(HAS_EXPIRY) && random_chance(100))
			event.expires = event.created + random_about(10 * SECOND);

		if (event.message != NO_MESSAGE)
			event.application = event.message % (APPLICATIONS + 1) - 1;
		(void) event_insert(xact, &event);
	}
}

/* One of its own, or one whose events are all committed. */
static int
choose_message(int xact)
{
	int number;
	Message *message;

	if (!PLAN_HAS(HAS_ORDER) || random_chance(400))
		return NO_MESSAGE;
	if (tables.messages_length < MAX_MESSAGES &&
		random_chance(PLAN_HAS(HAS_MANY_MESSAGES) ? 900 : 200))
		number = tables.messages_length++;
	else if (tables.messages_length == 0)
		return NO_MESSAGE;
	else
		number = tables.messages_length - 1 -
				 random_below(tables.messages_length < 10 ? tables.messages_length : 10);
	message = &tables.messages[number];
	if (message->busy_xact > 0)
		return message->busy_xact == xact + 1 && message->length < MAX_OF_MESSAGE - 4 ? number
																					  : NO_MESSAGE;
	if (message->length >= MAX_OF_MESSAGE - 4)
		return NO_MESSAGE;
	message->busy_xact = xact + 1;
	return number;
}

static void
become_visible(int xact, Work *work)
{
	if (work->kind == WORK_CHANGE || (work->kind == WORK_RECOVER && work->changes))
		change_endpoint(xact, work);
	support_commit(xact, work);
	xact_end(xact, true);
	if (tables.xacts[xact].first_event >= 0)
		trace("xid %d commits %d events", FIRST_XID + xact, tables.xacts[xact].events);
	wal_commit_durably();
}

static void
change_endpoint(int xact, Work *work)
{
	Endpoint *endpoint = &registry.endpoints[work->endpoint];

	/* a dispatcher may have noted in between that it fails, or has proved its URL */
	work->version.failing_since = endpoint->now.failing_since;
	if (!work->asks)
		work->version.unverified = endpoint->now.unverified;
	unlock(work->endpoint);
	registry_install(work->endpoint, &work->version);
	if (tables.xacts[xact].change == CHANGE_OF_ANY)
		registry_blur(work->endpoint);
	trace("endpoint %d is now:%s%s%s%s%s%s application %d types %x", work->endpoint,
		  work->version.exists ? "" : " deleted", work->version.is_enabled ? "" : " disabled",
		  work->version.is_paused ? " paused" : "",
		  work->version.has_secret ? "" : " without secret",
		  work->version.is_ordered ? " ordered" : "",
		  work->version.unverified != 0 ? " not verified" : "", work->version.application,
		  work->version.types);
}

static void
unlock(int endpoint)
{
	registry.endpoints[endpoint].locked_until = 0;
	registry.endpoints[endpoint].is_proof_locked = false;
}

static void
announce(const Work *work)
{
	bool is_operation = work->kind == WORK_CANCEL || work->kind == WORK_RECOVER;

	if (!work->is_heard && !work->changes)
	{
		MET(MET_UNHEARD_COMMIT);
		return;
	}
	if (is_operation)
		dispatchers_announce_operation();
	dispatchers_announce(work->changes,
						 work->kind == WORK_REDELIVER ? work->endpoint : NOTHING_DUE);
}

static Version
change(const Version *now)
{
	Version version = *now;

	if (!now->exists || random_chance(200))
	{
		if (!now->exists)
			version = (Version){.exists = true,
								.url = now->url,
								.is_enabled = true,
								.has_secret = true,
								.created = world_wall(),
								.since = world_wall()};
		if (PLAN_HAS(HAS_EXPIRY) && !now->exists && random_chance(300))
			version.ttl = random_between(SECOND, 60 * SECOND);
		version.types = random_chance(300) ? 15 : 1 + (unsigned) random_below(15);
		version.schedule = random_below(SCHEDULES);
		version.max_in_flight = 1 + random_below(random_chance(500) ? 4 : 40);
		if (random_chance(300))
			version.rate_limit = random_chance(500) ? 0 : 20 + random_below(100);
		version.is_ordered = PLAN_HAS(HAS_ORDER) && random_chance(700);
		if (!now->exists || random_chance(300))
			version.application = random_chance(500) ? NO_APPLICATION : random_below(APPLICATIONS);
	}
	if (PLAN_HAS(HAS_PROOF) && (!now->exists || random_chance(200)))
		ask(&version);
	if (!now->exists)
		return version;
	if (PLAN_HAS(HAS_DISABLING) && random_chance(400))
		version.is_enabled = !version.is_enabled;
	if (PLAN_HAS(HAS_SECRETS) && random_chance(300))
		version.has_secret = !version.has_secret;
	if (PLAN_HAS(HAS_SECRETS) && version.has_secret && random_chance(300))
		version.secret_until = random_chance(500) ? 0 : world_wall() + random_about(10 * SECOND);
	if (PLAN_HAS(HAS_ORDER) && random_chance(200))
		version.is_ordered = !version.is_ordered;
	if (PLAN_HAS(HAS_PAUSES) && random_chance(200))
		version.is_paused = !version.is_paused;
	if (PLAN_HAS(HAS_DELETIONS) && random_chance(150))
		version.exists = false;
	return version;
}

/* Of another URL, or once more. */
static void
ask(Version *version)
{
	if (version->url < MAX_URLS - 1 && random_chance(700))
		version->url++;
	version->unverified = world_wall();
}

static int64_t
commit_delay(void)
{
	if (PLAN_HAS(HAS_LATE_COMMITS) && random_chance(100))
		return random_about(3 * SECOND);
	return random_about(2 * MS);
}
