/*
 * test_route.c - the rule for one pair, and the router against a rule of its own
 * over random sets that change.
 */
#include "core/route.h"

#include <stdlib.h>

#include "unit.h"

#define MAX_ROUTES 1500

/* What a match was called with: endpoints have the ids from 1 on. */
typedef struct Seen
{
	int counts[MAX_ROUTES + 1];
	int64_t last;
	int length;
} Seen;

static void
remember(int64_t endpoint_id, void *context)
{
	Seen *seen = context;

	seen->counts[endpoint_id <= MAX_ROUTES ? endpoint_id : 0]++;
	seen->last = endpoint_id;
	seen->length++;
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
static const char *const types[] = {"message.sent",		 "message.read",  "message.a.b",
									"order.paid",		 "messages.sent", "webhook.test",
									"delivery.exhausted"};
static const char *const patterns[] = {
	"*",		  "message.*", "message.sent", "message.a.*",
	"order.paid", "webhook.*", "message.read", "delivery.exhausted"};

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
		.alias = unit_random(seed) % 3 == 0 ? PICK(types, seed) : NULL,
		.application = unit_random(seed) % 10 == 0 ? "nobody" : PICK(applications, seed),
		.channel = PICK(channels, seed),
		.created_us = (int64_t) (unit_random(seed) % 100),
		.endpoint_id = unit_random(seed) % 10 == 0
						   ? (int64_t) (unit_random(seed) % (uint64_t) (endpoints + 3))
						   : 0,
	};
}

/* A subscription as the model has it: all in place. */
typedef struct Model
{
	bool is_there;
	const char *application;
	const char *channel;
	const char *patterns[4];
	int patterns_length;
	int64_t since_us;
} Model;

/* The rules once more, in other words. */
static bool
model_pattern(const char *pattern, const char *type)
{
	const char *star = strchr(pattern, '*');

	if (type == NULL)
		return false;
	if (star == pattern)
		return strstr(type, "webhook.") != type && strstr(type, "endpoint.") != type &&
			   strstr(type, "delivery.") != type;
	if (star == NULL)
		return strcmp(pattern, type) == 0;
	return strlen(type) >= (size_t) (star - pattern) &&
		   memcmp(pattern, type, (size_t) (star - pattern)) == 0;
}

static bool
model_wants(const Model *model, const BmwRouteEvent *event)
{
	bool is_one = false;

	if (model->application != NULL &&
		(event->application == NULL || strcmp(model->application, event->application) != 0))
		return false;
	if (model->channel != NULL &&
		(event->channel == NULL || strcmp(model->channel, event->channel) != 0))
		return false;
	for (int i = 0; i < model->patterns_length; i++)
		is_one |= model_pattern(model->patterns[i], event->type) ||
				  model_pattern(model->patterns[i], event->alias);
	return is_one;
}

static int
count_wrong(const BmwRouter *router, const Model *models, int length, const BmwRouteEvent *event)
{
	static Seen seen;
	int wrong = 0;

	memset(&seen, 0, sizeof(seen));
	bmw_router_match(router, event, remember, &seen);
	for (int i = 1; i <= length; i++)
	{
		const bool is_wanted =
			models[i].is_there && event->created_us >= models[i].since_us &&
			(event->endpoint_id != 0 ? event->endpoint_id == i : model_wants(&models[i], event));

		wrong += seen.counts[i] != is_wanted;
	}
	return wrong;
}

/* A new endpoint, a change of one, or its end; by texts that are gone after the call, to see that they are copied. */
static int
change_one(BmwRouter *router, Model *model, int64_t id, uint64_t *seed)
{
	char copies[6][64];
	const char *given[4];
	BmwSubscription subscription = {.endpoint_id = id, .patterns = given};
	BmwStatus status;

	model->is_there = unit_random(seed) % 4 != 0;
	if (!model->is_there)
	{
		bmw_router_remove(router, id);
		return 0;
	}
	model->application = PICK(applications, seed);
	model->channel = PICK(channels, seed);
	model->since_us = (int64_t) (unit_random(seed) % 100);
	model->patterns_length = (int) (unit_random(seed) % 5);
	for (int i = 0; i < model->patterns_length; i++)
	{
		model->patterns[i] = PICK(patterns, seed);
		snprintf(copies[i], sizeof(copies[i]), "%s", model->patterns[i]);
		given[i] = copies[i];
	}
	snprintf(copies[4], sizeof(copies[4]), "%s",
			 model->application != NULL ? model->application : "");
	snprintf(copies[5], sizeof(copies[5]), "%s", model->channel != NULL ? model->channel : "");
	subscription.application = model->application != NULL ? copies[4] : NULL;
	subscription.channel = model->channel != NULL ? copies[5] : NULL;
	subscription.patterns_length = model->patterns_length;
	subscription.since_us = model->since_us;
	status = bmw_router_set(router, &subscription);
	memset(copies, 'x', sizeof(copies));
	return status != BMW_OK;
}

static void
test_random_sets(void)
{
	static Model models[MAX_ROUTES + 1];
	int wrong = 0;

	for (uint64_t set = 1; set <= 8; set++)
	{
		uint64_t seed = set;
		const int length = (int) (set * set * 20); /* to 1,280: grows several times */
		BmwRouter *router = bmw_router_create();

		memset(models, 0, sizeof(models));
		for (int i = 1; i <= length; i++)
			wrong += change_one(router, &models[i], i, &seed);
		for (int i = 0; i < 600; i++)
		{
			const BmwRouteEvent event = random_event(&seed, length);
			const int changed = 1 + (int) (unit_random(&seed) % (uint64_t) length);

			wrong += count_wrong(router, models, length, &event);
			wrong += change_one(router, &models[changed], changed, &seed);
		}
		/* all go, and come back */
		for (int i = 1; i <= length; i++)
			bmw_router_remove(router, i);
		memset(models, 0, sizeof(models));
		for (int i = length; i > 0; i--)
			wrong += change_one(router, &models[i], i, &seed);
		for (int i = 0; i < 50; i++)
		{
			const BmwRouteEvent event = random_event(&seed, length);

			wrong += count_wrong(router, models, length, &event);
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
		};

		wrong += bmw_router_set(router, &subscription) != BMW_OK;
	}
	for (int i = 0; i < 10000; i++)
	{
		static Seen seen;
		char application[32];
		const BmwRouteEvent event = {.type = "a.b", .application = application};

		snprintf(application, sizeof(application), "app_%d", i);
		seen.length = 0;
		bmw_router_match(router, &event, remember, &seen);
		wrong += seen.length != 1 || seen.last != (int64_t) i << 20;
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
