/*
 * core/route.c - the rule: which endpoint gets which event.
 */
#include "core/route.h"

#include <stddef.h>
#include <string.h>

#include "core/pattern.h"

static bool accepts(const char *wanted, const char *actual);

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
