/*
 * clerk_endpoints.c - the clerk who knows the endpoints.
 */
#include "check.h"
#include "dispatcher.h"
#include "receivers.h"
#include "trace.h"
#include "world.h"

static bool has_changed(const Dispatcher *dispatcher);
static Result read_all(Dispatcher *dispatcher);
static BmwStatus subscribe(BmwRouter *router, const Version *version, int endpoint);
static BmwStatus tell(Dispatcher *dispatcher, const Version *version, int endpoint);
static void learn_known(Dispatcher *dispatcher);

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
	result = read_all(dispatcher);
	if (result != RESULT_DONE)
		return result;
	dispatcher->generation = generation;
	dispatcher->is_loaded = true;
	bmw_scheduler_end_reading(dispatcher->scheduler, world.now - start);
	return RESULT_DONE;
}

static bool
has_changed(const Dispatcher *dispatcher)
{
	return registry.changing != 0 || registry.generation != dispatcher->generation;
}

static Result
read_all(Dispatcher *dispatcher)
{
	BmwRouter *router = bmw_router_create();
	BmwStatus status = router != NULL ? BMW_OK : BMW_ERROR_MEMORY;

	for (int i = 0; i < registry.length && status == BMW_OK; i++)
		if (registry.endpoints[i].now.exists && registry.endpoints[i].now.is_enabled &&
			dispatcher_owns(dispatcher, i))
			status = subscribe(router, &registry.endpoints[i].now, i);
	bmw_scheduler_begin_reading(dispatcher->scheduler);
	for (int i = 0; i < registry.length && status == BMW_OK; i++)
		if (registry.endpoints[i].now.exists && dispatcher_owns(dispatcher, i))
			status = tell(dispatcher, &registry.endpoints[i].now, i);
	if (status != BMW_OK)
	{
		bmw_router_destroy(router);
		return RESULT_FAILED;
	}
	bmw_router_destroy(dispatcher->router);
	dispatcher->router = router;
	learn_known(dispatcher);
	return RESULT_DONE;
}

static BmwStatus
subscribe(BmwRouter *router, const Version *version, int endpoint)
{
	const char *patterns[TYPES];
	BmwSubscription subscription = {.endpoint_id = registry_id(endpoint),
									.application = registry_application(version->application),
									.patterns = patterns,
									.since_us = version->created};

	for (int i = 0; i < TYPES; i++)
		if ((version->types >> i & 1) != 0)
			patterns[subscription.patterns_length++] = registry_type(i);
	subscription.tag = (void *) (intptr_t) registry_id(endpoint);
	return bmw_router_add(router, &subscription);
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
		.is_enabled = version->is_enabled,
		.has_secret = version->has_secret,
		.is_ordered = version->is_ordered,
		.failing_since_us = version->failing_since,
		.tag = (void *) (intptr_t) registry_id(endpoint)};

	rules.schedule.delays_us = registry_delays(version->schedule, &rules.schedule.length);
	if (!version->has_secret)
		MET(MET_NO_SECRET);
	return bmw_scheduler_set_endpoint(dispatcher->scheduler, &rules);
}

static void
learn_known(Dispatcher *dispatcher)
{
	for (int i = 0; i < registry.length; i++)
	{
		const Version *now = &registry.endpoints[i].now;
		const Version *before = &dispatcher->known[i];

		if (before->exists && !now->exists && receivers_open(dispatcher->shard, i) > 0)
			MET(MET_DELETED_IN_FLIGHT);
		/* a lane that is started anew begins without a past */
		if (now->is_enabled != before->is_enabled || now->has_secret != before->has_secret ||
			now->exists != before->exists || now->is_ordered != before->is_ordered ||
			now->created != before->created || now->application != before->application)
			dispatcher->hold_until[i] = 0;
		dispatcher->known[i] = *now;
	}
}
