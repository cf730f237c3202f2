/*
 * core/route.c - the rule: which endpoint gets which event.
 */
#include "core/route.h"

#include <stddef.h>
#include <string.h>

#include "core/pattern.h"

static BmwRouteReason filter(const BmwSubscription *subscription, const BmwRouteEvent *event);
static bool accepts(const char *wanted, const char *actual);

bool
bmw_route_fits(const BmwSubscription *subscription, const BmwRouteEvent *event)
{
	return event->created_us >= subscription->since_us &&
		   (event->endpoint_id == subscription->endpoint_id ||
			accepts(subscription->application, event->application));
}

BmwRouteReason
bmw_route_explain(const BmwSubscription *subscription, const BmwRouteEvent *event)
{
	if (event->endpoint_id == 0)
		return filter(subscription, event);
	if (event->endpoint_id != subscription->endpoint_id)
		return BMW_ROUTE_OTHER_ENDPOINT;
	return bmw_route_fits(subscription, event) ? BMW_ROUTE_GETS : BMW_ROUTE_CAPTURED_EARLIER;
}

bool
bmw_subscription_matches(const BmwSubscription *subscription, const BmwRouteEvent *event)
{
	return filter(subscription, event) == BMW_ROUTE_GETS;
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

static BmwRouteReason
filter(const BmwSubscription *subscription, const BmwRouteEvent *event)
{
	if (!accepts(subscription->application, event->application))
		return BMW_ROUTE_OTHER_APPLICATION;
	if (!accepts(subscription->channel, event->channel))
		return BMW_ROUTE_OTHER_CHANNEL;
	if (event->created_us < subscription->since_us)
		return BMW_ROUTE_CAPTURED_EARLIER;
	if (!bmw_route_is_of_type(event, subscription->patterns, subscription->patterns_length))
		return BMW_ROUTE_OTHER_TYPE;
	return BMW_ROUTE_GETS;
}

/* NULL wants everything, also what has none. */
static bool
accepts(const char *wanted, const char *actual)
{
	return wanted == NULL || (actual != NULL && strcmp(wanted, actual) == 0);
}
