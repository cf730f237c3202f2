/*
 * core/request.h - what a request for an event consists of, beside its body.
 *
 * Made by the dispatcher, which sends it, and by SQL, which shows it: so what is
 * shown is what is sent.
 */
#ifndef BMW_CORE_REQUEST_H
#define BMW_CORE_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "core/event.h"
#include "core/http.h"
#include "core/scheme.h"
#include "core/sign.h"
#include "core/url.h"

#define BMW_USER_AGENT "bm_webhook/" BMW_VERSION
#define BMW_REQUEST_MAX_HEADERS 80 /* ours, the 64 that an endpoint may have, and libcurl's */

typedef struct BmwRequestSource
{
	const char *event_id; /* as text */
	BmwBody body;
	const BmwHttpHeader *headers; /* the endpoint's */
	int headers_length;
	const BmwSecret *secrets; /* newest first */
	int secrets_length;
	int64_t now_us; /* Unix microseconds */
	int attempt;
	BmwScheme scheme;
	const char *scheme_header; /* NULL without a scheme */
} BmwRequestSource;

/* The headers, and the texts of those that are ours. */
typedef struct BmwRequestHeaders
{
	BmwHttpHeader items[BMW_REQUEST_MAX_HEADERS];
	int length;
	char timestamp[24];
	char attempt[12];
	char signatures[BMW_MAX_SECRETS * BMW_SIGNATURE_TEXT_SIZE];
	char scheme_signature[BMW_SCHEME_TEXT_SIZE];
	char host[BMW_URL_MAX_BYTES + 1];
	char body_length[24];
} BmwRequestHeaders;

/*
 * What libcurl is given. Values of the endpoint are borrowed. False when it cannot be
 * signed, with all the secrets that have not expired: nothing is sent without.
 */
extern bool bmw_request_headers(BmwSigner *signer, const BmwRequestSource *source,
								BmwRequestHeaders *out);
/* Adds what libcurl adds by itself. url: in normal form. */
extern void bmw_request_add_libcurls(BmwRequestHeaders *headers, const char *url,
									 const char *user_agent, size_t body_len);

#endif
