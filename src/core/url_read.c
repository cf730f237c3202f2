/*
 * core/url_read.c - the scheme, the host and the port of a URL, read strictly.
 *
 * What libcurl's parser would repair is refused.
 */
#include "core/url_read.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "core/url.h"

#define DIGITS "0123456789"

static BmwStatus copy_text(const char *text, size_t len, char *copy);
static BmwStatus read_scheme(const char *url, bool require_https, BmwUrlReading *reading,
							 const char **authority);
static BmwStatus read_authority(const char *authority, BmwUrlReading *reading);
static BmwStatus read_host(const char *text, size_t len, BmwUrlReading *reading);
static BmwStatus read_port(const char *text, size_t len, BmwUrlReading *reading);

BmwStatus
bmw_url_read(const char *text, size_t len, bool require_https, char *url, BmwUrlReading *reading)
{
	const char *authority;
	BmwStatus status = copy_text(text, len, url);

	*reading = (BmwUrlReading){0};
	if (status == BMW_OK)
		status = read_scheme(url, require_https, reading, &authority);
	if (status == BMW_OK && strchr(authority, '#') != NULL)
		status = BMW_ERROR_URL_FRAGMENT;
	if (status == BMW_OK)
		status = read_authority(authority, reading);
	return status;
}

static BmwStatus
copy_text(const char *text, size_t len, char *copy)
{
	if (len == 0)
		return BMW_ERROR_EMPTY;
	if (len > BMW_URL_MAX_BYTES)
		return BMW_ERROR_TOO_LARGE;
	for (size_t i = 0; i < len; i++)
	{
		const unsigned char c = (unsigned char) text[i];

		if (c <= ' ' || c >= 0x7F || c == '\\')
			return BMW_ERROR_URL_CHARACTER;
	}
	memcpy(copy, text, len);
	copy[len] = '\0';
	return BMW_OK;
}

/* The scheme and exactly two slashes; *authority is what follows. */
static BmwStatus
read_scheme(const char *url, bool require_https, BmwUrlReading *reading, const char **authority)
{
	const size_t len = strcspn(url, ":/?#");

	reading->is_https = len == 5 && strncasecmp(url, "https", len) == 0;
	if (url[len] != ':' || !(reading->is_https || (len == 4 && strncasecmp(url, "http", len) == 0)))
		return BMW_ERROR_URL_SCHEME;
	if (require_https && !reading->is_https)
		return BMW_ERROR_URL_HTTPS_REQUIRED;
	if (strspn(url + len + 1, "/") != 2)
		return BMW_ERROR_URL_SYNTAX;
	*authority = url + len + 3;
	return BMW_OK;
}

static BmwStatus
read_authority(const char *authority, BmwUrlReading *reading)
{
	const size_t len = strcspn(authority, "/?#");

	if (memchr(authority, '@', len) != NULL)
		return BMW_ERROR_URL_USERINFO;

	reading->is_bracketed = authority[0] == '[';
	if (reading->is_bracketed && memchr(authority, ']', len) == NULL)
		return BMW_ERROR_URL_HOST;

	const size_t host_len =
		reading->is_bracketed ? strcspn(authority, "]") + 1 : strcspn(authority, ":/?#");
	const BmwStatus status = reading->is_bracketed ? read_host(authority + 1, host_len - 2, reading)
												   : read_host(authority, host_len, reading);

	if (status != BMW_OK)
		return status;
	return read_port(authority + host_len, len - host_len, reading);
}

static BmwStatus
read_host(const char *text, size_t len, BmwUrlReading *reading)
{
	if (reading->is_bracketed && memchr(text, '%', len) != NULL)
		return BMW_ERROR_URL_ZONE;
	if (len == 0 || len >= sizeof(reading->host))
		return BMW_ERROR_URL_HOST;
	for (size_t i = 0; i < len; i++)
		reading->host[i] =
			(char) (text[i] >= 'A' && text[i] <= 'Z' ? text[i] - 'A' + 'a' : text[i]);
	reading->host[len] = '\0';
	return BMW_OK;
}

/* Nothing, or a colon and a canonical number: what libcurl would repair is refused. */
static BmwStatus
read_port(const char *text, size_t len, BmwUrlReading *reading)
{
	reading->port = reading->is_https ? 443 : 80;
	if (len == 0)
		return BMW_OK;
	if (text[0] != ':' || len < 2 || len > 6 || text[1] == '0' ||
		strspn(text + 1, DIGITS) != len - 1)
		return BMW_ERROR_URL_PORT;

	reading->port = 0;
	for (size_t i = 1; i < len; i++)
		reading->port = reading->port * 10 + (text[i] - '0');
	return reading->port <= UINT16_MAX ? BMW_OK : BMW_ERROR_URL_PORT;
}
