/*
 * pg/dispatch/endpoint.h - what is needed to send to an endpoint.
 *
 * The endpoints clerk makes it and gives it to the scheduler as the tag of the
 * endpoint's rules; the clerks who fetch and send get it back with what they are
 * to do. It lives until the endpoint is read again.
 */
#ifndef BMW_PG_DISPATCH_ENDPOINT_H
#define BMW_PG_DISPATCH_ENDPOINT_H

#include "postgres.h"

#include "core/http.h"
#include "core/route.h"
#include "core/scheme.h"
#include "core/sign.h"
#include "pg/dispatch/store.h"

typedef struct BmwEndpoint
{
	BmwSubscription owner; /* for bmw_route_fits(): id, application, since when */
	int timeout_ms;
	bool is_thin; /* gets bodies without data */
	int headers_length;
	int secrets_length;
	bool is_sealed; /* one of its secrets cannot be decrypted: nothing is sent */
	const char *url;
	const char *scheme_header; /* NULL without a scheme */
	BmwScheme scheme;
	const char *authorities; /* PEM; NULL: the configured ones */
	bool is_direct;			 /* not through the proxy */
	const char *client;		 /* PEM of a certificate and its key; NULL: none */
	BmwHttpHeader *headers;
	BmwSecret *secrets;
} BmwEndpoint;

/* In one piece, to be freed by free(); NULL: no memory. */
extern BmwEndpoint *bmw_endpoint_create(const BmwEndpointRow *row);
/* When the last of its secrets expires; 0: never, or it has none. */
extern int64 bmw_endpoint_secret_until_us(const BmwEndpoint *endpoint);

#endif
