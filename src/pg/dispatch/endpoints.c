/*
 * pg/dispatch/endpoints.c - the clerk of a dispatcher who knows the endpoints.
 *
 * Looks for notes of changes whenever somebody has said that there are some, and
 * at every look while a change is about to be committed (pg/server/notify.c says
 * why), and reads what they name. When that is much it is read in steps, between
 * which everything else goes on. A new copy of an endpoint replaces the old one
 * when it is complete; requests in flight need neither.
 */
#include "postgres.h"

#include "pg/dispatch/endpoints.h"

#include <stdlib.h>

#include "common/hashfn.h"
#include "pg/dispatch/adoption.h"
#include "pg/dispatch/clock.h"
#include "pg/dispatch/endpoint.h"
#include "pg/dispatch/store.h"
#include "pg/dispatch/transaction.h"
#include "pg/server/key_file.h"
#include "pg/server/settings.h"
#include "storage/spin.h"
#include "utils/memutils.h"

#define LOOK_INTERVAL_MS 5000 /* for changes that nobody announced */

/* Some endpoints that are read at once. */
typedef struct Reading
{
	BmwEndpoints *endpoints;
	const int64 *ids;
	int length;
	int next; /* of the ids: those before were there, or are gone */
} Reading;

static bool has_changed(BmwEndpoints *endpoints, uint64 *generation);
static void look(BmwEndpoints *endpoints, int64 now_ms, uint64 generation);
static void read_some(BmwEndpoints *endpoints, int64 now_ms);
static int keep_ours(const BmwEndpoints *endpoints, int64 *ids, int length);
static void set_endpoint(const BmwEndpointRow *row, void *context);
static void remove_until(Reading *reading, int64 id);
static void remove_endpoint(BmwEndpoints *endpoints, int64 id);
static BmwEndpointRules make_rules(const BmwEndpointRow *row, BmwEndpoint *endpoint);
static uint64 identity_of(const BmwEndpointRow *row);
static void log_lack_of_secret(const BmwEndpoints *endpoints, const BmwEndpointRules *rules,
							   bool is_sealed);
static void subscribe(BmwEndpoints *endpoints, const BmwEndpointRow *row);
static bool are_left(BmwEndpoints *endpoints);
static void note_lost(BmwEndpoints *endpoints);
static void read_application(const char *application, void *context);
static void add_muted(const char *application, const char **patterns, int length, void *context);

void
bmw_endpoints_init(BmwEndpoints *endpoints, BmwScheduler *scheduler, BmwSlot *slot,
				   BmwFilters *filters)
{
	*endpoints = (BmwEndpoints){.scheduler = scheduler, .slot = slot, .filters = filters};
	bmw_known_init(&endpoints->known);
	endpoints->router = bmw_router_create();
	bmw_transaction_require_memory(endpoints->router != NULL);
	endpoints->muted = bmw_muted_create(TopMemoryContext);
	bmw_changes_init(&endpoints->changes);
	endpoints->keys = bmw_key_file_version();
	endpoints->verifies = bmw_verify_endpoints;
}

bool
bmw_endpoints_wants(BmwEndpoints *endpoints)
{
	uint64 generation;

	return bmw_scheduler_wants_endpoints(endpoints->scheduler, has_changed(endpoints, &generation));
}

void
bmw_endpoints_refresh(BmwEndpoints *endpoints)
{
	BmwScheduler *scheduler = endpoints->scheduler;
	int64 start_us = bmw_clock_us();
	uint64 generation;

	if (!bmw_scheduler_wants_endpoints(scheduler, has_changed(endpoints, &generation)))
		return;
	if (!bmw_store_can_read_endpoints())
	{
		bmw_scheduler_endpoints_locked(scheduler);
		return;
	}
	look(endpoints, start_us / 1000, generation);
	endpoints->generation = generation;
	do
		read_some(endpoints, start_us / 1000);
	while (!endpoints->is_loaded && are_left(endpoints));
	endpoints->is_loaded = true;
	SpinLockAcquire(&endpoints->slot->mutex);
	endpoints->slot->numbers.sealed = endpoints->known.sealed;
	SpinLockRelease(&endpoints->slot->mutex);
	bmw_scheduler_endpoints_read(scheduler, !are_left(endpoints), bmw_clock_us() - start_us);
}

bool
bmw_endpoints_are_loaded(const BmwEndpoints *endpoints)
{
	return endpoints->is_loaded;
}

void
bmw_endpoints_match(const BmwEndpoints *endpoints, const BmwRouteEvent *event, BmwRouteMatch fn,
					void *context)
{
	if (event->endpoint_id != 0 || !bmw_muted_has(endpoints->muted, event))
		bmw_router_match(endpoints->router, event, fn, context);
}

bool
bmw_endpoints_is_ours(const BmwEndpoints *endpoints, int64 endpoint_id)
{
	return murmurhash32((uint32) endpoint_id) % (uint32) endpoints->slot->shards ==
		   (uint32) endpoints->slot->shard;
}

/*
 * Has something changed, or is it about to? A backend raises `changing`, becomes
 * visible, moves the generation on and lowers `changing`: read the other way
 * round, one of the two always tells. generation: of what is read from now on.
 */
static bool
has_changed(BmwEndpoints *endpoints, uint64 *generation)
{
	BmwSlot *first = bmw_shmem_first(endpoints->slot->database);
	bool is_changing = first != NULL && pg_atomic_read_u32(&first->changing) != 0;
	int64 now_ms = bmw_clock_us() / 1000;

	pg_read_barrier();
	*generation = pg_atomic_read_u64(&endpoints->slot->generation);
	return is_changing || *generation != endpoints->generation ||
		   endpoints->keys != bmw_key_file_version() ||
		   endpoints->verifies != bmw_verify_endpoints || now_ms >= endpoints->look_at_ms ||
		   are_left(endpoints) || bmw_changes_want_check(&endpoints->changes, now_ms);
}

/* For notes, and from time to time for what leaves none. One of the shards removes those that all have read. */
static void
look(BmwEndpoints *endpoints, int64 now_ms, uint64 generation)
{
	bool is_more = false;

	/* what could not be decrypted may be now; who had to prove something need not any more */
	if (endpoints->keys != bmw_key_file_version() || endpoints->verifies != bmw_verify_endpoints)
		bmw_changes_add_all(&endpoints->changes);
	endpoints->keys = bmw_key_file_version();
	endpoints->verifies = bmw_verify_endpoints;
	bmw_changes_look(&endpoints->changes, read_application, endpoints);
	bmw_adoption_look(endpoints->scheduler, endpoints->slot, generation);
	if (now_ms < endpoints->look_at_ms)
		return;
	bmw_changes_check_triggers(&endpoints->changes);
	if (endpoints->slot->shard == 0)
		is_more = bmw_changes_forget(&endpoints->changes);
	endpoints->look_at_ms = now_ms + (is_more ? LOOK_INTERVAL_MS / 10 : LOOK_INTERVAL_MS);
}

/* Without memory in the middle of it, all of these are read again. */
static void
read_some(BmwEndpoints *endpoints, int64 now_ms)
{
	int64 ids[BMW_CHANGES_AT_ONCE];
	Reading reading = {.endpoints = endpoints, .ids = ids};

	note_lost(endpoints);
	reading.length = keep_ours(endpoints, ids, bmw_changes_next(&endpoints->changes, now_ms, ids));
	if (reading.length > 0)
	{
		bmw_store_endpoints(ids, reading.length, set_endpoint, &reading);
		remove_until(&reading, PG_INT64_MAX);
	}
	bmw_changes_read(&endpoints->changes, now_ms);
}

static int
keep_ours(const BmwEndpoints *endpoints, int64 *ids, int length)
{
	int kept = 0;

	for (int i = 0; i < length; i++)
		if (bmw_endpoints_is_ours(endpoints, ids[i]))
			ids[kept++] = ids[i];
	return kept;
}

static void
set_endpoint(const BmwEndpointRow *row, void *context)
{
	Reading *reading = context;
	BmwEndpoints *endpoints = reading->endpoints;
	BmwEndpoint *endpoint;
	BmwEndpointRules rules;
	BmwKnownEndpoint *known;

	remove_until(reading, row->id);
	reading->next++;
	known = bmw_known_get(&endpoints->known, row->id, endpoints->changes.number);
	endpoint = bmw_endpoint_create(row);
	bmw_transaction_require_memory(endpoint != NULL);
	rules = make_rules(row, endpoint);
	log_lack_of_secret(endpoints, &rules, endpoint->is_sealed);
	if (bmw_scheduler_set_endpoint(endpoints->scheduler, &rules) != BMW_OK)
	{
		free(endpoint);
		bmw_transaction_require_memory(false);
	}
	bmw_known_set(&endpoints->known, known, endpoint, endpoints->changes.number);
	subscribe(endpoints, row);
}

/* What was to be read and is not there has been deleted. */
static void
remove_until(Reading *reading, int64 id)
{
	for (; reading->next < reading->length && reading->ids[reading->next] < id; reading->next++)
		remove_endpoint(reading->endpoints, reading->ids[reading->next]);
}

static void
remove_endpoint(BmwEndpoints *endpoints, int64 id)
{
	bmw_router_remove(endpoints->router, id);
	bmw_filters_set(endpoints->filters, id, NULL, NULL);
	bmw_scheduler_remove_endpoint(endpoints->scheduler, id);
	bmw_known_remove(&endpoints->known, id);
}

static BmwEndpointRules
make_rules(const BmwEndpointRow *row, BmwEndpoint *endpoint)
{
	return (BmwEndpointRules){
		.id = row->id,
		.identity = identity_of(row),
		.application = row->application,
		.max_in_flight = row->max_in_flight,
		.rate_limit = row->rate_limit,
		.rate_burst = row->rate_burst,
		.application_rate_limit = row->application_rate_limit,
		.application_rate_burst = row->application_rate_burst,
		.application_max_in_flight = row->application_max_in_flight,
		.is_enabled = row->is_enabled,
		.has_secret = endpoint->secrets_length > 0 && !endpoint->is_sealed,
		.secret_until_us = bmw_endpoint_secret_until_us(endpoint),
		.is_paused = row->is_paused,
		.unverified_us = bmw_verify_endpoints ? row->unverified_us : 0,
		.ttl_us = row->ttl_us,
		.is_ordered = row->is_ordered,
		.schedule = {.delays_us = row->delays_us, .length = row->delays_length},
		.failing_since_us = row->failing_since_us,
		.tag = endpoint};
}

/* Never 0. */
static uint64
identity_of(const BmwEndpointRow *row)
{
	uint64 application =
		row->application != NULL
			? DatumGetUInt64(hash_any_extended((const unsigned char *) row->application,
											   (int) strlen(row->application), 1))
			: 0;

	return hash_combine64(application, (uint64) row->created_us) | 1;
}

static void
log_lack_of_secret(const BmwEndpoints *endpoints, const BmwEndpointRules *rules, bool is_sealed)
{
	if (rules->is_enabled && !rules->has_secret &&
		!bmw_scheduler_lacks_secret(endpoints->scheduler, rules->id))
		ereport(LOG,
				errmsg("endpoint " INT64_FORMAT " of bm_webhook has no usable secret", rules->id),
				errdetail(is_sealed ? "It cannot be decrypted with the keys of "
									  "bm_webhook.secret_key_file. What is for it waits."
									: "What is for it waits."));
}

static void
subscribe(BmwEndpoints *endpoints, const BmwEndpointRow *row)
{
	BmwSubscription subscription = {
		.endpoint_id = row->id,
		.application = row->application,
		.channel = row->channel,
		.patterns = row->patterns,
		.patterns_length = row->patterns_length,
		.since_us = row->since_us,
	};

	bmw_filters_set(endpoints->filters, row->id, row->application, row->filter);
	if (row->is_enabled)
		bmw_transaction_require_memory(bmw_router_set(endpoints->router, &subscription) == BMW_OK);
	else
		bmw_router_remove(endpoints->router, row->id);
}

static bool
are_left(BmwEndpoints *endpoints)
{
	return bmw_changes_are_left(&endpoints->changes) ||
		   bmw_known_lost(&endpoints->known, endpoints->changes.ended) != NULL;
}

/* A round has ended that did not come across these: they may have been deleted. Some of them are looked at next. */
static void
note_lost(BmwEndpoints *endpoints)
{
	BmwChanges *changes = &endpoints->changes;
	BmwKnownEndpoint *lost;

	for (int i = 0; i < BMW_CHANGES_AT_ONCE; i++)
	{
		lost = bmw_known_lost(&endpoints->known, changes->ended);
		if (lost == NULL)
			return;
		bmw_changes_add(changes, lost->id);
		bmw_known_touch(&endpoints->known, lost, changes->number);
	}
}

/* What it mutes, and whether its endpoints are paused. NULL: any of them has changed, with all endpoints. */
static void
read_application(const char *application, void *context)
{
	BmwEndpoints *endpoints = context;
	BmwMuted *all;

	if (application != NULL)
	{
		bmw_muted_set(endpoints->muted, application, NULL, 0);
		bmw_store_muted(application, add_muted, endpoints->muted);
		bmw_changes_add_application(&endpoints->changes, application);
		return;
	}
	all = bmw_muted_create(CurrentMemoryContext);
	bmw_store_muted(NULL, add_muted, all);
	bmw_muted_destroy(endpoints->muted);
	bmw_muted_keep(all);
	endpoints->muted = all;
}

static void
add_muted(const char *application, const char **patterns, int length, void *context)
{
	bmw_muted_set(context, application, patterns, length);
}
