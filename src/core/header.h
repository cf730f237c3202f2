/*
 * core/header.h - may this HTTP header be added to a request?
 *
 * The name is an RFC 9110 token, the value has no byte 0x00-0x1F or 0x7F, no
 * leading or trailing blank. Reserved names, in any case: host, user-agent,
 * expect, accept-encoding, trailer; those of one connection (RFC 9110 section
 * 7.6.1: connection, keep-alive, te, transfer-encoding, upgrade,
 * http2-settings); and everything that begins with content-, proxy-, webhook-
 * or bm-webhook-.
 */
#ifndef BMW_CORE_HEADER_H
#define BMW_CORE_HEADER_H

#include <stdbool.h>
#include <stddef.h>

#include "core/status.h"

#define BMW_HEADER_LINE_SIZE                                                                       \
	9216 /* of a header with its name and the final 0: longer cannot be registered */

/* BMW_ERROR_HEADER_NAME, BMW_ERROR_HEADER_RESERVED, BMW_ERROR_HEADER_VALUE. */
extern BmwStatus bmw_header_check(const char *name, size_t name_len, const char *value,
								  size_t value_len);
/* Of a row that came past that check: can it split no request? value may be NULL. */
extern bool bmw_header_can_be_sent(const char *name, const char *value);

#endif
