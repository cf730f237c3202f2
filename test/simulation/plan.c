/*
 * plan.c - what one run is like. A run with all faults at once hides what two of
 * them do together: each seed has its own few.
 */
#include "plan.h"

static const char *const names[FEATURES] = {
	[HAS_LATE_COMMITS] = "late-commits",
	[HAS_ROLLBACKS] = "rollbacks",
	[HAS_BULK] = "bulk",
	[HAS_UNHEARD] = "unheard-commits",
	[HAS_ORDER] = "order",
	[HAS_CHANGES] = "changes",
	[HAS_DISABLING] = "disabling",
	[HAS_DELETIONS] = "deletions",
	[HAS_SECRETS] = "missing-secrets",
	[HAS_REDELIVERY] = "redelivery",
	[HAS_ROW_LOCKS] = "row-locks",
	[HAS_TABLE_LOCKS] = "table-locks",
	[HAS_REFUSALS] = "refusals",
	[HAS_DISK_FULL] = "disk-full",
	[HAS_STATEMENT_FAILURES] = "statement-failures",
	[HAS_FAILURES] = "failures",
	[HAS_OUTAGES] = "outages",
	[HAS_RETRY_AFTER] = "retry-after",
	[HAS_GONE] = "gone",
	[HAS_HANGING] = "hanging",
	[HAS_LOST_ANSWERS] = "lost-answers",
	[HAS_LOCAL_FAULTS] = "local-faults",
	[HAS_DISPATCHER_CRASHES] = "dispatcher-crashes",
	[HAS_SERVER_CRASHES] = "server-crashes",
	[HAS_STOPS] = "stops",
	[HAS_CLOCK_JUMPS] = "clock-jumps",
	[HAS_NO_MEMORY] = "no-memory",
	[HAS_SHARDS] = "shards",
	[HAS_RESHARDING] = "resharding",
	[HAS_HOLDING] = "holding",
	[HAS_BIG_BODIES] = "big-bodies",
	[HAS_SMALL_LANES] = "small-lanes",
	[HAS_MANY_MESSAGES] = "many-messages",
	[HAS_CANCELS] = "cancels",
	[HAS_PAUSES] = "pauses",
	[HAS_RECOVERY] = "recovery",
	[HAS_EXPIRY] = "expiry",
	[HAS_APPLICATION_RATES] = "application-rates",
	[HAS_STEADY] = "steady-refusals",
	[HAS_PROOF] = "proof-of-urls",
	[HAS_ADDRESSES] = "limit-of-addresses",
};

static void make_steady(Plan *plan);

Plan
plan_of(uint64_t seed)
{
	Plan plan = {.seed = seed};

	random_seed(seed);
	plan.features = random_next();
	if (random_chance(500)) /* few at a time */
		plan.features &= random_next();
	plan.features |= (uint64_t) random_chance(700) << HAS_ORDER;
	plan.features &= (UINT64_C(1) << FEATURES) - 1;
	plan.endpoints = 1 + random_below(random_chance(500) ? 12 : 4);
	plan.writers = 1 + random_below(6);
	plan.seconds = 5 + random_below(random_chance(300) ? 120 : 30);
	if (plan.features >> HAS_STEADY & random_chance(150))
		make_steady(&plan);
	return plan;
}

/* For long, and little else: or nobody could say what the receivers have led to. */
static void
make_steady(Plan *plan)
{
	plan->features &= random_next() & random_next();
	plan->features &= ~(UINT64_C(1) << HAS_HANGING | UINT64_C(1) << HAS_OUTAGES |
						UINT64_C(1) << HAS_STATEMENT_FAILURES | UINT64_C(1) << HAS_ADDRESSES);
	plan->features |= UINT64_C(1) << HAS_STEADY;
	plan->seconds += 40;
}

const char *
plan_feature_name(Feature feature)
{
	return names[feature];
}
