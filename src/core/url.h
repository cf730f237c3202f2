/*
 * core/url.h - may this URL be registered, and what is its normal form?
 *
 * Parsed by libcurl's own parser, the one that will connect, without scheme
 * guessing. Rules: http(s) only; https only when require_https; ASCII
 * (punycode) hosts; no userinfo, fragment, blank, control character,
 * back-slash or zone id; exactly two slashes after the scheme; at most 2,048
 * bytes; no single-label host, no localhost or *.localhost, no host whose last
 * label is numeric but which is not a canonical dotted-quad address. Literal
 * addresses and the port are judged at once by the policy; other names are
 * judged when they are connected (core/http.c).
 */
#ifndef BMW_CORE_URL_H
#define BMW_CORE_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "core/address.h"
#include "core/status.h"

#define BMW_URL_MAX_BYTES 2048

/*
 * On BMW_OK writes the normal form (lower-case scheme and host, default port
 * dropped, path at least "/") into normal, BMW_URL_MAX_BYTES + 1 bytes.
 * A literal address that policy->allowed opens is accepted, loopback included.
 * Else BMW_ERROR_EMPTY, _TOO_LARGE, _MEMORY, any BMW_ERROR_URL_*, and
 * BMW_ERROR_ADDRESS_DENIED or _PORT_DENIED; normal is then unchanged.
 */
extern BmwStatus bmw_url_check(const char *text, size_t len, bool require_https,
							   const BmwAddressPolicy *policy, char *normal);

#endif
