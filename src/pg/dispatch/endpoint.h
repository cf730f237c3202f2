/*
 * pg/dispatch/endpoint.h - what is needed to send to an endpoint.
 *
 * The endpoints clerk makes it and gives it to the scheduler as the tag of the
 * endpoint's rules; the clerks who fetch and send get it back with what they are
 * to do. It lives until the endpoints are read again.
 */
#ifndef BMW_PG_DISPATCH_ENDPOINT_H
#define BMW_PG_DISPATCH_ENDPOINT_H

#include "postgres.h"

#include "core/http.h"
#include "core/route.h"
#include "core/sign.h"

typedef struct BmwEndpoint
{
	BmwSubscription owner; /* for bmw_route_fits(): id, application, since when */
	const char *url;
	int timeout_ms;
	BmwHttpHeader *headers;
	int headers_length;
	BmwSecret *secrets;
	int secrets_length;
} BmwEndpoint;

#endif
