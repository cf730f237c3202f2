/*
 * core/route.c - which endpoints get an event.
 *
 * Two hash tables over the same routes: by application, for matching (routes
 * without one are a group of their own, under NULL), and by endpoint id, for
 * events that name theirs. A route is one allocation with its texts behind it;
 * the group lists own none, the id table's chains own all. The hash only picks
 * candidates: bmw_subscription_matches() alone decides, as in the SQL views.
 */
#include "core/route.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/pattern.h"

#define FIRST_BUCKETS 64 /* a power of two, as all its doublings */

typedef struct Route
{
	struct Route *next_in_group;
	struct Route *next_in_bucket;
	BmwSubscription subscription; /* its texts are in the same allocation */
} Route;

/* The routes of one application, in the order in which they were added. */
typedef struct Group
{
	struct Group *next_in_bucket;
	uint64_t hash;
	Route *first;
	Route *last;
} Group;

struct BmwRouter
{
	Group **group_buckets;
	Route **route_buckets;
	size_t buckets_length; /* of both */
	size_t routes_length;
	Group *everyone; /* routes without application; NULL until there is one */
};

static uint64_t hash_text(const char *text);
static uint64_t hash_id(int64_t id);
static Group *find_group(const BmwRouter *router, const char *application, uint64_t hash);
static Group *ensure_group(BmwRouter *router, const char *application);
static bool grow(BmwRouter *router);
static void move_to(BmwRouter *router, Group **groups, Route **routes, size_t length);
static Route *create_route(const BmwSubscription *source);
static char *copy_text(const char *text, char **space);
static void match_group(const Group *group, const BmwRouteEvent *event, BmwRouteMatch match,
						void *context);
static void match_endpoint(const BmwRouter *router, const BmwRouteEvent *event, BmwRouteMatch match,
						   void *context);
static bool accepts(const char *wanted, const char *actual);

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
	for (size_t i = 0; i < router->buckets_length; i++)
	{
		for (Route *route = router->route_buckets[i], *next; route != NULL; route = next)
		{
			next = route->next_in_bucket;
			free(route);
		}
		for (Group *group = router->group_buckets[i], *next; group != NULL; group = next)
		{
			next = group->next_in_bucket;
			free(group);
		}
	}
	free(router->everyone);
	free(router->route_buckets);
	free(router->group_buckets);
	free(router);
}

BmwStatus
bmw_router_add(BmwRouter *router, const BmwSubscription *subscription)
{
	if (router->routes_length >= router->buckets_length && !grow(router))
		return BMW_ERROR_MEMORY;

	Route *route = create_route(subscription);

	if (route == NULL)
		return BMW_ERROR_MEMORY;

	Group *group = ensure_group(router, subscription->application);

	if (group == NULL)
	{
		free(route);
		return BMW_ERROR_MEMORY;
	}

	Route **bucket =
		&router->route_buckets[hash_id(subscription->endpoint_id) & (router->buckets_length - 1)];

	route->next_in_bucket = *bucket;
	*bucket = route;
	if (group->last != NULL)
		group->last->next_in_group = route;
	else
		group->first = route;
	group->last = route;
	router->routes_length++;
	return BMW_OK;
}

void
bmw_router_match(const BmwRouter *router, const BmwRouteEvent *event, BmwRouteMatch match,
				 void *context)
{
	if (event->endpoint_id != 0)
	{
		match_endpoint(router, event, match, context);
		return;
	}
	if (event->application != NULL)
		match_group(find_group(router, event->application, hash_text(event->application)), event,
					match, context);
	match_group(router->everyone, event, match, context);
}

bool
bmw_route_fits(const BmwSubscription *subscription, const BmwRouteEvent *event)
{
	return event->created_us >= subscription->since_us &&
		   (event->endpoint_id == subscription->endpoint_id ||
			accepts(subscription->application, event->application));
}

bool
bmw_route_gets(const BmwSubscription *subscription, const BmwRouteEvent *event)
{
	if (event->endpoint_id != 0)
		return event->endpoint_id == subscription->endpoint_id &&
			   bmw_route_fits(subscription, event);
	return bmw_subscription_matches(subscription, event);
}

bool
bmw_subscription_matches(const BmwSubscription *subscription, const BmwRouteEvent *event)
{
	return event->created_us >= subscription->since_us &&
		   accepts(subscription->application, event->application) &&
		   accepts(subscription->channel, event->channel) &&
		   bmw_route_is_of_type(event, subscription->patterns, subscription->patterns_length);
}

bool
bmw_route_is_of_type(const BmwRouteEvent *event, const char *const *patterns, int length)
{
	for (int i = 0; i < length; i++)
		if (bmw_pattern_matches(patterns[i], event->type) ||
			(event->alias != NULL && bmw_pattern_matches(patterns[i], event->alias)))
			return true;
	return false;
}

/* NULL wants everything, also what has none. */
static bool
accepts(const char *wanted, const char *actual)
{
	return wanted == NULL || (actual != NULL && strcmp(wanted, actual) == 0);
}

static void
match_group(const Group *group, const BmwRouteEvent *event, BmwRouteMatch match, void *context)
{
	for (const Route *route = group != NULL ? group->first : NULL; route != NULL;
		 route = route->next_in_group)
	{
		if (bmw_subscription_matches(&route->subscription, event))
			match(route->subscription.tag, context);
	}
}

static void
match_endpoint(const BmwRouter *router, const BmwRouteEvent *event, BmwRouteMatch match,
			   void *context)
{
	const Route *route =
		router->route_buckets[hash_id(event->endpoint_id) & (router->buckets_length - 1)];

	for (; route != NULL; route = route->next_in_bucket)
	{
		if (route->subscription.endpoint_id == event->endpoint_id &&
			bmw_route_fits(&route->subscription, event))
			match(route->subscription.tag, context);
	}
}

static Group *
find_group(const BmwRouter *router, const char *application, uint64_t hash)
{
	Group *group = router->group_buckets[hash & (router->buckets_length - 1)];

	/* A group's name is that of its first route: it is never empty. */
	while (group != NULL && (group->hash != hash ||
							 strcmp(group->first->subscription.application, application) != 0))
		group = group->next_in_bucket;
	return group;
}

/* Finds or makes it. A new one is empty and must be given a route at once. */
static Group *
ensure_group(BmwRouter *router, const char *application)
{
	const uint64_t hash = application != NULL ? hash_text(application) : 0;
	Group *group = application != NULL ? find_group(router, application, hash) : router->everyone;

	if (group != NULL)
		return group;
	group = calloc(1, sizeof(Group));
	if (group == NULL)
		return NULL;
	group->hash = hash;
	if (application == NULL)
		router->everyone = group;
	else
	{
		Group **bucket = &router->group_buckets[hash & (router->buckets_length - 1)];

		group->next_in_bucket = *bucket;
		*bucket = group;
	}
	return group;
}

/* Doubles both tables, or makes the first ones. */
static bool
grow(BmwRouter *router)
{
	const size_t length = router->buckets_length > 0 ? router->buckets_length * 2 : FIRST_BUCKETS;
	Group **groups = calloc(length, sizeof(Group *));
	Route **routes = calloc(length, sizeof(Route *));

	if (groups == NULL || routes == NULL)
	{
		free(groups);
		free(routes);
		return false;
	}
	move_to(router, groups, routes, length);
	free(router->group_buckets);
	free(router->route_buckets);
	router->group_buckets = groups;
	router->route_buckets = routes;
	router->buckets_length = length;
	return true;
}

static void
move_to(BmwRouter *router, Group **groups, Route **routes, size_t length)
{
	for (size_t i = 0; i < router->buckets_length; i++)
	{
		for (Group *group = router->group_buckets[i], *next; group != NULL; group = next)
		{
			Group **bucket = &groups[group->hash & (length - 1)];

			next = group->next_in_bucket;
			group->next_in_bucket = *bucket;
			*bucket = group;
		}
		for (Route *route = router->route_buckets[i], *next; route != NULL; route = next)
		{
			Route **bucket = &routes[hash_id(route->subscription.endpoint_id) & (length - 1)];

			next = route->next_in_bucket;
			route->next_in_bucket = *bucket;
			*bucket = route;
		}
	}
}

/* In one piece: the route, its array of patterns, all texts. */
static Route *
create_route(const BmwSubscription *source)
{
	const size_t array_bytes = (size_t) source->patterns_length * sizeof(char *);
	size_t bytes = sizeof(Route) + array_bytes;

	bytes += source->application != NULL ? strlen(source->application) + 1 : 0;
	bytes += source->channel != NULL ? strlen(source->channel) + 1 : 0;
	for (int i = 0; i < source->patterns_length; i++)
		bytes += strlen(source->patterns[i]) + 1;

	Route *route = malloc(bytes);

	if (route == NULL)
		return NULL;

	const char **patterns = (const char **) (route + 1);
	char *space = (char *) (route + 1) + array_bytes;

	*route = (Route){.subscription = *source};
	route->subscription.application = copy_text(source->application, &space);
	route->subscription.channel = copy_text(source->channel, &space);
	for (int i = 0; i < source->patterns_length; i++)
		patterns[i] = copy_text(source->patterns[i], &space);
	route->subscription.patterns = patterns;
	return route;
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

/* FNV-1a: short texts, and a table that only this process sees. */
static uint64_t
hash_text(const char *text)
{
	uint64_t hash = UINT64_C(0xCBF29CE484222325);

	for (const unsigned char *c = (const unsigned char *) text; *c != '\0'; c++)
		hash = (hash ^ *c) * UINT64_C(0x100000001B3);
	/* Its low bits are its weak ones, and they choose the bucket. */
	return hash ^ hash >> 32;
}

/* A shard's ids may share their low bits, so multiply before taking some. */
static uint64_t
hash_id(int64_t id)
{
	const uint64_t hash = (uint64_t) id * UINT64_C(0x9E3779B97F4A7C15);

	return hash ^ hash >> 32;
}
