/*
 * core/header.h - may this HTTP header be added to a request?
 *
 * The name is an RFC 9110 token, the value has no byte 0x00-0x1F or 0x7F, no
 * leading or trailing blank. Reserved names, in any case: host,
 * content-length, content-type, transfer-encoding, connection, expect,
 * user-agent, and everything that begins with webhook- or bm-webhook-.
 */
#ifndef BMW_CORE_HEADER_H
#define BMW_CORE_HEADER_H

#include <stddef.h>

#include "core/status.h"

/* BMW_ERROR_HEADER_NAME, BMW_ERROR_HEADER_RESERVED, BMW_ERROR_HEADER_VALUE. */
extern BmwStatus bmw_header_check(const char *name, size_t name_len, const char *value,
								  size_t value_len);

#endif
