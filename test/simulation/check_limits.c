/*
 * check_limits.c - what must hold of limits: nothing is sent that has expired, without a secret,
 * beyond the rate of its application, or before a proof of the URL.
 */
#include <string.h>

#include "check.h"
#include "trace.h"
#include "world.h"

/* When the buckets are full again, by the clock of those who send. */
static int64_t full[APPLICATIONS];
static int64_t set_back;

static void check_proof(const Dispatcher *dispatcher, int number, int endpoint);
static void check_rate(int application, int64_t started);

void
check_rates_begin(void)
{
	memset(full, 0, sizeof(full));
	set_back = 0;
}

void
check_limits(const Dispatcher *dispatcher, int number, int endpoint, const BmwRequest *made)
{
	const Version *known = &dispatcher->known[endpoint];

	if (registry_expiry(known, &tables.events[number]) <= made->started_us)
		violation("event %d is sent to endpoint %d, and has expired", number, endpoint);
	if (known->secret_until != 0 && known->secret_until <= made->started_us)
		violation("event %d is sent to endpoint %d, whose secret has expired", number, endpoint);
	if (known->application != NO_APPLICATION && registry.rates[known->application] > 0)
		check_rate(known->application, made->started_us);
	check_proof(dispatcher, number, endpoint);
}

static void
check_proof(const Dispatcher *dispatcher, int number, int endpoint)
{
	const Version *known = &dispatcher->known[endpoint];

	if (known->unverified != 0)
		violation("event %d is sent to endpoint %d, which has not proved its URL", number,
				  endpoint);
	if (PLAN_HAS(HAS_PROOF) && (registry.endpoints[endpoint].proved >> known->url & 1) == 0)
		violation("event %d is sent to endpoint %d, and nobody has answered for its URL", number,
				  endpoint);
}

void
check_expired(const Dispatcher *dispatcher, const BmwRecord *record)
{
	const Event *event = &tables.events[event_of(&record->event_id)];
	int endpoint = registry_of(record->endpoint_id);

	if (record->status != BMW_CANCELED || record->error == NULL ||
		strcmp(record->error, "expired") != 0)
		return;
	MET(MET_EXPIRED);
	if (world.set_back == 0 && registry_expiry(&dispatcher->known[endpoint], event) > world_wall())
		violation("event %d for endpoint %d is canceled before it expires",
				  event_of(&record->event_id), endpoint);
}

/* A clock that is set back empties no bucket, but nobody waits for long because of it. */
static void
check_rate(int application, int64_t started)
{
	int64_t interval = (SECOND + registry.rates[application] - 1) / registry.rates[application];

	if (set_back != world.set_back)
		memset(full, 0, sizeof(full));
	set_back = world.set_back;
	full[application] = (full[application] > started ? full[application] : started) + interval;
	if (full[application] - started > RATE_BURST * interval)
		violation("application %d gets more than %d requests a second", application,
				  registry.rates[application]);
}
