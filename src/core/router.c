/*
 * core/router.c - finds the endpoints that get an event.
 *
 * An event asks for the few lists (router_list.h) that can be meant: its type,
 * each prefix of it and the star, for its application and channel and for none.
 * Another table leads from ids to routes, for events that name their endpoint and
 * for changes of one. A route is one allocation: its entries in the lists, its
 * patterns, its texts. The lists only pick candidates: bmw_subscription_matches()
 * alone decides, as in the SQL views.
 */
#include <stdlib.h>
#include <string.h>

#include "core/pattern.h"
#include "core/route.h"
#include "core/router_list.h"

#define FIRST_BUCKETS 64 /* a power of two, as all its doublings */

typedef struct Route
{
	struct Route *next_in_bucket;
	BmwSubscription subscription; /* its texts are in the same allocation */
	int length;					  /* of entries: a pattern that comes twice has one */
	BmwRouterEntry entries[];
} Route;

struct BmwRouter
{
	BmwRouterLists lists;
	Route **buckets;
	size_t size; /* a power of two */
	size_t length;
};

/* One event that looks for its endpoints. */
typedef struct Matching
{
	const BmwRouter *router;
	const BmwRouteEvent *event;
	bool is_alias; /* by its second type */
	BmwRouteMatch match;
	void *context;
} Matching;

static bool grow(BmwRouter *router);
static Route *create_route(const BmwSubscription *source);
static size_t texts_size(const BmwSubscription *source);
static bool comes_before(const BmwSubscription *subscription, int pattern);
static char *copy_text(const char *text, char **space);
static bool link_route(BmwRouter *router, Route *route);
static void unlink_entries(BmwRouter *router, Route *route, int length);
static Route **find_route(const BmwRouter *router, int64_t endpoint_id);
static void match_endpoint(const BmwRouter *router, const BmwRouteEvent *event, BmwRouteMatch match,
						   void *context);
static void match_type(const Matching *matching, const char *type);
static void match_pattern(const Matching *matching, BmwRouterKey key);
static void match_list(const Matching *matching, const BmwRouterKey *key);
static bool is_found_here(const Matching *matching, const BmwRouterEntry *entry);
static uint64_t hash_id(int64_t id);

BmwRouter *
bmw_router_create(void)
{
	BmwRouter *router = calloc(1, sizeof(BmwRouter));

	if (router != NULL && !grow(router))
	{
		free(router);
		return NULL;
	}
	return router;
}

void
bmw_router_destroy(BmwRouter *router)
{
	if (router == NULL)
		return;
	for (size_t i = 0; i < router->size; i++)
		for (Route *route = router->buckets[i], *next; route != NULL; route = next)
		{
			next = route->next_in_bucket;
			free(route);
		}
	bmw_router_lists_free(&router->lists);
	free(router->buckets);
	free(router);
}

BmwStatus
bmw_router_set(BmwRouter *router, const BmwSubscription *subscription)
{
	Route *route = create_route(subscription);
	Route **bucket;

	if (route == NULL || (router->length >= router->size && !grow(router)) ||
		!link_route(router, route))
	{
		free(route);
		return BMW_ERROR_MEMORY;
	}
	bmw_router_remove(router, subscription->endpoint_id);
	bucket = &router->buckets[hash_id(subscription->endpoint_id) & (router->size - 1)];
	route->next_in_bucket = *bucket;
	*bucket = route;
	router->length++;
	return BMW_OK;
}

void
bmw_router_remove(BmwRouter *router, int64_t endpoint_id)
{
	Route **link = find_route(router, endpoint_id);
	Route *route = *link;

	if (route == NULL)
		return;
	*link = route->next_in_bucket;
	router->length--;
	unlink_entries(router, route, route->length);
	free(route);
}

void
bmw_router_match(const BmwRouter *router, const BmwRouteEvent *event, BmwRouteMatch match,
				 void *context)
{
	Matching matching = {.router = router, .event = event, .match = match, .context = context};

	if (event->endpoint_id != 0)
	{
		match_endpoint(router, event, match, context);
		return;
	}
	match_type(&matching, event->type);
	matching.is_alias = true;
	if (event->alias != NULL)
		match_type(&matching, event->alias);
}

static void
match_endpoint(const BmwRouter *router, const BmwRouteEvent *event, BmwRouteMatch match,
			   void *context)
{
	const Route *route = *find_route(router, event->endpoint_id);

	if (route != NULL && bmw_route_fits(&route->subscription, event))
		match(event->endpoint_id, context);
}

/* The star, each prefix that ends with a dot, the type itself. */
static void
match_type(const Matching *matching, const char *type)
{
	BmwRouterKey key = {.pattern = type, .has_star = true, .pattern_hash = BMW_ROUTER_HASH_START};

	match_pattern(matching, key);
	while (type[key.length] != '\0')
	{
		key.pattern_hash = bmw_router_hash(key.pattern_hash, &type[key.length], 1);
		if (type[key.length++] == '.')
			match_pattern(matching, key);
	}
	key.has_star = false;
	match_pattern(matching, key);
}

/* With the event's application and channel, and with none. */
static void
match_pattern(const Matching *matching, BmwRouterKey key)
{
	const char *application = matching->event->application;
	const char *channel = matching->event->channel;

	match_list(matching, &key);
	key.application = application;
	if (application != NULL)
		match_list(matching, &key);
	key.channel = channel;
	if (application != NULL && channel != NULL)
		match_list(matching, &key);
	key.application = NULL;
	if (channel != NULL)
		match_list(matching, &key);
}

static void
match_list(const Matching *matching, const BmwRouterKey *key)
{
	const BmwRouterEntry *entry = bmw_router_lists_find(&matching->router->lists, key);

	for (; entry != NULL; entry = entry->next)
	{
		if (is_found_here(matching, entry) &&
			bmw_subscription_matches(entry->subscription, matching->event))
			matching->match(entry->subscription->endpoint_id, matching->context);
	}
}

/*
 * An endpoint may be in several of the lists: it is taken from that of the first
 * of its patterns that matches, and rather by the type than by the alias.
 */
static bool
is_found_here(const Matching *matching, const BmwRouterEntry *entry)
{
	const char *const *patterns = entry->subscription->patterns;
	const BmwRouteEvent *event = matching->event;

	if (bmw_route_is_of_type(event, patterns, entry->pattern))
		return false;
	if (bmw_pattern_matches(patterns[entry->pattern], event->type))
		return !matching->is_alias;
	return matching->is_alias && bmw_pattern_matches(patterns[entry->pattern], event->alias);
}

/* Doubles the table of ids, or makes the first one. */
static bool
grow(BmwRouter *router)
{
	const size_t size = router->size > 0 ? router->size * 2 : FIRST_BUCKETS;
	Route **buckets = calloc(size, sizeof(Route *));

	if (buckets == NULL)
		return false;
	for (size_t i = 0; i < router->size; i++)
		for (Route *route = router->buckets[i], *next; route != NULL; route = next)
		{
			Route **bucket = &buckets[hash_id(route->subscription.endpoint_id) & (size - 1)];

			next = route->next_in_bucket;
			route->next_in_bucket = *bucket;
			*bucket = route;
		}
	free(router->buckets);
	router->buckets = buckets;
	router->size = size;
	return true;
}

/* In one piece: the route, its entries, its array of patterns, all texts. */
static Route *
create_route(const BmwSubscription *source)
{
	const size_t patterns_length = (size_t) source->patterns_length;
	const size_t fixed =
		sizeof(Route) + patterns_length * (sizeof(BmwRouterEntry) + sizeof(char *));
	Route *route = malloc(fixed + texts_size(source));

	if (route == NULL)
		return NULL;

	const char **patterns = (const char **) &route->entries[patterns_length];
	char *space = (char *) route + fixed;

	route->subscription = *source;
	route->subscription.application = copy_text(source->application, &space);
	route->subscription.channel = copy_text(source->channel, &space);
	route->subscription.patterns = patterns;
	route->length = 0;
	for (int i = 0; i < source->patterns_length; i++)
	{
		patterns[i] = copy_text(source->patterns[i], &space);
		if (!comes_before(&route->subscription, i))
			route->entries[route->length++] =
				(BmwRouterEntry){.subscription = &route->subscription, .pattern = i};
	}
	return route;
}

static size_t
texts_size(const BmwSubscription *source)
{
	size_t size = source->application != NULL ? strlen(source->application) + 1 : 0;

	size += source->channel != NULL ? strlen(source->channel) + 1 : 0;
	for (int i = 0; i < source->patterns_length; i++)
		size += strlen(source->patterns[i]) + 1;
	return size;
}

/* Is there the same pattern before that one? */
static bool
comes_before(const BmwSubscription *subscription, int pattern)
{
	for (int i = 0; i < pattern; i++)
		if (strcmp(subscription->patterns[i], subscription->patterns[pattern]) == 0)
			return true;
	return false;
}

static char *
copy_text(const char *text, char **space)
{
	if (text == NULL)
		return NULL;

	const size_t size = strlen(text) + 1;
	char *copy = *space;

	memcpy(copy, text, size);
	*space += size;
	return copy;
}

/* All of its entries, or none. */
static bool
link_route(BmwRouter *router, Route *route)
{
	for (int i = 0; i < route->length; i++)
		if (!bmw_router_lists_add(&router->lists, &route->entries[i]))
		{
			unlink_entries(router, route, i);
			return false;
		}
	return true;
}

static void
unlink_entries(BmwRouter *router, Route *route, int length)
{
	for (int i = 0; i < length; i++)
		bmw_router_lists_remove(&router->lists, &route->entries[i]);
}

/* The link to it, or the one where it is to be. */
static Route **
find_route(const BmwRouter *router, int64_t endpoint_id)
{
	Route **link = &router->buckets[hash_id(endpoint_id) & (router->size - 1)];

	while (*link != NULL && (*link)->subscription.endpoint_id != endpoint_id)
		link = &(*link)->next_in_bucket;
	return link;
}

/* A shard's ids may share their low bits, so multiply before taking some. */
static uint64_t
hash_id(int64_t id)
{
	const uint64_t hash = (uint64_t) id * UINT64_C(0x9E3779B97F4A7C15);

	return hash ^ hash >> 32;
}
