/*
 * core/route.h - which endpoints get an event.
 *
 * An endpoint without application (channel) gets those of all, and of none; an
 * endpoint with one gets only that. Endpoints are found by application, channel
 * and pattern, so the cost of an event is that of those which get it, and the cost of
 * a change that of one endpoint, however many there are.
 */
#ifndef BMW_CORE_ROUTE_H
#define BMW_CORE_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"

/* What an endpoint subscribes to. Texts are copied by bmw_router_set(). */
typedef struct BmwSubscription
{
	int64_t endpoint_id;
	const char *application; /* NULL: all */
	const char *channel;	 /* NULL: all */
	const char *const *patterns;
	int patterns_length; /* 0: matches nothing */
	int64_t since_us;	 /* events created before are not for it */
} BmwSubscription;

#define BMW_REPLY_TYPE "message.replied" /* the alias of a message that replies to another */

typedef struct BmwRouteEvent
{
	const char *type;
	const char *alias;		 /* a second type that patterns may match; NULL: none */
	const char *application; /* NULL: none */
	const char *channel;	 /* NULL: none */
	int64_t created_us;
	int64_t endpoint_id; /* != 0: for this endpoint alone, whatever it subscribes to */
} BmwRouteEvent;

typedef struct BmwRouter BmwRouter;
typedef void (*BmwRouteMatch)(int64_t endpoint_id, void *context);

extern BmwRouter *bmw_router_create(void); /* NULL when out of memory */
extern void bmw_router_destroy(BmwRouter *router);
/* A new endpoint, or a change of one; without memory it stays as it was. */
extern BmwStatus bmw_router_set(BmwRouter *router, const BmwSubscription *subscription);
extern void bmw_router_remove(BmwRouter *router, int64_t endpoint_id); /* if it is there */
/* Calls match for each endpoint that gets the event, once, in any order. */
extern void bmw_router_match(const BmwRouter *router, const BmwRouteEvent *event,
							 BmwRouteMatch match, void *context);

/*
 * May the endpoint ever get this event? Asked again whenever an event that
 * waited is to be sent: an endpoint's id may have come back with another owner.
 * It was there when the event was captured, and is for its application or is
 * the one that the event names.
 */
extern bool bmw_route_fits(const BmwSubscription *subscription, const BmwRouteEvent *event);

/* Why an endpoint does not get an event: the first that is true. */
typedef enum BmwRouteReason
{
	BMW_ROUTE_GETS, /* it does */
	BMW_ROUTE_OTHER_ENDPOINT,
	BMW_ROUTE_OTHER_APPLICATION,
	BMW_ROUTE_OTHER_CHANNEL,
	BMW_ROUTE_CAPTURED_EARLIER,
	BMW_ROUTE_OTHER_TYPE,
} BmwRouteReason;

/*
 * The rule for one pair, which SQL asks too; that the endpoint is enabled and the event
 * not muted is for the caller to see.
 */
extern BmwRouteReason bmw_route_explain(const BmwSubscription *subscription,
										const BmwRouteEvent *event);
/* Does the endpoint get an event that is for all that match? Does not look at endpoint_id. */
extern bool bmw_subscription_matches(const BmwSubscription *subscription,
									 const BmwRouteEvent *event);
/* Is it of a type that one of the patterns matches? So an application's events are muted. */
extern bool bmw_route_is_of_type(const BmwRouteEvent *event, const char *const *patterns,
								 int length);

#endif
