/*
 * test_route.c - the rule for one pair, and the router against that rule over
 * random sets.
 */
#include "core/route.h"

#include <stdlib.h>

#include "unit.h"

#define MAX_ROUTES 1500

/* What a match was called with. */
typedef struct Seen
{
	int counts[MAX_ROUTES];
	int order[MAX_ROUTES];
	int length;
} Seen;

static int tags[MAX_ROUTES]; /* a tag points to its own index */

static void
remember(void *tag, void *context)
{
	Seen *seen = context;
	const int index = (int) ((int *) tag - tags);

	seen->counts[index]++;
	seen->order[seen->length++] = index;
}

static bool
matches(const char *application, const char *channel, const char *pattern,
		const char *event_application, const char *event_channel)
{
	const BmwSubscription subscription = {
		.application = application,
		.channel = channel,
		.patterns = &pattern,
		.patterns_length = pattern != NULL,
		.since_us = 100,
	};
	const BmwRouteEvent event = {
		.type = "message.sent",
		.application = event_application,
		.channel = event_channel,
		.created_us = 100,
		.endpoint_id = 77,
	};

	return bmw_subscription_matches(&subscription, &event);
}

static void
test_rule(void)
{
	const char *both[] = {"a.b", "message.*"};
	BmwSubscription subscription = {.patterns = both, .patterns_length = 2, .since_us = 100};
	BmwRouteEvent event = {.type = "message.sent", .created_us = 100};

	CHECK(matches(NULL, NULL, "*", NULL, NULL));
	CHECK(matches(NULL, NULL, "*", "a", "sms"));
	CHECK(matches("a", NULL, "*", "a", "sms"));
	CHECK(!matches("a", NULL, "*", "b", "sms"));
	CHECK(!matches("a", NULL, "*", NULL, "sms"));
	CHECK(!matches("a", NULL, "*", "aa", "sms"));
	CHECK(matches(NULL, "sms", "*", "a", "sms"));
	CHECK(!matches(NULL, "sms", "*", "a", "rcs"));
	CHECK(!matches(NULL, "sms", "*", "a", NULL));
	CHECK(matches("a", "sms", "message.sent", "a", "sms"));
	CHECK(!matches("a", "sms", "message.read", "a", "sms"));
	CHECK(!matches(NULL, NULL, NULL, "a", "sms")); /* no pattern, no event */
	CHECK(!matches("", NULL, "*", NULL, NULL));	   /* "" is a name */

	CHECK(bmw_subscription_matches(&subscription, &event));
	event.created_us = 99;
	CHECK(!bmw_subscription_matches(&subscription, &event));
	event.created_us = 101;
	CHECK(bmw_subscription_matches(&subscription, &event));
}

static const char *const applications[] = {NULL,	"a",	 "b", "app_3",
										   "app_4", "app_5", "",  "a_very_long_application_name"};
static const char *const channels[] = {NULL, NULL, "sms", "whatsapp"};
static const char *const types[] = {"message.sent", "message.read", "message.a.b", "order.paid",
									"messages.sent"};
static const char *const patterns[] = {"*", "message.*", "message.sent", "message.a.*",
									   "order.paid"};

static const char *
pick(const char *const *texts, size_t length, uint64_t *seed)
{
	return texts[unit_random(seed) % length];
}

#define PICK(texts, seed) pick(texts, sizeof(texts) / sizeof((texts)[0]), seed)

static BmwRouteEvent
random_event(uint64_t *seed, int64_t endpoints)
{
	return (BmwRouteEvent){
		.type = PICK(types, seed),
		.application = unit_random(seed) % 10 == 0 ? "nobody" : PICK(applications, seed),
		.channel = PICK(channels, seed),
		.created_us = (int64_t) (unit_random(seed) % 100),
		.endpoint_id = unit_random(seed) % 10 == 0
						   ? (int64_t) (unit_random(seed) % (uint64_t) (endpoints + 3))
						   : 0,
	};
}

static int
count_wrong(const BmwRouter *router, const BmwSubscription *subscriptions, int length,
			const BmwRouteEvent *event)
{
	static Seen seen;
	int wrong = 0;

	memset(&seen, 0, sizeof(seen));
	bmw_router_match(router, event, remember, &seen);
	for (int i = 0; i < length; i++)
	{
		const bool is_wanted = event->endpoint_id != 0
								   ? subscriptions[i].endpoint_id == event->endpoint_id &&
										 event->created_us >= subscriptions[i].since_us
								   : bmw_subscription_matches(&subscriptions[i], event);

		wrong += seen.counts[i] != is_wanted;
	}
	/* Within an application, in the order of adding. */
	for (int i = 1; i < seen.length; i++)
	{
		const bool is_same = (subscriptions[seen.order[i]].application == NULL) ==
							 (subscriptions[seen.order[i - 1]].application == NULL);

		wrong += is_same && seen.order[i] < seen.order[i - 1];
	}
	return wrong;
}

static void
test_random_sets(void)
{
	static const char *chosen[MAX_ROUTES][3];
	static BmwSubscription subscriptions[MAX_ROUTES];
	int wrong = 0;

	for (uint64_t set = 1; set <= 8; set++)
	{
		uint64_t seed = set;
		const int length = (int) (set * set * 20); /* to 1,280: grows several times */
		BmwRouter *router = bmw_router_create();

		for (int i = 0; i < length; i++)
		{
			/* Texts that are gone after the call, to see that they are copied. */
			char application[64];
			BmwSubscription *subscription = &subscriptions[i];

			for (int j = 0; j < 3; j++)
				chosen[i][j] = PICK(patterns, &seed);
			*subscription = (BmwSubscription){
				.endpoint_id = i + 1,
				.application = PICK(applications, &seed),
				.channel = PICK(channels, &seed),
				.patterns = chosen[i],
				.patterns_length = (int) (unit_random(&seed) % 4),
				.since_us = (int64_t) (unit_random(&seed) % 100),
				.tag = &tags[i],
			};

			BmwSubscription given = *subscription;

			if (given.application != NULL)
			{
				snprintf(application, sizeof(application), "%s", given.application);
				given.application = application;
			}
			wrong += bmw_router_add(router, &given) != BMW_OK;
			memset(application, 'x', sizeof(application));
		}
		for (int i = 0; i < 600; i++)
		{
			const BmwRouteEvent event = random_event(&seed, length);

			wrong += count_wrong(router, subscriptions, length, &event);
		}
		bmw_router_destroy(router);
	}
	CHECK_INT(wrong, 0);
}

/* An id that has come back is not the endpoint that events waited for. */
static void
test_fits(void)
{
	const BmwSubscription bank = {.endpoint_id = 7, .application = "bank", .since_us = 100};
	const BmwSubscription all = {.endpoint_id = 7, .since_us = 100};
	BmwRouteEvent event = {.type = "a.b", .application = "bank", .created_us = 100};

	CHECK_INT(bmw_route_fits(&bank, &event), true);
	event.application = "shop";
	CHECK_INT(bmw_route_fits(&bank, &event), false);
	CHECK_INT(bmw_route_fits(&all, &event), true);
	event.application = NULL;
	CHECK_INT(bmw_route_fits(&bank, &event), false);
	CHECK_INT(bmw_route_fits(&all, &event), true);
	event.endpoint_id = 7;
	CHECK_INT(bmw_route_fits(&bank, &event), true);
	event.created_us = 99;
	CHECK_INT(bmw_route_fits(&bank, &event), false);
	CHECK_INT(bmw_route_fits(&all, &event), false);
}

/* Ten thousand applications of one endpoint each: one candidate an event. */
static void
test_many_applications(void)
{
	BmwRouter *router = bmw_router_create();
	const char *pattern = "*";
	int wrong = 0;

	for (int i = 0; i < 10000; i++)
	{
		char application[32];

		snprintf(application, sizeof(application), "app_%d", i);

		const BmwSubscription subscription = {
			.endpoint_id = (int64_t) i << 20,
			.application = application,
			.patterns = &pattern,
			.patterns_length = 1,
			.tag = &tags[i % MAX_ROUTES],
		};

		wrong += bmw_router_add(router, &subscription) != BMW_OK;
	}
	for (int i = 0; i < 10000; i++)
	{
		static Seen seen;
		char application[32];
		const BmwRouteEvent event = {.type = "a.b", .application = application};

		snprintf(application, sizeof(application), "app_%d", i);
		seen.length = 0;
		bmw_router_match(router, &event, remember, &seen);
		wrong += seen.length != 1 || seen.order[0] != i % MAX_ROUTES;
	}
	CHECK_INT(wrong, 0);
	bmw_router_destroy(router);
}

int
main(void)
{
	BmwRouter *empty = bmw_router_create();
	const BmwRouteEvent event = {.type = "a.b", .application = "a"};
	Seen seen = {.length = 0};

	bmw_router_match(empty, &event, remember, &seen);
	CHECK_INT(seen.length, 0);
	bmw_router_destroy(empty);
	bmw_router_destroy(NULL);
	test_rule();
	test_random_sets();
	test_fits();
	test_many_applications();
	return unit_finish("route");
}
