/*
 * core/scheduler_send.c - what is sent, and what its end means.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/scheduler_internal.h"

#define GRACE_US BMW_SECOND_US			/* for a request of an endpoint that was stopped */
#define LASTING_US (60 * BMW_SECOND_US) /* failures are noted in its row when they last */
#define JUMP_US                                                                                    \
	(2 * BMW_SECOND_US) /* more than an answer waits for us, so that the clock was set */

static BmwOutcome decide(const BmwScheduler *scheduler, const BmwDelivery *delivery,
						 const BmwEnd *end);
static void give_back(BmwScheduler *scheduler, BmwDelivery *delivery, int64_t hold_us);
static BmwRecord *record(BmwScheduler *scheduler, BmwDelivery *delivery, const BmwEnd *end,
						 const BmwOutcome *outcome);
static int64_t started_us(const BmwScheduler *scheduler, const BmwJob *job, const BmwEnd *end);
static char *application_of(const BmwTarget *target);
static BmwDeliveryStatus status_of(BmwVerdict verdict);
static void judge(BmwScheduler *scheduler, BmwTarget *target, const BmwOutcome *outcome);
static void set_failing(BmwScheduler *scheduler, BmwTarget *target, int64_t since_us,
						const char *error_class);
static void disable(BmwScheduler *scheduler, const BmwTarget *target, const char *reason);
static bool is_no_attempt(BmwVerdict verdict);
static bool cancel_if_expired(BmwScheduler *scheduler, const BmwTarget *target,
							  BmwDelivery *delivery);

bool
bmw_scheduler_next_request(BmwScheduler *scheduler, BmwRequest *request)
{
	BmwDelivery *delivery;
	const BmwTarget *target;

	if (scheduler->mode != BMW_RUNNING || scheduler->is_paused || bmw_scheduler_is_full(scheduler))
		return false;
	delivery = (BmwDelivery *) bmw_lanes_next(scheduler->lanes, scheduler->now_us);
	if (delivery == NULL)
		return false;
	target = bmw_lane_tag(delivery->job.lane);
	assert(delivery->state == BMW_DELIVERY_QUEUED && delivery->job.event != NULL);
	delivery->state = BMW_DELIVERY_IN_FLIGHT;
	*request = (BmwRequest){.delivery = delivery,
							.endpoint_id = delivery->endpoint_id,
							.endpoint = target->rules.tag,
							.event = delivery->job.event,
							.attempt = delivery->job.attempts + 1,
							.started_us = delivery->job.started_us};
	return true;
}

bool
bmw_send_check(BmwJob *job, void *context)
{
	BmwScheduler *scheduler = context;
	BmwTarget *target = bmw_lane_tag(job->lane);

	return !bmw_send_lacks_secret(scheduler, target) &&
		   !cancel_if_expired(scheduler, target, (BmwDelivery *) job);
}

bool
bmw_send_lacks_secret(BmwScheduler *scheduler, BmwTarget *target)
{
	const int64_t until_us = target->rules.secret_until_us;

	if (until_us == 0 || until_us > scheduler->now_us)
		return false;
	bmw_target_lose_secret(scheduler, target);
	return true;
}

static bool
cancel_if_expired(BmwScheduler *scheduler, const BmwTarget *target, BmwDelivery *delivery)
{
	if (bmw_expiry_us(target, delivery) > scheduler->now_us)
		return false;
	bmw_expiry_cancel(scheduler, delivery);
	return true;
}

void
bmw_scheduler_ids(const BmwDelivery *delivery, BmwUuid *event_id, int64_t *endpoint_id)
{
	*event_id = delivery->event_id;
	*endpoint_id = delivery->endpoint_id;
}

void
bmw_scheduler_not_started(BmwScheduler *scheduler, BmwDelivery *delivery, int64_t hold_us)
{
	give_back(scheduler, delivery, hold_us);
}

bool
bmw_scheduler_enter(BmwScheduler *scheduler, BmwDelivery *delivery, uint64_t destination)
{
	assert(delivery->state == BMW_DELIVERY_IN_FLIGHT);
	return bmw_lane_enter(delivery->job.lane, &delivery->job.party, destination, scheduler->now_us);
}

BmwRecord *
bmw_scheduler_ended(BmwScheduler *scheduler, BmwDelivery *delivery, const BmwEnd *end)
{
	BmwTarget *target = bmw_lane_tag(delivery->job.lane);
	BmwOutcome outcome = decide(scheduler, delivery, end);
	bool is_theirs = delivery->identity == target->rules.identity;
	BmwRecord *made;

	assert(delivery->state == BMW_DELIVERY_IN_FLIGHT);
	if (is_no_attempt(outcome.verdict))
	{
		give_back(scheduler, delivery,
				  outcome.verdict == BMW_VERDICT_LOCAL ? outcome.retry_at_us - scheduler->now_us
													   : 0);
		return NULL;
	}
	bmw_lane_finished(target->lane, &delivery->job, outcome.end, outcome.hold_us,
					  scheduler->now_us);
	made = record(scheduler, delivery, end, &outcome);
	if (target->is_gone && outcome.verdict != BMW_VERDICT_DELIVERED)
	{
		made->status = BMW_CANCELED;
		made->next_attempt_us = 0;
		made->is_exhausted = false;
	}
	if (is_theirs && !target->is_gone && target->rules.is_enabled)
		judge(scheduler, target, &outcome);
	bmw_target_close_if_gone(scheduler, target);
	return made;
}

bool
bmw_scheduler_wants_abort(BmwScheduler *scheduler)
{
	if (scheduler->now_us < scheduler->abort_at_us)
		return false;
	scheduler->abort_at_us = BMW_NEVER_US;
	return true;
}

bool
bmw_scheduler_is_unwanted(const BmwScheduler *scheduler, const BmwDelivery *delivery)
{
	const BmwTarget *target = bmw_lane_tag(delivery->job.lane);

	return (!bmw_target_is_live(target) || delivery->identity != target->rules.identity) &&
		   scheduler->now_us - delivery->job.started_us >= GRACE_US;
}

static BmwOutcome
decide(const BmwScheduler *scheduler, const BmwDelivery *delivery, const BmwEnd *end)
{
	const BmwTarget *target = bmw_lane_tag(delivery->job.lane);
	BmwAttempt attempt = {.transport = end->transport,
						  .http_status = end->http_status,
						  .retry_after_us = end->retry_after_us,
						  .attempts_made = delivery->job.attempts + 1,
						  .now_us = scheduler->now_us,
						  .random = end->random};

	return bmw_outcome_decide(&attempt, &target->rules.schedule);
}

static bool
is_no_attempt(BmwVerdict verdict)
{
	return verdict == BMW_VERDICT_LOCAL || verdict == BMW_VERDICT_ABORTED;
}

/* It was no attempt: sent again, or left to the table, or canceled with the others of its endpoint. */
static void
give_back(BmwScheduler *scheduler, BmwDelivery *delivery, int64_t hold_us)
{
	BmwTarget *target = bmw_lane_tag(delivery->job.lane);
	bool is_theirs = delivery->identity == target->rules.identity;
	BmwJob *job = &delivery->job;

	delivery->state = BMW_DELIVERY_QUEUED;
	bmw_lane_give_back(target->lane, job, hold_us, scheduler->now_us);
	if (is_theirs && !bmw_target_is_stopped(target))
		return;
	/* it is the first of its queue */
	job = job->has_row ? bmw_lane_take_due(target->lane) : bmw_lane_take_new(target->lane);
	assert(job == &delivery->job);
	if (target->is_gone)
		bmw_scheduler_record_cancel(scheduler, delivery, BMW_ENDPOINT_DELETED);
	else if (!job->has_row)
		bmw_scheduler_record_park(scheduler, delivery, 0);
	else
	{
		bmw_target_expect(target, scheduler->now_us);
		target->from_us = 0;
		bmw_memory_forget(scheduler, delivery);
		return;
	}
	bmw_target_close_if_gone(scheduler, target);
}

static BmwRecord *
record(BmwScheduler *scheduler, BmwDelivery *delivery, const BmwEnd *end, const BmwOutcome *outcome)
{
	const BmwJob *job = &delivery->job;
	int64_t expires_us = bmw_expiry_us(bmw_lane_tag(job->lane), delivery);
	BmwRecord *made = bmw_scheduler_record_add(scheduler, delivery, status_of(outcome->verdict));

	made->attempts = job->attempts + 1;
	made->last_attempt_us = started_us(scheduler, job, end);
	made->first_attempt_us =
		job->first_attempt_us != 0 ? job->first_attempt_us : made->last_attempt_us;
	made->http_status = end->http_status;
	made->times = end->times;
	if (outcome->verdict == BMW_VERDICT_RETRY)
		made->next_attempt_us = bmw_scheduler_earlier(outcome->retry_at_us, expires_us);
	if (made->status == BMW_DELIVERED)
		return made;
	made->is_failed_attempt = true;
	made->error_class = outcome->error_class;
	/* not of an operational event: it would fail for the same reason, for ever */
	made->is_exhausted = made->status == BMW_FAILED && !delivery->is_operational;
	if (made->is_exhausted)
		made->application = application_of(bmw_lane_tag(job->lane));
	return made;
}

/*
 * By the clock that plans the next attempt. If it was set on while the request was under way, an
 * attempt that began before would seem to have been planned by a clock that was right.
 */
static int64_t
started_us(const BmwScheduler *scheduler, const BmwJob *job, const BmwEnd *end)
{
	const int64_t began_us = scheduler->now_us - end->times.total_us;

	return began_us - job->started_us > JUMP_US ? began_us : job->started_us;
}

static char *
application_of(const BmwTarget *target)
{
	return target->rules.application != NULL ? strdup(target->rules.application) : NULL;
}

static BmwDeliveryStatus
status_of(BmwVerdict verdict)
{
	switch (verdict)
	{
		case BMW_VERDICT_DELIVERED:
			return BMW_DELIVERED;
		case BMW_VERDICT_RETRY:
		case BMW_VERDICT_LOCAL:
		case BMW_VERDICT_ABORTED:
			return BMW_PENDING;
		case BMW_VERDICT_GIVE_UP:
		case BMW_VERDICT_GONE:
			break;
	}
	return BMW_FAILED;
}

/*
 * The endpoint's row learns of a failure that lasts, not of each one: every
 * change of it is read by all dispatchers.
 */
static void
judge(BmwScheduler *scheduler, BmwTarget *target, const BmwOutcome *outcome)
{
	const int64_t disable_after_us = scheduler->limits.disable_after_us;
	const int64_t noted_us = target->rules.failing_since_us;
	int64_t failing_us = bmw_lane_failing_since_us(target->lane);
	int64_t lasting_us =
		disable_after_us > 0 && disable_after_us < LASTING_US ? disable_after_us : LASTING_US;

	if (outcome->verdict == BMW_VERDICT_DELIVERED)
	{
		if (noted_us != 0)
			set_failing(scheduler, target, 0, NULL);
	}
	else if (outcome->verdict == BMW_VERDICT_GONE)
		disable(scheduler, target, "the receiver says that it is gone (410)");
	else if (noted_us == 0)
	{
		if (scheduler->now_us - failing_us >= lasting_us)
			set_failing(scheduler, target, failing_us, outcome->error_class);
	}
	else if (disable_after_us > 0 && scheduler->now_us - noted_us >= disable_after_us)
		disable(scheduler, target,
				"every attempt has failed for longer than bm_webhook.disable_after");
}

static void
set_failing(BmwScheduler *scheduler, BmwTarget *target, int64_t since_us, const char *error_class)
{
	BmwErrand errand = {.kind = BMW_ERRAND_FAILING,
						.endpoint_id = target->rules.id,
						.time_us = since_us,
						.reason = error_class};

	target->rules.failing_since_us = since_us;
	bmw_errand_add(scheduler, &errand);
}

static void
disable(BmwScheduler *scheduler, const BmwTarget *target, const char *reason)
{
	BmwErrand errand = {.kind = BMW_ERRAND_DISABLE,
						.endpoint_id = target->rules.id,
						.reason = reason};

	bmw_errand_add(scheduler, &errand);
}
