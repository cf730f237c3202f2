/*
 * pg/dispatch/cache.c - the endpoints in memory: whom events go to, and how to send.
 *
 * Read as a whole whenever one has changed, and at every look while a change is
 * about to be committed (pg/server/notify.c says why); but not again at once, however
 * many change, because with many endpoints that takes its time. Until then no
 * new pass of intake begins, so that no event is matched with endpoints that are
 * older than itself. While somebody has locked one of the tables, the old copy
 * goes on, and intake makes good for it. The new copy replaces the old one when
 * it is complete; requests in flight need neither. A lane carries its
 * BmwEndpoint as tag; a lane whose endpoint was deleted has none, and closes
 * when nothing is in flight.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "core/pattern.h"
#include "core/name.h"
#include "pg/dispatch/dispatcher.h"
#include "pg/server/settings.h"
#include "portability/instr_time.h"
#include "utils/memutils.h"

#define MAX_LANE_IN_FLIGHT 1000
#define REST_FACTOR 4 /* between two readings, times what one took: a fifth of the time at most */
#define MAX_REST_US (5 * INT64CONST(1000000))
#define LOCK_RETRY_US INT64CONST(100000)

typedef struct Loading
{
	BmwDispatcher *dispatcher;
	MemoryContext memory;
	BmwRouter *router;
	List *endpoints; /* BmwEndpoint */
	List *limits;	 /* their max_in_flight */
	HTAB *muted;
} Loading;

/* An application's event types that are not sent. */
typedef struct Muted
{
	char application[BMW_NAME_MAX_BYTES + 1]; /* the key */
	char **patterns;
	int length;
} Muted;

static HTAB *make_muted(MemoryContext memory);
static void add_muted(const char *application, const char **patterns, int length, void *context);
static void keep_order(BmwLane *lane, void *context);
static bool is_current(const BmwDispatcher *dispatcher, uint64 *generation);
static void read_endpoints(BmwDispatcher *dispatcher);
static void add_endpoint(const BmwEndpointRow *row, void *context);
static BmwEndpoint *make_endpoint(const BmwEndpointRow *row);
static uint64 identity_of(const BmwSubscription *owner);
static void make_headers(BmwEndpoint *endpoint, const BmwEndpointRow *row);
static void make_secrets(BmwEndpoint *endpoint, const BmwEndpointRow *row);
static void subscribe(Loading *loading, const BmwEndpointRow *row, BmwEndpoint *endpoint);
static void replace(Loading *loading);
static void clear_tag(BmwLane *lane, void *context);
static void tend_lane(BmwLane *lane, void *context);
static void cancel_lane(BmwDispatcher *dispatcher, BmwLane *lane);

bool
bmw_cache_refresh(BmwDispatcher *dispatcher)
{
	BmwCache *cache = &dispatcher->cache;
	uint64 generation;
	instr_time start;
	instr_time end;

	if (is_current(dispatcher, &generation))
	{
		cache->is_locked = false;
		return true;
	}
	if (dispatcher->now_us < cache->read_again_us)
		return false;
	cache->is_locked = !bmw_store_can_read_endpoints();
	if (cache->is_locked)
	{
		cache->read_again_us = dispatcher->now_us + LOCK_RETRY_US;
		return false;
	}
	INSTR_TIME_SET_CURRENT(start);
	read_endpoints(dispatcher);
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	cache->generation = generation;
	cache->read_again_us =
		dispatcher->now_us + Min(REST_FACTOR * (int64) INSTR_TIME_GET_MICROSEC(end), MAX_REST_US);
	return true;
}

bool
bmw_cache_wants_refresh(const BmwDispatcher *dispatcher)
{
	const BmwCache *cache = &dispatcher->cache;

	return dispatcher->now_us >= cache->read_again_us &&
		   (cache->is_locked ||
			cache->generation != pg_atomic_read_u64(&dispatcher->slot->generation));
}

bool
bmw_cache_is_stale(const BmwDispatcher *dispatcher)
{
	uint64 generation;

	return dispatcher->now_us < dispatcher->cache.read_again_us &&
		   !is_current(dispatcher, &generation);
}

void
bmw_cache_disable(BmwDispatcher *dispatcher, int64 endpoint_id)
{
	BmwLane *lane = bmw_lanes_find(dispatcher->lanes, endpoint_id);
	BmwEndpoint *endpoint = lane != NULL ? bmw_lane_tag(lane) : NULL;

	if (endpoint == NULL)
		return;
	endpoint->is_enabled = false;
	tend_lane(lane, dispatcher);
}

bool
bmw_cache_is_loaded(const BmwDispatcher *dispatcher)
{
	return dispatcher->cache.router != NULL;
}

bool
bmw_cache_is_muted(const BmwDispatcher *dispatcher, const BmwRouteEvent *event)
{
	Muted *muted;

	if (event->application == NULL || hash_get_num_entries(dispatcher->cache.muted) == 0)
		return false;
	muted = hash_search(dispatcher->cache.muted, event->application, HASH_FIND, NULL);
	for (int i = 0; muted != NULL && i < muted->length; i++)
		if (bmw_pattern_matches(muted->patterns[i], event->type) ||
			(event->alias != NULL && bmw_pattern_matches(muted->patterns[i], event->alias)))
			return true;
	return false;
}

bool
bmw_cache_is_ours(const BmwDispatcher *dispatcher, int64 endpoint_id)
{
	return murmurhash32((uint32) endpoint_id) % (uint32) dispatcher->shards ==
		   (uint32) dispatcher->shard;
}

/*
 * Has nothing changed, and is nothing about to be? A backend raises `changing`,
 * becomes visible, moves the generation on and lowers `changing`: read the other
 * way round, one of the two always tells. generation: of what is read from now on.
 */
static bool
is_current(const BmwDispatcher *dispatcher, uint64 *generation)
{
	bool is_changing = pg_atomic_read_u32(&dispatcher->slot->changing) != 0;

	pg_read_barrier();
	*generation = pg_atomic_read_u64(&dispatcher->slot->generation);
	return !is_changing && *generation == dispatcher->cache.generation;
}

static void
read_endpoints(BmwDispatcher *dispatcher)
{
	Loading loading = {.dispatcher = dispatcher};
	MemoryContext caller = CurrentMemoryContext;

	loading.router = bmw_router_create();
	if (loading.router == NULL)
		ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"));
	loading.memory =
		AllocSetContextCreate(TopMemoryContext, "bm_webhook endpoints", ALLOCSET_DEFAULT_SIZES);
	loading.muted = make_muted(loading.memory);
	PG_TRY();
	{
		bmw_store_endpoints(add_endpoint, &loading);
		bmw_store_muted(add_muted, &loading);
	}
	PG_CATCH();
	{
		bmw_router_destroy(loading.router);
		MemoryContextDelete(loading.memory);
		PG_RE_THROW();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	replace(&loading);
	bmw_lanes_each(dispatcher->lanes, keep_order, dispatcher);
}

static void
add_endpoint(const BmwEndpointRow *row, void *context)
{
	Loading *loading = context;
	BmwDispatcher *dispatcher = loading->dispatcher;
	MemoryContext caller;
	BmwEndpoint *endpoint;

	if (!bmw_cache_is_ours(dispatcher, row->id))
		return;
	caller = MemoryContextSwitchTo(loading->memory);
	endpoint = make_endpoint(row);
	loading->endpoints = lappend(loading->endpoints, endpoint);
	loading->limits = lappend_int(loading->limits, row->max_in_flight);
	MemoryContextSwitchTo(caller);
	if (endpoint->is_enabled)
		subscribe(loading, row, endpoint);
}

static BmwEndpoint *
make_endpoint(const BmwEndpointRow *row)
{
	BmwEndpoint *endpoint = palloc0(sizeof(*endpoint));
	int64 *delays = palloc(sizeof(*delays) * Max(row->delays_length, 1));

	endpoint->id = row->id;
	endpoint->owner = (BmwSubscription){
		.endpoint_id = row->id,
		.application = row->application != NULL ? pstrdup(row->application) : NULL,
		.since_us = row->created_us,
	};
	endpoint->identity = identity_of(&endpoint->owner);
	endpoint->url = pstrdup(row->url);
	endpoint->is_enabled = row->is_enabled;
	endpoint->is_ordered = row->is_ordered;
	endpoint->timeout_ms = row->timeout_ms;
	endpoint->failing_since_us = row->failing_since_us;
	memcpy(delays, row->delays_us, sizeof(*delays) * row->delays_length);
	endpoint->schedule = (BmwSchedule){.delays_us = delays, .length = row->delays_length};
	make_headers(endpoint, row);
	make_secrets(endpoint, row);
	return endpoint;
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
		.tag = endpoint,
	};

	if (bmw_router_add(loading->router, &subscription) != BMW_OK)
		ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"));
}

/* From here on nothing can fail but for want of memory for a lane: that endpoint then has none until the next look. */
static void
replace(Loading *loading)
{
	BmwDispatcher *dispatcher = loading->dispatcher;
	BmwCache *cache = &dispatcher->cache;
	ListCell *endpoint_cell;
	ListCell *limit_cell;

	bmw_lanes_each(dispatcher->lanes, clear_tag, NULL);
	forboth (endpoint_cell, loading->endpoints, limit_cell, loading->limits)
	{
		BmwEndpoint *endpoint = lfirst(endpoint_cell);
		BmwLane *lane = bmw_lanes_open(dispatcher->lanes, endpoint->id,
									   Min(lfirst_int(limit_cell), MAX_LANE_IN_FLIGHT));

		if (lane == NULL)
			continue;
		bmw_lane_set_tag(lane, endpoint);
		(void) bmw_lane_set_application(lane, endpoint->owner.application);
	}
	bmw_router_destroy(cache->router);
	if (cache->memory != NULL)
		MemoryContextDelete(cache->memory);
	cache->router = loading->router;
	cache->memory = loading->memory;
	cache->muted = loading->muted;
	bmw_lanes_each(dispatcher->lanes, tend_lane, dispatcher);
}

static void
clear_tag(BmwLane *lane, void *context)
{
	bmw_lane_set_tag(lane, NULL);
}

/* A lane without endpoint is emptied and closed, one that is disabled or cannot sign is parked. */
static void
tend_lane(BmwLane *lane, void *context)
{
	BmwDispatcher *dispatcher = context;
	BmwEndpoint *endpoint = bmw_lane_tag(lane);
	bool was_stopped = bmw_lane_is_stopped(lane);
	bool lacks_secret = endpoint != NULL && endpoint->secrets_length == 0;
	bool is_stopped = endpoint == NULL || !endpoint->is_enabled || lacks_secret;

	if (lacks_secret && endpoint->is_enabled && !was_stopped)
		ereport(
			LOG,
			errmsg("endpoint " INT64_FORMAT " of bm_webhook has no usable secret", endpoint->id),
			errdetail("What is for it waits."));
	if (is_stopped != was_stopped)
		bmw_lane_set_stopped(lane, is_stopped);
	if (endpoint == NULL)
		cancel_lane(dispatcher, lane);
	else if (is_stopped && !was_stopped)
	{
		bmw_sender_park(dispatcher, lane);
		bmw_sender_forget_due(dispatcher, lane);
	}
	else if (!is_stopped && was_stopped)
	{
		bmw_lane_expect(lane, dispatcher->now_us);
		bmw_ordering_resume(dispatcher, endpoint->id);
	}
}

/* An endpoint begins to keep the order, or no longer does. */
static void
keep_order(BmwLane *lane, void *context)
{
	BmwDispatcher *dispatcher = context;
	BmwOrdering *ordering = &dispatcher->ordering;
	BmwEndpoint *endpoint = bmw_lane_tag(lane);
	int64 id = bmw_lane_endpoint(lane);
	bool is_kept = hash_search(ordering->endpoints, &id, HASH_FIND, NULL) != NULL;
	bool is_wanted = endpoint != NULL && endpoint->is_ordered;

	if (is_wanted && !is_kept)
	{
		bmw_ordering_begin(dispatcher, id);
		hash_search(ordering->endpoints, &id, HASH_ENTER, NULL);
	}
	else if (!is_wanted && is_kept)
	{
		hash_search(ordering->endpoints, &id, HASH_REMOVE, NULL);
		bmw_order_forget(ordering->order, id);
		bmw_recorder_let_go(dispatcher, id);
	}
}

static HTAB *
make_muted(MemoryContext memory)
{
	HASHCTL control = {.keysize = BMW_NAME_MAX_BYTES + 1,
					   .entrysize = sizeof(Muted),
					   .hcxt = memory};

	return hash_create("bm_webhook muted", 16, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
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

static void
cancel_lane(BmwDispatcher *dispatcher, BmwLane *lane)
{
	BmwJob *job;
	int64 endpoint_id = bmw_lane_endpoint(lane);

	while ((job = bmw_lane_take_new(lane)) != NULL)
	{
		bmw_recorder_cancel(dispatcher, job, endpoint_id);
		bmw_job_free(dispatcher, job);
	}
	bmw_sender_forget_due(dispatcher, lane);
	bmw_recorder_cancel_pending(dispatcher, endpoint_id);
	if (hash_search(dispatcher->ordering.endpoints, &endpoint_id, HASH_REMOVE, NULL) != NULL)
		bmw_order_forget(dispatcher->ordering.order, endpoint_id);
	bmw_sender_close_if_deleted(dispatcher, lane);
}
