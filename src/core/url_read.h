/*
 * core/url_read.h - the scheme, the host and the port of a URL, read strictly.
 */
#ifndef BMW_CORE_URL_READ_H
#define BMW_CORE_URL_READ_H

#include <stdbool.h>
#include <stddef.h>

#include "core/status.h"

#define BMW_URL_MAX_HOST_BYTES 253

/* The URL as we read it. */
typedef struct BmwUrlReading
{
	bool is_https;
	bool is_bracketed;
	char host[BMW_URL_MAX_HOST_BYTES + 2]; /* lower case, no brackets; may end in a dot */
	int port;
} BmwUrlReading;

/*
 * Copies the text to url, BMW_URL_MAX_BYTES + 1 bytes, and reads it. Whether the
 * host is one, and whether it may be called, is not judged here. BMW_ERROR_EMPTY,
 * _TOO_LARGE, BMW_ERROR_URL_*.
 */
extern BmwStatus bmw_url_read(const char *text, size_t len, bool require_https, char *url,
							  BmwUrlReading *reading);

#endif
