/*
 * core/header.c - may this HTTP header be added to a request?
 *
 * A CR or LF in a value really splits the request, so control characters are
 * refused here, when the header is registered; the sender does not look again.
 * Values are bytes: those above 0x7F (UTF-8) pass. Nothing here is 0-terminated.
 */
#include "core/header.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

static bool is_token(const char *name, size_t len);
static bool is_token_byte(unsigned char c);
static bool is_reserved(const char *name, size_t len);
static bool has_prefix(const char *name, size_t len, const char *prefix);
static bool is_value(const char *value, size_t len);

BmwStatus
bmw_header_check(const char *name, size_t name_len, const char *value, size_t value_len)
{
	if (!is_token(name, name_len))
		return BMW_ERROR_HEADER_NAME;
	if (is_reserved(name, name_len))
		return BMW_ERROR_HEADER_RESERVED;
	if (!is_value(value, value_len))
		return BMW_ERROR_HEADER_VALUE;
	return BMW_OK;
}

static bool
is_token(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++)
	{
		if (!is_token_byte((unsigned char) name[i]))
			return false;
	}
	return len > 0;
}

/* tchar of RFC 9110 section 5.6.2; not isalnum(), which obeys the locale. */
static bool
is_token_byte(unsigned char c)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
		return true;
	return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool
is_reserved(const char *name, size_t len)
{
	static const char *const reserved[] = {
		"host",		  "content-length", "content-type", "transfer-encoding",
		"connection", "expect",			"user-agent",
	};

	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
	{
		if (len == strlen(reserved[i]) && has_prefix(name, len, reserved[i]))
			return true;
	}
	return has_prefix(name, len, "webhook-") || has_prefix(name, len, "bm-webhook-");
}

static bool
has_prefix(const char *name, size_t len, const char *prefix)
{
	const size_t prefix_len = strlen(prefix);

	return len >= prefix_len && strncasecmp(name, prefix, prefix_len) == 0;
}

static bool
is_value(const char *value, size_t len)
{
	for (size_t i = 0; i < len; i++)
	{
		const unsigned char c = (unsigned char) value[i];

		if (c < 0x20 || c == 0x7F)
			return false;
	}
	return len == 0 || (value[0] != ' ' && value[len - 1] != ' ');
}
