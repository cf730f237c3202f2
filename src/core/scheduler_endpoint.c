/*
 * core/scheduler_endpoint.c - endpoints: what happens when one changes or goes.
 *
 * An endpoint is stopped while it is disabled, gone, paused, has no secret, is not verified, or while
 * the order of its messages is not known yet. What waits in memory is then left to
 * the table, but for the last case, which lasts a moment.
 */
#include <stdlib.h>
#include <string.h>

#include "core/scheduler_internal.h"

#define MAX_LANE_IN_FLIGHT 5000
#define GRACE_US BMW_SECOND_US /* for requests of an endpoint that is stopped */

static BmwTarget *open_target(BmwScheduler *scheduler, const BmwEndpointRules *rules);
static int limit_of(const BmwEndpointRules *rules);
static bool may_send(const BmwEndpointRules *rules);
static BmwStatus copy_rules(BmwScheduler *scheduler, BmwTarget *target,
							const BmwEndpointRules *rules);
static void stop(BmwScheduler *scheduler, BmwTarget *target);
static void start(BmwScheduler *scheduler, BmwTarget *target);
static void begin_order(BmwScheduler *scheduler, BmwTarget *target, bool is_new);
static void end_order(BmwScheduler *scheduler, BmwTarget *target);
static void learn_from_memory(BmwScheduler *scheduler, BmwDelivery *delivery, void *context);
static void set_learnt(BmwScheduler *scheduler, BmwTarget *target, bool is_learnt);
static void cancel_new(BmwScheduler *scheduler, BmwTarget *target);

BmwStatus
bmw_scheduler_set_endpoint(BmwScheduler *scheduler, const BmwEndpointRules *rules)
{
	BmwTarget *target = open_target(scheduler, rules);
	BmwTarget before;

	if (target == NULL)
		return BMW_ERROR_MEMORY;
	before = *target;
	if (copy_rules(scheduler, target, rules) != BMW_OK)
		return BMW_ERROR_MEMORY;
	target->is_gone = false;
	(void) bmw_lanes_open(scheduler->lanes, rules->id, limit_of(rules));
	bmw_lane_set_rate(target->lane, rules->rate_limit, rules->rate_burst);
	bmw_lane_set_application_rate(target->lane, rules->application_rate_limit,
								  rules->application_rate_burst);
	bmw_lane_set_application_limit(target->lane, rules->application_max_in_flight);
	if (before.rules.identity != 0 && before.rules.identity != rules->identity)
	{
		target->is_to_begin = true;
		stop(scheduler, target);
	}
	if (rules->is_ordered && !before.rules.is_ordered)
		begin_order(scheduler, target, before.rules.identity == 0);
	if (!rules->is_ordered && before.rules.is_ordered)
		end_order(scheduler, target);
	if (!may_send(rules))
		stop(scheduler, target);
	else if (target->is_learnt)
		start(scheduler, target);
	return bmw_trial_update(scheduler, target) ? BMW_OK : BMW_ERROR_MEMORY;
}

void
bmw_scheduler_remove_endpoint(BmwScheduler *scheduler, int64_t endpoint_id)
{
	BmwErrand errand = {.kind = BMW_ERRAND_CANCEL,
						.endpoint_id = endpoint_id,
						.reason = BMW_ENDPOINT_DELETED};
	BmwTarget *target = bmw_target_find(scheduler, endpoint_id);

	if (target == NULL || target->is_gone)
		return;
	cancel_new(scheduler, target);
	bmw_errand_add(scheduler, &errand);
	stop(scheduler, target);
	set_learnt(scheduler, target, true);
	target->is_gone = true;
	target->rules.is_ordered = false;
	target->rules.tag = NULL;
	bmw_order_forget(scheduler->order, endpoint_id);
	bmw_trial_end(scheduler, target);
	bmw_target_close_if_gone(scheduler, target);
}

void
bmw_target_lose_secret(BmwScheduler *scheduler, BmwTarget *target)
{
	target->rules.has_secret = false;
	stop(scheduler, target);
	(void) bmw_trial_update(scheduler, target);
}

void
bmw_target_verified(BmwScheduler *scheduler, BmwTarget *target)
{
	target->rules.unverified_us = 0;
	bmw_trial_end(scheduler, target);
	if (may_send(&target->rules) && target->is_learnt)
		start(scheduler, target);
}

bool
bmw_scheduler_lacks_secret(const BmwScheduler *scheduler, int64_t endpoint_id)
{
	const BmwTarget *target = bmw_target_find(scheduler, endpoint_id);

	return target != NULL && !target->is_gone && !target->rules.has_secret;
}

int
bmw_scheduler_next_unlearnt(const BmwScheduler *scheduler, int64_t *ids, int most)
{
	const BmwTarget *target = scheduler->readings.unlearnt;
	int length = 0;

	/* what a provisional pass has missed would come after what is learnt of now */
	if (scheduler->readings.is_behind || scheduler->passes.has_provisional)
		return 0;
	for (; target != NULL && length < most; target = target->unlearnt_next)
		ids[length++] = target->rules.id;
	return length;
}

BmwStatus
bmw_scheduler_learn(BmwScheduler *scheduler, int64_t endpoint_id, const char *application,
					const char *message_id, const BmwUuid *event_id)
{
	BmwOrderKey key = bmw_order_key(endpoint_id, application, message_id);

	return bmw_order_add(scheduler->order, &key, event_id);
}

void
bmw_scheduler_learnt(BmwScheduler *scheduler, int64_t endpoint_id)
{
	BmwTarget *target = bmw_target_find(scheduler, endpoint_id);

	if (target == NULL || target->is_learnt)
		return;
	set_learnt(scheduler, target, true);
	if (may_send(&target->rules))
		start(scheduler, target);
	else
		stop(scheduler, target); /* what was queued meanwhile would hold the cursor */
}

BmwTarget *
bmw_target_find(const BmwScheduler *scheduler, int64_t endpoint_id)
{
	BmwLane *lane = bmw_lanes_find(scheduler->lanes, endpoint_id);

	return lane != NULL ? bmw_lane_tag(lane) : NULL;
}

void
bmw_target_close_if_gone(BmwScheduler *scheduler, BmwTarget *target)
{
	BmwLaneCounts counts = bmw_lane_counts(target->lane);

	if (!target->is_gone || counts.in_flight > 0 || counts.queued > 0 || target->bytes > 0 ||
		target->loaded > 0)
		return;
	bmw_lanes_close(scheduler->lanes, target->lane);
	bmw_delays_release(target->rules.schedule.delays_us);
	free(target);
}

void
bmw_target_disable(BmwScheduler *scheduler, BmwTarget *target)
{
	if (target->is_gone)
		return;
	target->rules.is_enabled = false;
	stop(scheduler, target);
	(void) bmw_trial_update(scheduler, target);
}

bool
bmw_target_is_stopped(const BmwTarget *target)
{
	return bmw_lane_is_stopped(target->lane);
}

bool
bmw_target_is_live(const BmwTarget *target)
{
	return !target->is_gone && target->rules.is_enabled && target->rules.has_secret;
}

bool
bmw_target_keeps_order(const BmwTarget *target, const BmwDelivery *delivery)
{
	return target != NULL && target->rules.is_ordered &&
		   (delivery->message[0] != 0 || delivery->message[1] != 0);
}

void
bmw_target_park_new(BmwScheduler *scheduler, BmwTarget *target)
{
	while (bmw_target_park_one(scheduler, target))
		;
}

bool
bmw_target_park_one(BmwScheduler *scheduler, BmwTarget *target)
{
	BmwJob *job = bmw_lane_take_new(target->lane);

	if (job == NULL)
		return false;
	bmw_scheduler_record_park(scheduler, (BmwDelivery *) job, bmw_lane_hold_until_us(target->lane));
	return true;
}

void
bmw_target_forget_due(BmwScheduler *scheduler, BmwTarget *target)
{
	BmwJob *job;
	bool is_gone = target->is_gone;

	target->is_gone = false; /* not closed under our hands */
	while ((job = bmw_lane_take_due(target->lane)) != NULL)
		bmw_memory_forget(scheduler, (BmwDelivery *) job);
	target->is_gone = is_gone;
	target->from_us = 0;
}

void
bmw_target_expect(BmwTarget *target, int64_t due_us)
{
	if (due_us < target->from_us)
		target->from_us = due_us;
	bmw_lane_expect(target->lane, due_us);
}

static BmwTarget *
open_target(BmwScheduler *scheduler, const BmwEndpointRules *rules)
{
	BmwTarget *target = bmw_target_find(scheduler, rules->id);

	if (target != NULL)
		return target;
	target = calloc(1, sizeof(*target));
	if (target == NULL ||
		(target->lane = bmw_lanes_open(scheduler->lanes, rules->id, limit_of(rules))) == NULL)
	{
		free(target);
		return NULL;
	}
	target->is_learnt = true;
	bmw_lane_set_tag(target->lane, target);
	bmw_lane_set_stopped(target->lane, true);
	return target;
}

static int
limit_of(const BmwEndpointRules *rules)
{
	return rules->max_in_flight < MAX_LANE_IN_FLIGHT ? rules->max_in_flight : MAX_LANE_IN_FLIGHT;
}

static bool
may_send(const BmwEndpointRules *rules)
{
	return rules->is_enabled && rules->has_secret && !rules->is_paused && rules->unverified_us == 0;
}

static BmwStatus
copy_rules(BmwScheduler *scheduler, BmwTarget *target, const BmwEndpointRules *rules)
{
	const int64_t *delays = bmw_delays_share(&scheduler->latest_delays, &rules->schedule);

	if (delays == NULL || !bmw_lane_set_application(target->lane, rules->application))
	{
		bmw_delays_release(delays);
		return BMW_ERROR_MEMORY;
	}
	bmw_delays_release(target->rules.schedule.delays_us);
	target->rules = *rules;
	target->rules.application = bmw_lane_application(target->lane);
	target->rules.schedule.delays_us = delays;
	return BMW_OK;
}

static void
stop(BmwScheduler *scheduler, BmwTarget *target)
{
	target->is_to_begin |= !bmw_target_is_live(target);
	/* also of one that was paused, if it is disabled or deleted now */
	if (bmw_lane_counts(target->lane).in_flight > 0)
		scheduler->abort_at_us = scheduler->now_us + GRACE_US;
	bmw_lane_set_stopped(target->lane, true);
	bmw_target_park_new(scheduler, target);
	bmw_target_forget_due(scheduler, target);
}

static void
start(BmwScheduler *scheduler, BmwTarget *target)
{
	if (!bmw_target_is_stopped(target))
		return;
	if (target->is_to_begin)
		bmw_lane_set_stopped(target->lane, false);
	else
		bmw_lane_go_on(target->lane);
	target->is_to_begin = false;
	/* when all were read for the first time, a look tells which of them have something */
	if (scheduler->readings.is_loaded)
		bmw_target_expect(target, scheduler->now_us);
	bmw_order_want_all(scheduler->order, target->rules.id);
}

/* What is in memory may be later than what waits in the table: nothing goes before that is known. */
static void
begin_order(BmwScheduler *scheduler, BmwTarget *target, bool is_new)
{
	set_learnt(scheduler, target, false);
	stop(scheduler, target);
	if (!is_new)
		bmw_memory_each(scheduler, learn_from_memory, target);
}

static void
end_order(BmwScheduler *scheduler, BmwTarget *target)
{
	BmwErrand errand = {.kind = BMW_ERRAND_LET_GO, .endpoint_id = target->rules.id};

	set_learnt(scheduler, target, true);
	bmw_order_forget(scheduler->order, target->rules.id);
	bmw_errand_add(scheduler, &errand);
}

/* Without memory for it, the table still has it when it is parked; one in flight goes on alone. */
static void
learn_from_memory(BmwScheduler *scheduler, BmwDelivery *delivery, void *context)
{
	BmwTarget *target = context;
	BmwOrderKey key = bmw_delivery_key(delivery);

	if (delivery->endpoint_id == target->rules.id && bmw_target_keeps_order(target, delivery))
		(void) bmw_order_add(scheduler->order, &key, &delivery->event_id);
}

static void
set_learnt(BmwScheduler *scheduler, BmwTarget *target, bool is_learnt)
{
	BmwTarget **first = &scheduler->readings.unlearnt;

	if (target->is_learnt == is_learnt)
		return;
	target->is_learnt = is_learnt;
	if (!is_learnt)
	{
		target->unlearnt_previous = NULL;
		target->unlearnt_next = *first;
		if (*first != NULL)
			(*first)->unlearnt_previous = target;
		*first = target;
		return;
	}
	if (target->unlearnt_next != NULL)
		target->unlearnt_next->unlearnt_previous = target->unlearnt_previous;
	if (target->unlearnt_previous != NULL)
		target->unlearnt_previous->unlearnt_next = target->unlearnt_next;
	else
		*first = target->unlearnt_next;
}

static void
cancel_new(BmwScheduler *scheduler, BmwTarget *target)
{
	BmwJob *job;

	while ((job = bmw_lane_take_new(target->lane)) != NULL)
		bmw_scheduler_record_cancel(scheduler, (BmwDelivery *) job, BMW_ENDPOINT_DELETED);
}
