/*
 * plan.h - what one run is like: it follows from the seed, or is cut down to find
 * the least that still fails.
 */
#ifndef SIM_PLAN_H
#define SIM_PLAN_H

#include <stdint.h>

#include "random.h"

/* Each run has some of these. */
typedef enum Feature
{
	HAS_LATE_COMMITS,
	HAS_ROLLBACKS,
	HAS_BULK,	 /* transactions of hundreds of events */
	HAS_UNHEARD, /* commits that nobody announces */
	HAS_ORDER,	 /* endpoints that keep the order of messages */
	HAS_CHANGES, /* of endpoints */
	HAS_DISABLING,
	HAS_DELETIONS,
	HAS_SECRETS, /* that are missing for a time */
	HAS_REDELIVERY,
	HAS_ROW_LOCKS,
	HAS_TABLE_LOCKS,
	HAS_REFUSALS, /* rows that the log does not take */
	HAS_DISK_FULL,
	HAS_STATEMENT_FAILURES,
	HAS_FAILURES, /* of receivers */
	HAS_OUTAGES,
	HAS_RETRY_AFTER,
	HAS_GONE,
	HAS_HANGING,
	HAS_LOST_ANSWERS,
	HAS_LOCAL_FAULTS,
	HAS_DISPATCHER_CRASHES,
	HAS_SERVER_CRASHES,
	HAS_STOPS, /* orderly */
	HAS_CLOCK_JUMPS,
	HAS_NO_MEMORY,
	HAS_SHARDS,
	HAS_RESHARDING,
	HAS_HOLDING,
	HAS_BIG_BODIES,
	HAS_SMALL_LANES,
	HAS_MANY_MESSAGES, /* that have few events each */
	HAS_CANCELS,
	HAS_PAUSES,
	HAS_RECOVERY,
	HAS_EXPIRY,
	HAS_APPLICATION_RATES,
	HAS_STEADY,	   /* receivers that refuse a fixed share, or what comes faster than they like */
	HAS_PROOF,	   /* endpoints that have to prove their URL */
	HAS_ADDRESSES, /* a limit of requests to each */
	FEATURES
} Feature;

typedef struct Plan
{
	uint64_t seed;
	uint64_t features; /* a set */
	int endpoints;
	int writers;
	int seconds; /* until it is calm */
} Plan;

extern Plan plan_of(uint64_t seed);
extern const char *plan_feature_name(Feature feature);

#define PLAN_HAS(feature) ((world.plan.features >> (feature) &1) != 0)

#endif
