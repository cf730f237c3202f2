/*
 * pg/sql/route.c - the dispatcher's rule which endpoint gets which event, for SQL.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "core/pattern.h"
#include "core/route.h"
#include "fmgr.h"
#include "pg/sql/call.h"
#include "pg/sql/interval.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(bm_webhook_route);
PG_FUNCTION_INFO_V1(bm_webhook_route_reason);
PG_FUNCTION_INFO_V1(bm_webhook_route_fits);

typedef struct Patterns
{
	const char **items;
	int length;
} Patterns;

static const char *explain(FunctionCallInfo fcinfo);
static Patterns patterns_argument(FunctionCallInfo fcinfo, int argument);
static int64 time_argument(FunctionCallInfo fcinfo, int argument);
static int64 id_argument(FunctionCallInfo fcinfo, int argument);

/*
 * route(endpoint, since, application, channel, event_types, event_endpoint, created_at, type,
 * event_application, event_channel, is_reply, muted)
 */
Datum
bm_webhook_route(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(explain(fcinfo) == NULL);
}

/* The same arguments. NULL: the endpoint gets the event. */
Datum
bm_webhook_route_reason(PG_FUNCTION_ARGS)
{
	const char *reason = explain(fcinfo);

	if (reason == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(reason));
}

/* route_fits(endpoint, since, application, event_endpoint, created_at, event_application) */
Datum
bm_webhook_route_fits(PG_FUNCTION_ARGS)
{
	BmwSubscription subscription = {.endpoint_id = id_argument(fcinfo, 0),
									.since_us = time_argument(fcinfo, 1),
									.application = bmw_call_text(fcinfo, 2)};
	BmwRouteEvent event = {.endpoint_id = id_argument(fcinfo, 3),
						   .created_us = time_argument(fcinfo, 4),
						   .application = bmw_call_text(fcinfo, 5)};

	PG_RETURN_BOOL(bmw_route_fits(&subscription, &event));
}

/* Why the endpoint does not get the event; NULL: it does. */
static const char *
explain(FunctionCallInfo fcinfo)
{
	static const char *const reasons[] = {
		[BMW_ROUTE_GETS] = NULL,
		[BMW_ROUTE_OTHER_ENDPOINT] = "for another endpoint",
		[BMW_ROUTE_OTHER_APPLICATION] = "other application",
		[BMW_ROUTE_OTHER_CHANNEL] = "other channel",
		[BMW_ROUTE_CAPTURED_EARLIER] = "captured earlier",
		[BMW_ROUTE_OTHER_TYPE] = "other event type",
	};
	Patterns subscribed = patterns_argument(fcinfo, 4);
	Patterns muted = patterns_argument(fcinfo, 11);
	BmwSubscription subscription = {.endpoint_id = id_argument(fcinfo, 0),
									.since_us = time_argument(fcinfo, 1),
									.application = bmw_call_text(fcinfo, 2),
									.channel = bmw_call_text(fcinfo, 3),
									.patterns = subscribed.items,
									.patterns_length = subscribed.length};
	BmwRouteEvent event = {.endpoint_id = id_argument(fcinfo, 5),
						   .created_us = time_argument(fcinfo, 6),
						   .type = bmw_call_text(fcinfo, 7),
						   .application = bmw_call_text(fcinfo, 8),
						   .channel = bmw_call_text(fcinfo, 9),
						   .alias = PG_GETARG_BOOL(10) ? BMW_REPLY_TYPE : NULL};
	BmwRouteReason reason;

	if (event.type == NULL)
		return reasons[BMW_ROUTE_OTHER_TYPE];
	reason = bmw_route_explain(&subscription, &event);
	if (reason == BMW_ROUTE_GETS && event.endpoint_id == 0 &&
		bmw_route_is_of_type(&event, muted.items, muted.length))
		return "muted";
	return reasons[reason];
}

/* Without those that cannot be one. */
static Patterns
patterns_argument(FunctionCallInfo fcinfo, int argument)
{
	Patterns patterns = {0};
	Datum *elements;
	bool *nulls;
	int length;

	if (PG_ARGISNULL(argument))
		return patterns;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(argument), TEXTOID, -1, false, TYPALIGN_INT, &elements,
					  &nulls, &length);
	patterns.items = palloc(sizeof(*patterns.items) * Max(length, 1));
	for (int i = 0; i < length; i++)
	{
		const char *pattern = nulls[i] ? "" : TextDatumGetCString(elements[i]);

		if (bmw_pattern_is_valid(pattern, strlen(pattern)))
			patterns.items[patterns.length++] = pattern;
	}
	return patterns;
}

static int64
time_argument(FunctionCallInfo fcinfo, int argument)
{
	return PG_ARGISNULL(argument) ? 0 : bmw_unix_us(PG_GETARG_TIMESTAMPTZ(argument));
}

static int64
id_argument(FunctionCallInfo fcinfo, int argument)
{
	return PG_ARGISNULL(argument) ? 0 : PG_GETARG_INT64(argument);
}
