/*
 * clerk_endpoints.c - the clerk who knows the endpoints.
 */
#include "check.h"
#include "dispatcher.h"
#include "receivers.h"
#include "trace.h"
#include "world.h"

#define STEP 3 /* endpoints at a time, going through all */
#define LOOK_INTERVAL (5 * SECOND)

static bool has_changed(const Dispatcher *dispatcher);
static bool is_left(const Dispatcher *dispatcher);
static void look(Dispatcher *dispatcher);
static void note(Dispatcher *dispatcher, uint64_t xid);
static void note_application(Dispatcher *dispatcher, int application);
static Result read_some(Dispatcher *dispatcher);
static uint32_t step(Dispatcher *dispatcher);
static BmwStatus read_one(Dispatcher *dispatcher, int endpoint);
static BmwStatus subscribe(BmwRouter *router, const Version *version, int endpoint);
static BmwStatus tell(Dispatcher *dispatcher, const Version *version, int endpoint);
static void learn_known(Dispatcher *dispatcher, int endpoint);

bool
clerk_wants_endpoints(Dispatcher *dispatcher)
{
	return bmw_scheduler_wants_endpoints(dispatcher->scheduler, has_changed(dispatcher));
}

Result
clerk_refresh(Dispatcher *dispatcher)
{
	uint64_t generation = registry.generation;
	int64_t start = world.now;
	Result result;

	if (!clerk_wants_endpoints(dispatcher))
		return RESULT_DONE;
	result = dispatcher_statement(dispatcher);
	if (result != RESULT_DONE)
		return result;
	if (tables.endpoints_locked_until > world.now)
	{
		bmw_scheduler_endpoints_locked(dispatcher->scheduler);
		return RESULT_DONE;
	}
	look(dispatcher);
	dispatcher->is_paused = registry.is_paused;
	bmw_scheduler_set_paused(dispatcher->scheduler, dispatcher->is_paused);
	dispatcher->generation = generation;
	do
		result = read_some(dispatcher);
	while (result == RESULT_DONE && !dispatcher->is_loaded && is_left(dispatcher));
	if (result != RESULT_DONE)
		return result;
	dispatcher->is_loaded = true;
	bmw_scheduler_endpoints_read(dispatcher->scheduler, !is_left(dispatcher), world.now - start);
	return RESULT_DONE;
}

static bool
has_changed(const Dispatcher *dispatcher)
{
	return registry.changing != 0 || registry.generation != dispatcher->generation ||
		   world.now >= dispatcher->notes_at || is_left(dispatcher);
}

static bool
is_left(const Dispatcher *dispatcher)
{
	return dispatcher->changed != 0 || dispatcher->is_in_round;
}

/* For the notes of transactions that one snapshot sees and the one before does not; at the start, for all. */
static void
look(Dispatcher *dispatcher)
{
	uint64_t ended[64];
	BmwSnapshot now;
	int ended_length;

	memory_end();
	xact_snapshot(&now);
	memory_begin(true);
	ended_length = bmw_snapshot_ended(&dispatcher->seen, &now, ended);
	for (int i = 0; i < ended_length; i++)
	{
		note(dispatcher, ended[i]);
		if (tables.xacts[ended[i] - FIRST_XID].change >= 0)
			MET(MET_LATE_NOTE);
	}
	for (uint64_t xid = dispatcher->seen.xmax; xid != 0 && xid < now.xmax; xid++)
		if (bmw_snapshot_sees(&now, xid))
			note(dispatcher, xid);
	if (dispatcher->seen.xmax == 0)
		dispatcher->is_in_round = true;
	bmw_snapshot_free(&dispatcher->seen);
	dispatcher->seen = now;
	dispatcher->notes_at = world.now + LOOK_INTERVAL;
}

static void
note(Dispatcher *dispatcher, uint64_t xid)
{
	const Xact *xact = &tables.xacts[xid - FIRST_XID];

	if (xact->state != XACT_COMMITTED || xact->change == NO_CHANGE)
		return;
	if (xact->change <= CHANGE_OF_APPLICATION(0))
		note_application(dispatcher, CHANGE_OF_APPLICATION(xact->change));
	else if (xact->change != CHANGE_OF_ANY)
		dispatcher->changed |= UINT32_C(1) << xact->change;
	else if (dispatcher->is_in_round)
		dispatcher->again = true;
	else
		dispatcher->is_in_round = true;
}

static void
note_application(Dispatcher *dispatcher, int application)
{
	for (int i = 0; i < registry.length; i++)
		if (registry.endpoints[i].now.application == application)
			dispatcher->changed |= UINT32_C(1) << i;
}

/* What has been noted, and a step of the round. */
static Result
read_some(Dispatcher *dispatcher)
{
	uint32_t set = dispatcher->changed | step(dispatcher);
	Result result = dispatcher_statement(dispatcher);

	for (int i = 0; result == RESULT_DONE && i < registry.length; i++)
		if ((set >> i & 1) != 0 && dispatcher_owns(dispatcher, i) &&
			read_one(dispatcher, i) != BMW_OK)
			result = RESULT_FAILED;
	if (result != RESULT_DONE)
		return result;
	dispatcher->changed = 0;
	if (dispatcher->is_in_round)
		dispatcher->next_in_round += STEP;
	if (dispatcher->next_in_round < registry.length)
		return RESULT_DONE;
	dispatcher->next_in_round = 0;
	dispatcher->is_in_round = dispatcher->again;
	dispatcher->again = false;
	return RESULT_DONE;
}

static uint32_t
step(Dispatcher *dispatcher)
{
	uint32_t set = 0;

	for (int i = 0; dispatcher->is_in_round && i < STEP; i++)
		set |= UINT32_C(1) << (dispatcher->next_in_round + i);
	return set;
}

static BmwStatus
read_one(Dispatcher *dispatcher, int endpoint)
{
	const Version *now = &registry.endpoints[endpoint].now;
	BmwStatus status = BMW_OK;

	if (now->exists)
		status = tell(dispatcher, now, endpoint);
	else
		bmw_scheduler_remove_endpoint(dispatcher->scheduler, registry_id(endpoint));
	/* the scheduler goes by it, though there may be no memory for the rest */
	if (status == BMW_OK)
		learn_known(dispatcher, endpoint);
	if (status == BMW_OK && now->exists && now->is_enabled)
		status = subscribe(dispatcher->router, now, endpoint);
	else if (status == BMW_OK)
		bmw_router_remove(dispatcher->router, registry_id(endpoint));
	return status;
}

static BmwStatus
subscribe(BmwRouter *router, const Version *version, int endpoint)
{
	const char *patterns[TYPES];
	BmwSubscription subscription = {.endpoint_id = registry_id(endpoint),
									.application = registry_application(version->application),
									.patterns = patterns,
									.since_us = version->since};

	for (int i = 0; i < TYPES; i++)
		if ((version->types >> i & 1) != 0)
			patterns[subscription.patterns_length++] = registry_type(i);
	return bmw_router_set(router, &subscription);
}

static BmwStatus
tell(Dispatcher *dispatcher, const Version *version, int endpoint)
{
	BmwEndpointRules rules = {
		.id = registry_id(endpoint),
		.identity = ((uint64_t) version->created * 8 + (uint64_t) (version->application + 1)) |
					UINT64_C(1) << 63,
		.application = registry_application(version->application),
		.max_in_flight = version->max_in_flight,
		.rate_limit = version->rate_limit,
		.rate_burst = 1 + version->rate_limit / 4,
		.is_enabled = version->is_enabled,
		.application_rate_limit =
			version->application != NO_APPLICATION ? registry.rates[version->application] : 0,
		.application_rate_burst = RATE_BURST,
		.application_max_in_flight =
			version->application != NO_APPLICATION ? registry_places(version->application) : 0,
		.has_secret = registry_has_secret(version),
		.secret_until_us = version->has_secret ? version->secret_until : 0,
		.ttl_us = version->ttl,
		.is_paused = registry_is_paused(version),
		.unverified_us = version->unverified,
		.is_ordered = version->is_ordered,
		.failing_since_us = version->failing_since,
		.tag = (void *) (intptr_t) registry_id(endpoint)};

	rules.schedule.delays_us = registry_delays(version->schedule, &rules.schedule.length);
	if (!rules.has_secret)
		MET(MET_NO_SECRET);
	if (bmw_scheduler_set_endpoint(dispatcher->scheduler, &rules) != BMW_OK)
		return BMW_ERROR_MEMORY;
	if (rules.is_paused && !dispatcher->is_known_paused[endpoint] &&
		receivers_open(dispatcher->shard, endpoint) > 0)
		MET(MET_PAUSED_IN_FLIGHT);
	dispatcher->is_known_paused[endpoint] = rules.is_paused;
	return BMW_OK;
}

static void
learn_known(Dispatcher *dispatcher, int endpoint)
{
	const Version *now = &registry.endpoints[endpoint].now;
	const Version *before = &dispatcher->known[endpoint];

	if (before->exists && !now->exists && receivers_open(dispatcher->shard, endpoint) > 0)
		MET(MET_DELETED_IN_FLIGHT);
	/* a lane that is started anew begins without a past */
	if (now->is_enabled != before->is_enabled || now->has_secret != before->has_secret ||
		now->secret_until != before->secret_until || now->exists != before->exists ||
		now->created != before->created || now->application != before->application)
		dispatcher->hold_until[endpoint] = 0;
	dispatcher->known[endpoint] = *now;
}
