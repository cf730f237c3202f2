/*
 * shrink.c - the least plan that still fails: without each fault in turn, with
 * fewer endpoints and writers, for a shorter time.
 *
 * A smaller plan is another run: chance falls otherwise. So each is tried with a
 * few seeds.
 */
#include "shrink.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "run.h"
#include "trace.h"
#include "world.h"

#define TRIES 12
#define STORY 60 /* lines */

static char kind[24];

static bool still_fails(Plan *plan);
static bool try_smaller(Plan *best, Plan smaller);
static void shrink_once(Plan *best);
static void tell(const Plan *plan);

void
shrink(const Plan *plan)
{
	Plan best = *plan;

	snprintf(kind, sizeof(kind), "%.23s", trace_violation);
	for (int i = 0; kind[i] != '\0'; i++)
		if (kind[i] >= '0' && kind[i] <= '9')
			kind[i] = '\0';
	for (int round = 0; round < 3; round++)
		shrink_once(&best);
	tell(&best);
}

static void
shrink_once(Plan *best)
{
	for (int i = 0; i < FEATURES; i++)
	{
		Plan smaller = *best;

		smaller.features &= ~(UINT64_C(1) << i);
		if (smaller.features != best->features)
			(void) try_smaller(best, smaller);
	}
	for (Plan smaller = *best; smaller.seconds > 1; smaller = *best)
	{
		smaller.seconds -= (smaller.seconds + 3) / 4;
		if (!try_smaller(best, smaller))
			break;
	}
	for (Plan smaller = *best; smaller.endpoints > 1; smaller = *best)
	{
		smaller.endpoints /= 2;
		if (!try_smaller(best, smaller))
			break;
	}
	for (Plan smaller = *best; smaller.writers > 1; smaller = *best)
	{
		smaller.writers /= 2;
		if (!try_smaller(best, smaller))
			break;
	}
}

static bool
try_smaller(Plan *best, Plan smaller)
{
	if (!still_fails(&smaller))
		return false;
	*best = smaller;
	return true;
}

/* In the same way; with another seed perhaps. */
static bool
still_fails(Plan *plan)
{
	uint64_t seed = plan->seed;

	for (int i = 0; i < TRIES; i++)
	{
		plan->seed = seed + (uint64_t) i * 1000003;
		if (!run_plan(plan) && strncmp(trace_violation, kind, strlen(kind)) == 0)
			return true;
	}
	return false;
}

static void
tell(const Plan *plan)
{
	trace_is_on = true;
	(void) run_plan(plan);
	trace_print(STORY);
	trace_is_on = false;
	printf("%s\nagain: simulate -r %" PRIu64 " -x %" PRIx64 " -e %d -w %d -t %d   with",
		   trace_violation, plan->seed, plan->features, plan->endpoints, plan->writers,
		   plan->seconds);
	for (int i = 0; i < FEATURES; i++)
		if ((plan->features >> i & 1) != 0)
			printf(" %s", plan_feature_name((Feature) i));
	putchar('\n');
}
