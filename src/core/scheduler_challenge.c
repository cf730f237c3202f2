/*
 * core/scheduler_challenge.c - when an endpoint is asked for a proof.
 *
 * Who has got none yet waits in a heap, by when it is asked next. An application that registers
 * endpoints which hang takes a few of the places alone.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/challenge.h"
#include "core/scheduler_internal.h"

#define FIRST_DELAY_US                                                                             \
	(2 * BMW_SECOND_US) /* doubled each time; also between any two of an endpoint */
#define LONGEST_DELAY_US (3600 * BMW_SECOND_US)
#define GIVE_UP_US                                                                                 \
	(24 * LONGEST_DELAY_US)		 /* what is not proved by then waits until somebody asks again */
#define APPLICATION_MAX 4		 /* of an application, under way at a time */
#define CROWDED_US BMW_SECOND_US /* until one that has as many is looked at again */

static BmwTrial *open_trial(BmwScheduler *scheduler, BmwTarget *target);
static void plan(BmwScheduler *scheduler, BmwTrial *trial, int64_t at_us);
static bool may_be_asked(const BmwTarget *target);
static void ask(BmwScheduler *scheduler, BmwTrial *trial, BmwChallenge *challenge);
static bool is_crowded(const BmwScheduler *scheduler, const BmwTarget *target);
static bool is_of_same(const BmwTarget *a, const BmwTarget *b);
static void take_place_back(BmwScheduler *scheduler, const BmwChallenge *challenge);
static void fail(BmwScheduler *scheduler, BmwTrial *trial);

bool
bmw_trial_update(BmwScheduler *scheduler, BmwTarget *target)
{
	BmwTrial *trial = target->trial;

	if (target->is_gone || target->rules.unverified_us == 0)
	{
		bmw_trial_end(scheduler, target);
		return true;
	}
	if (trial == NULL && (trial = open_trial(scheduler, target)) == NULL)
		return false;
	if (trial->unverified_us != target->rules.unverified_us)
	{
		trial->unverified_us = target->rules.unverified_us;
		trial->attempts = 0;
		trial->next_us = trial->asked_us + FIRST_DELAY_US;
	}
	plan(scheduler, trial, trial->next_us);
	return true;
}

void
bmw_trial_end(BmwScheduler *scheduler, BmwTarget *target)
{
	if (target->trial == NULL)
		return;
	bmw_heap_remove(&scheduler->trials.waiting, &target->trial->node);
	scheduler->trials.length--;
	free(target->trial);
	target->trial = NULL;
}

int64_t
bmw_trials_wakeup_us(const BmwScheduler *scheduler)
{
	const BmwTrials *trials = &scheduler->trials;
	const BmwHeapNode *top = bmw_heap_top(&trials->waiting);

	return top != NULL && trials->asked_length < BMW_CHALLENGES_MAX ? top->key : BMW_NEVER_US;
}

/* All by the same: so their order stays. */
void
bmw_trials_shift(BmwTrials *trials, int64_t by_us)
{
	for (int i = 0; i < trials->waiting.length; i++)
	{
		BmwTrial *trial = trials->waiting.nodes[i]->item;

		trial->node.key -= by_us;
		trial->next_us -= by_us;
		trial->asked_us -= by_us;
	}
}

bool
bmw_challenge_next(BmwScheduler *scheduler, BmwChallenge *challenge)
{
	BmwTrials *trials = &scheduler->trials;
	BmwHeapNode *top;

	if (scheduler->mode != BMW_RUNNING || scheduler->is_paused)
		return false;
	while (trials->asked_length < BMW_CHALLENGES_MAX &&
		   (top = bmw_heap_top(&trials->waiting)) != NULL && top->key <= scheduler->now_us)
	{
		BmwTrial *trial = top->item;

		if (bmw_send_lacks_secret(scheduler, trial->target))
			continue; /* and it waits here no more */
		if (!is_crowded(scheduler, trial->target))
		{
			ask(scheduler, trial, challenge);
			return true;
		}
		plan(scheduler, trial, scheduler->now_us + CROWDED_US);
	}
	return false;
}

bool
bmw_challenge_enter(BmwScheduler *scheduler, BmwChallenge *challenge, uint64_t destination)
{
	const BmwTarget *target = bmw_target_find(scheduler, challenge->endpoint_id);

	return target != NULL &&
		   bmw_lane_enter(target->lane, &challenge->party, destination, scheduler->now_us);
}

void
bmw_challenge_put_off(BmwScheduler *scheduler, const BmwChallenge *challenge)
{
	const BmwTarget *target = bmw_target_find(scheduler, challenge->endpoint_id);
	BmwTrial *trial = target != NULL ? target->trial : NULL;

	take_place_back(scheduler, challenge);
	if (trial == NULL || trial->asked_for_us != challenge->unverified_us)
		return;
	trial->asked_for_us = 0;
	if (trial->unverified_us == challenge->unverified_us)
		trial->attempts--;
	plan(scheduler, trial, scheduler->now_us + CROWDED_US);
}

/* It may be another endpoint by now, or have another URL: then this was for nothing. */
void
bmw_challenge_ended(BmwScheduler *scheduler, const BmwChallenge *challenge, bool is_proved)
{
	BmwTarget *target = bmw_target_find(scheduler, challenge->endpoint_id);
	BmwTrial *trial = target != NULL ? target->trial : NULL;

	take_place_back(scheduler, challenge);
	if (trial == NULL || trial->asked_for_us != challenge->unverified_us)
		return;
	trial->asked_for_us = 0;
	if (trial->unverified_us != challenge->unverified_us)
		plan(scheduler, trial, trial->next_us);
	else if (is_proved)
		bmw_target_verified(scheduler, target);
	else
		fail(scheduler, trial);
}

static BmwTrial *
open_trial(BmwScheduler *scheduler, BmwTarget *target)
{
	BmwTrials *trials = &scheduler->trials;
	BmwTrial *trial;

	if (!bmw_heap_reserve(&trials->waiting, trials->length + 1) ||
		(trial = calloc(1, sizeof(*trial))) == NULL)
		return NULL;
	trial->node.item = trial;
	trial->target = target;
	trials->length++;
	target->trial = trial;
	return trial;
}

static void
plan(BmwScheduler *scheduler, BmwTrial *trial, int64_t at_us)
{
	BmwHeap *waiting = &scheduler->trials.waiting;

	trial->next_us = at_us;
	if (at_us != BMW_NEVER_US && trial->asked_for_us == 0 && may_be_asked(trial->target))
		bmw_heap_set(waiting, &trial->node, at_us);
	else
		bmw_heap_remove(waiting, &trial->node);
}

static bool
may_be_asked(const BmwTarget *target)
{
	return bmw_target_is_live(target) && !target->rules.is_paused;
}

static void
ask(BmwScheduler *scheduler, BmwTrial *trial, BmwChallenge *challenge)
{
	const BmwTarget *target = trial->target;
	BmwTrials *trials = &scheduler->trials;

	bmw_heap_remove(&trials->waiting, &trial->node);
	trial->asked_us = scheduler->now_us;
	trial->asked_for_us = trial->unverified_us;
	*challenge = (BmwChallenge){.endpoint_id = target->rules.id,
								.endpoint = target->rules.tag,
								.unverified_us = trial->unverified_us,
								.attempt = ++trial->attempts};
	trials->asked[trials->asked_length++] = *challenge;
}

/* The platform's own endpoints, which have no application, are not counted. */
static bool
is_crowded(const BmwScheduler *scheduler, const BmwTarget *target)
{
	const BmwTrials *trials = &scheduler->trials;
	int length = 0;

	for (int i = 0; target->rules.application != NULL && i < trials->asked_length; i++)
		length += is_of_same(bmw_target_find(scheduler, trials->asked[i].endpoint_id), target);
	return length >= APPLICATION_MAX;
}

static bool
is_of_same(const BmwTarget *a, const BmwTarget *b)
{
	return a != NULL && a->rules.application != NULL &&
		   strcmp(a->rules.application, b->rules.application) == 0;
}

static void
take_place_back(BmwScheduler *scheduler, const BmwChallenge *challenge)
{
	BmwTrials *trials = &scheduler->trials;
	int i = 0;

	bmw_lanes_leave(scheduler->lanes, challenge->party);
	while (i < trials->asked_length && (trials->asked[i].endpoint_id != challenge->endpoint_id ||
										trials->asked[i].unverified_us != challenge->unverified_us))
		i++;
	assert(i < trials->asked_length);
	trials->asked[i] = trials->asked[--trials->asked_length];
}

static void
fail(BmwScheduler *scheduler, BmwTrial *trial)
{
	int64_t delay_us = FIRST_DELAY_US;

	for (int i = 1; i < trial->attempts && delay_us < LONGEST_DELAY_US; i++)
		delay_us *= 2;
	delay_us = bmw_scheduler_earlier(delay_us, LONGEST_DELAY_US);
	plan(scheduler, trial,
		 scheduler->now_us + delay_us < trial->unverified_us + GIVE_UP_US
			 ? scheduler->now_us + delay_us
			 : BMW_NEVER_US);
}
