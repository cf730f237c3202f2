/*
 * pg/dispatch/endpoints.c - the clerk of a dispatcher who knows the endpoints.
 *
 * Read as a whole whenever one has changed, and at every look while a change is
 * about to be committed (pg/server/notify.c says why). The new copy replaces the old
 * one when it is complete; requests in flight need neither.
 */
#include "postgres.h"

#include "pg/dispatch/endpoints.h"

#include "common/hashfn.h"
#include "core/name.h"
#include "core/pattern.h"
#include "pg/dispatch/endpoint.h"
#include "pg/dispatch/store.h"
#include "portability/instr_time.h"
#include "utils/memutils.h"

typedef struct Loading
{
	BmwEndpoints *endpoints;
	MemoryContext memory;
	BmwRouter *router;
	HTAB *muted;
	List *rules; /* BmwEndpointRules */
} Loading;

/* An application's event types that are not sent. */
typedef struct Muted
{
	char application[BMW_NAME_MAX_BYTES + 1]; /* the key */
	char **patterns;
	int length;
} Muted;

static bool has_changed(const BmwEndpoints *endpoints, uint64 *generation);
static void read_all(BmwEndpoints *endpoints);
static void load(Loading *loading);
static void add_endpoint(const BmwEndpointRow *row, void *context);
static BmwEndpoint *make_endpoint(const BmwEndpointRow *row);
static void make_headers(BmwEndpoint *endpoint, const BmwEndpointRow *row);
static void make_secrets(BmwEndpoint *endpoint, const BmwEndpointRow *row);
static BmwEndpointRules *make_rules(const BmwEndpointRow *row, BmwEndpoint *endpoint);
static uint64 identity_of(const BmwSubscription *owner);
static void log_lack_of_secret(const BmwEndpoints *endpoints, const BmwEndpointRules *rules);
static void subscribe(Loading *loading, const BmwEndpointRow *row, BmwEndpoint *endpoint);
static void add_muted(const char *application, const char **patterns, int length, void *context);
static void tell_scheduler(Loading *loading);
static void replace(Loading *loading);
static bool is_muted(const BmwEndpoints *endpoints, const BmwRouteEvent *event);

void
bmw_endpoints_init(BmwEndpoints *endpoints, BmwScheduler *scheduler, BmwSlot *slot, int shards)
{
	*endpoints = (BmwEndpoints){.scheduler = scheduler, .slot = slot, .shards = shards};
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
	uint64 generation;
	instr_time start;
	instr_time end;

	if (!bmw_scheduler_wants_endpoints(scheduler, has_changed(endpoints, &generation)))
		return;
	if (!bmw_store_can_read_endpoints())
	{
		bmw_scheduler_endpoints_locked(scheduler);
		return;
	}
	INSTR_TIME_SET_CURRENT(start);
	read_all(endpoints);
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	endpoints->generation = generation;
	bmw_scheduler_end_reading(scheduler, (int64) INSTR_TIME_GET_MICROSEC(end));
}

bool
bmw_endpoints_are_loaded(const BmwEndpoints *endpoints)
{
	return endpoints->router != NULL;
}

void
bmw_endpoints_match(const BmwEndpoints *endpoints, const BmwRouteEvent *event, BmwRouteMatch fn,
					void *context)
{
	if (endpoints->router != NULL && (event->endpoint_id != 0 || !is_muted(endpoints, event)))
		bmw_router_match(endpoints->router, event, fn, context);
}

bool
bmw_endpoints_is_ours(const BmwEndpoints *endpoints, int64 endpoint_id)
{
	return murmurhash32((uint32) endpoint_id) % (uint32) endpoints->shards ==
		   (uint32) endpoints->slot->shard;
}

/*
 * Has something changed, or is it about to? A backend raises `changing`, becomes
 * visible, moves the generation on and lowers `changing`: read the other way
 * round, one of the two always tells. generation: of what is read from now on.
 */
static bool
has_changed(const BmwEndpoints *endpoints, uint64 *generation)
{
	bool is_changing = pg_atomic_read_u32(&endpoints->slot->changing) != 0;

	pg_read_barrier();
	*generation = pg_atomic_read_u64(&endpoints->slot->generation);
	return is_changing || *generation != endpoints->generation;
}

static void
read_all(BmwEndpoints *endpoints)
{
	Loading loading = {.endpoints = endpoints, .router = bmw_router_create()};
	HASHCTL control = {.keysize = BMW_NAME_MAX_BYTES + 1, .entrysize = sizeof(Muted)};

	if (loading.router == NULL)
		ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"));
	loading.memory =
		AllocSetContextCreate(TopMemoryContext, "bm_webhook endpoints", ALLOCSET_DEFAULT_SIZES);
	control.hcxt = loading.memory;
	PG_TRY();
	{
		loading.muted =
			hash_create("bm_webhook muted", 16, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
		load(&loading);
	}
	PG_CATCH();
	{
		bmw_router_destroy(loading.router);
		MemoryContextDelete(loading.memory);
		PG_RE_THROW();
	}
	PG_END_TRY();
	tell_scheduler(&loading);
	replace(&loading);
}

static void
load(Loading *loading)
{
	bmw_store_endpoints(add_endpoint, loading);
	bmw_store_muted(add_muted, loading);
}

static void
add_endpoint(const BmwEndpointRow *row, void *context)
{
	Loading *loading = context;
	MemoryContext caller;
	BmwEndpoint *endpoint;

	if (!bmw_endpoints_is_ours(loading->endpoints, row->id))
		return;
	caller = MemoryContextSwitchTo(loading->memory);
	endpoint = make_endpoint(row);
	loading->rules = lappend(loading->rules, make_rules(row, endpoint));
	MemoryContextSwitchTo(caller);
	if (row->is_enabled)
		subscribe(loading, row, endpoint);
}

static BmwEndpoint *
make_endpoint(const BmwEndpointRow *row)
{
	BmwEndpoint *endpoint = palloc0(sizeof(*endpoint));

	endpoint->owner = (BmwSubscription){
		.endpoint_id = row->id,
		.application = row->application != NULL ? pstrdup(row->application) : NULL,
		.since_us = row->created_us,
	};
	endpoint->url = pstrdup(row->url);
	endpoint->timeout_ms = row->timeout_ms;
	make_headers(endpoint, row);
	make_secrets(endpoint, row);
	return endpoint;
}

static void
make_headers(BmwEndpoint *endpoint, const BmwEndpointRow *row)
{
	endpoint->headers_length = row->headers_length;
	endpoint->headers = palloc(sizeof(BmwHttpHeader) * Max(row->headers_length, 1));
	for (int i = 0; i < row->headers_length; i++)
		endpoint->headers[i] = (BmwHttpHeader){.name = pstrdup(row->header_names[i]),
											   .value = pstrdup(row->header_values[i])};
}

static void
make_secrets(BmwEndpoint *endpoint, const BmwEndpointRow *row)
{
	endpoint->secrets = palloc(sizeof(BmwSecret) * Max(row->secrets_length, 1));
	for (int i = 0; i < row->secrets_length; i++)
		if (bmw_secret_parse(row->secrets[i], strlen(row->secrets[i]),
							 &endpoint->secrets[endpoint->secrets_length]) == BMW_OK)
			endpoint->secrets_length++;
}

static BmwEndpointRules *
make_rules(const BmwEndpointRow *row, BmwEndpoint *endpoint)
{
	BmwEndpointRules *rules = palloc(sizeof(*rules));
	int64 *delays = palloc(sizeof(*delays) * Max(row->delays_length, 1));

	memcpy(delays, row->delays_us, sizeof(*delays) * row->delays_length);
	*rules = (BmwEndpointRules){.id = row->id,
								.identity = identity_of(&endpoint->owner),
								.application = endpoint->owner.application,
								.max_in_flight = row->max_in_flight,
								.is_enabled = row->is_enabled,
								.has_secret = endpoint->secrets_length > 0,
								.is_ordered = row->is_ordered,
								.schedule = {.delays_us = delays, .length = row->delays_length},
								.failing_since_us = row->failing_since_us,
								.tag = endpoint};
	return rules;
}

/* Never 0. */
static uint64
identity_of(const BmwSubscription *owner)
{
	uint64 application =
		owner->application != NULL
			? DatumGetUInt64(hash_any_extended((const unsigned char *) owner->application,
											   (int) strlen(owner->application), 1))
			: 0;

	return hash_combine64(application, (uint64) owner->since_us) | 1;
}

static void
subscribe(Loading *loading, const BmwEndpointRow *row, BmwEndpoint *endpoint)
{
	BmwSubscription subscription = {
		.endpoint_id = row->id,
		.application = row->application,
		.channel = row->channel,
		.patterns = row->patterns,
		.patterns_length = row->patterns_length,
		.since_us = row->created_us,
		.tag = &endpoint->owner,
	};

	if (bmw_router_add(loading->router, &subscription) != BMW_OK)
		ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"));
}

static void
add_muted(const char *application, const char **patterns, int length, void *context)
{
	Loading *loading = context;
	MemoryContext caller = MemoryContextSwitchTo(loading->memory);
	Muted *muted = hash_search(loading->muted, application, HASH_ENTER, NULL);

	muted->length = length;
	muted->patterns = palloc(sizeof(char *) * length);
	for (int i = 0; i < length; i++)
		muted->patterns[i] = pstrdup(patterns[i]);
	MemoryContextSwitchTo(caller);
}

/* Without memory for one, some have tags of the new reading and some of the old: both stay until the next. */
static void
tell_scheduler(Loading *loading)
{
	BmwEndpoints *endpoints = loading->endpoints;
	ListCell *cell;

	bmw_scheduler_begin_reading(endpoints->scheduler);
	foreach (cell, loading->rules)
	{
		const BmwEndpointRules *rules = lfirst(cell);

		log_lack_of_secret(endpoints, rules);
		if (bmw_scheduler_set_endpoint(endpoints->scheduler, rules) == BMW_OK)
			continue;
		bmw_router_destroy(loading->router);
		if (endpoints->memory != NULL)
			MemoryContextSetParent(endpoints->memory, loading->memory);
		endpoints->memory = loading->memory;
		ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"));
	}
}

static void
log_lack_of_secret(const BmwEndpoints *endpoints, const BmwEndpointRules *rules)
{
	if (rules->is_enabled && !rules->has_secret &&
		!bmw_scheduler_lacks_secret(endpoints->scheduler, rules->id))
		ereport(LOG,
				errmsg("endpoint " INT64_FORMAT " of bm_webhook has no usable secret", rules->id),
				errdetail("What is for it waits."));
}

static void
replace(Loading *loading)
{
	BmwEndpoints *endpoints = loading->endpoints;

	bmw_router_destroy(endpoints->router);
	if (endpoints->memory != NULL)
		MemoryContextDelete(endpoints->memory);
	endpoints->router = loading->router;
	endpoints->memory = loading->memory;
	endpoints->muted = loading->muted;
}

/* Is this event not sent for its application? */
static bool
is_muted(const BmwEndpoints *endpoints, const BmwRouteEvent *event)
{
	const Muted *muted;

	if (event->application == NULL || hash_get_num_entries(endpoints->muted) == 0)
		return false;
	muted = hash_search(endpoints->muted, event->application, HASH_FIND, NULL);
	return muted != NULL &&
		   bmw_route_is_of_type(event, (const char *const *) muted->patterns, muted->length);
}
