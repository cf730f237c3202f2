/*
 * core/header.c - may this HTTP header be added to a request?
 *
 * A CR or LF in a value really splits the request, so control characters are
 * refused here, when the header is registered; the sender does not look again.
 * Values are bytes: those above 0x7F (UTF-8) pass. Nothing here is 0-terminated.
 */
#include "core/header.h"

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

bool
bmw_header_can_be_sent(const char *name, const char *value)
{
	return value != NULL && is_token(name, strlen(name)) && is_value(value, strlen(value));
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

/*
 * What frames a request (RFC 9112), what belongs to one connection (RFC 9110
 * section 7.6.1: a sender that adds it would have to list it in Connection), what
 * speaks to a proxy, and what asks for answers that nobody here reads.
 */
static bool
is_reserved(const char *name, size_t len)
{
	static const char *const reserved[] = {
		"host",	   "user-agent", "expect",		   "connection",		"keep-alive",	   "te",
		"trailer", "upgrade",	 "http2-settings", "transfer-encoding", "accept-encoding",
	};
	static const char *const families[] = {"content-", "proxy-", "webhook-", "bm-webhook-"};

	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
	{
		if (len == strlen(reserved[i]) && has_prefix(name, len, reserved[i]))
			return true;
	}
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
	{
		if (has_prefix(name, len, families[i]))
			return true;
	}
	return false;
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
