/*
 * fuzz_route.c - the router finds the endpoints that the rule for one pair names.
 *
 * Lines: type, second type, application and channel of the event; then three
 * for each endpoint: application, channel, pattern. An empty line: none.
 */
#include "core/pattern.h"
#include "core/route.h"

#include "fuzz.h"

#define MAX_ENDPOINTS 16

typedef struct Endpoint
{
	char *application;
	char *channel;
	char *pattern;
	BmwSubscription subscription;
	int matches;
} Endpoint;

static const char *
none_if_empty(const char *text)
{
	return text[0] == '\0' ? NULL : text;
}

static void
on_match(int64_t endpoint_id, void *context)
{
	Endpoint *endpoints = context;

	endpoints[endpoint_id - 1].matches++;
}

static void
add_endpoint(BmwRouter *router, Endpoint *endpoint, int id)
{
	endpoint->subscription = (BmwSubscription){
		.endpoint_id = id,
		.application = none_if_empty(endpoint->application),
		.channel = none_if_empty(endpoint->channel),
		.patterns = (const char *const *) &endpoint->pattern,
		.patterns_length = bmw_pattern_is_valid(endpoint->pattern, strlen(endpoint->pattern)),
	};
	REQUIRE(bmw_router_set(router, &endpoint->subscription) == BMW_OK);
}

static void
require_all_agree(const BmwRouter *router, Endpoint *endpoints, int length,
				  const BmwRouteEvent *event)
{
	bmw_router_match(router, event, on_match, endpoints);
	for (int i = 0; i < length; i++)
		REQUIRE(endpoints[i].matches ==
				bmw_subscription_matches(&endpoints[i].subscription, event));
}

static bool
is_type(const char *text)
{
	const bool is_valid = bmw_event_type_is_valid(text, strlen(text));

	REQUIRE(!is_valid ||
			(bmw_pattern_is_valid(text, strlen(text)) && bmw_pattern_matches(text, text)));
	return is_valid;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Endpoint endpoints[MAX_ENDPOINTS] = {0};
	BmwRouter *router = bmw_router_create();
	char *type = fuzz_line(&data, &size);
	char *alias = fuzz_line(&data, &size);
	char *application = fuzz_line(&data, &size);
	char *channel = fuzz_line(&data, &size);
	int length = 0;

	for (; size > 0 && length < MAX_ENDPOINTS; length++)
	{
		endpoints[length].application = fuzz_line(&data, &size);
		endpoints[length].channel = fuzz_line(&data, &size);
		endpoints[length].pattern = fuzz_line(&data, &size);
		add_endpoint(router, &endpoints[length], length + 1);
	}

	const BmwRouteEvent event = {
		.type = type,
		.alias = is_type(alias) ? alias : NULL,
		.application = none_if_empty(application),
		.channel = none_if_empty(channel),
	};

	if (is_type(type))
		require_all_agree(router, endpoints, length, &event);
	for (int i = 0; i < length; i++)
	{
		free(endpoints[i].application);
		free(endpoints[i].channel);
		free(endpoints[i].pattern);
	}
	bmw_router_destroy(router);
	free(type);
	free(alias);
	free(application);
	free(channel);
	return 0;
}
