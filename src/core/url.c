/*
 * core/url.c - may this URL be registered, and what is its normal form?
 *
 * The text is judged twice. Our own strict reading comes first (url_read.c), because
 * libcurl's parser repairs what it reads (127.1, %31, one slash or three) and a
 * repaired host is not the one that was written. Then libcurl, the one that
 * will connect, parses it too and must have found the same host and port:
 * a difference between two parsers is how such checks are bypassed.
 */
#include "core/url.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/url_read.h"

#define MAX_LABEL_BYTES 63
#define DIGITS "0123456789"
#define HEX_DIGITS DIGITS "abcdef"

static BmwStatus judge_host(const BmwUrlReading *reading, const BmwAddressPolicy *policy);
static BmwStatus judge_name(const char *name, size_t len);
static bool are_labels(const char *name, size_t len);
static bool is_numeric(const char *label, size_t len);
static bool read_ipv4(const char *host, struct sockaddr_in *out);
static BmwStatus judge_ipv4(const BmwUrlReading *reading, const BmwAddressPolicy *policy,
							struct sockaddr_in *address);
static BmwStatus judge_ipv6(const BmwUrlReading *reading, const BmwAddressPolicy *policy);
static BmwStatus normalise(const char *url, const BmwUrlReading *reading, char *normal);
static BmwStatus normalise_with(CURLU *handle, const char *url, const BmwUrlReading *reading,
								char *normal);
static BmwStatus compare_host(CURLU *handle, const BmwUrlReading *reading);
static BmwStatus compare_port(CURLU *handle, const BmwUrlReading *reading);
static void canonical_host(const BmwUrlReading *reading, char *out, size_t size);
static BmwStatus copy_url(CURLU *handle, char *normal);
static BmwStatus status_of(CURLUcode code);

BmwStatus
bmw_url_check(const char *text, size_t len, bool require_https, const BmwAddressPolicy *policy,
			  char *normal)
{
	char url[BMW_URL_MAX_BYTES + 1];
	BmwUrlReading reading;
	BmwStatus status = bmw_url_read(text, len, require_https, url, &reading);

	if (status == BMW_OK)
		status = judge_host(&reading, policy);
	if (status == BMW_OK)
		status = normalise(url, &reading, normal);
	return status;
}

static BmwStatus
judge_host(const BmwUrlReading *reading, const BmwAddressPolicy *policy)
{
	struct sockaddr_in ipv4;

	if (reading->is_bracketed)
		return judge_ipv6(reading, policy);
	if (read_ipv4(reading->host, &ipv4))
		return judge_ipv4(reading, policy, &ipv4);

	const size_t len = strlen(reading->host);
	/* A final dot makes a name absolute; it does not make it another name. */
	const BmwStatus status =
		judge_name(reading->host, reading->host[len - 1] == '.' ? len - 1 : len);

	if (status != BMW_OK)
		return status;
	return bmw_ports_contain(&policy->ports, reading->port) ? BMW_OK : BMW_ERROR_PORT_DENIED;
}

static BmwStatus
judge_name(const char *name, size_t len)
{
	static const char localhost[] = ".localhost";
	const size_t localhost_len = sizeof(localhost) - 1;

	if (len == localhost_len - 1 && memcmp(name, localhost + 1, len) == 0)
		return BMW_ERROR_URL_LOCALHOST;
	if (len >= localhost_len && memcmp(name + len - localhost_len, localhost, localhost_len) == 0)
		return BMW_ERROR_URL_LOCALHOST;
	if (len > BMW_URL_MAX_HOST_BYTES || !are_labels(name, len))
		return BMW_ERROR_URL_HOST;

	size_t last = len;

	while (last > 0 && name[last - 1] != '.')
		last--;
	/* No dot at all, or an address in a spelling that libcurl might understand. */
	if (last == 0 || is_numeric(name + last, len - last))
		return BMW_ERROR_URL_HOST;
	return BMW_OK;
}

/* Letters, digits, hyphens and underscores, in labels of 1 to 63 bytes. */
static bool
are_labels(const char *name, size_t len)
{
	size_t label_len = 0;

	for (size_t i = 0; i < len; i++)
	{
		if (name[i] == '.' && label_len == 0)
			return false;
		if (name[i] != '.' && strchr(DIGITS "abcdefghijklmnopqrstuvwxyz-_", name[i]) == NULL)
			return false;
		label_len = name[i] == '.' ? 0 : label_len + 1;
		if (label_len > MAX_LABEL_BYTES)
			return false;
	}
	return label_len > 0;
}

/* Decimal, octal or hexadecimal, as inet_aton() reads them. */
static bool
is_numeric(const char *label, size_t len)
{
	if (len >= 2 && label[0] == '0' && label[1] == 'x')
		return strspn(label + 2, HEX_DIGITS) >= len - 2;
	return strspn(label, DIGITS) >= len;
}

/* Only the canonical spelling. */
static bool
read_ipv4(const char *host, struct sockaddr_in *out)
{
	char canonical[INET_ADDRSTRLEN];

	*out = (struct sockaddr_in){.sin_family = AF_INET};
	return inet_pton(AF_INET, host, &out->sin_addr) == 1 &&
		   inet_ntop(AF_INET, &out->sin_addr, canonical, sizeof(canonical)) != NULL &&
		   strcmp(host, canonical) == 0;
}

static BmwStatus
judge_ipv4(const BmwUrlReading *reading, const BmwAddressPolicy *policy,
		   struct sockaddr_in *address)
{
	address->sin_port = htons((uint16_t) reading->port);
	return bmw_address_check(policy, (const struct sockaddr *) address);
}

static BmwStatus
judge_ipv6(const BmwUrlReading *reading, const BmwAddressPolicy *policy)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6,
								   .sin6_port = htons((uint16_t) reading->port)};

	if (inet_pton(AF_INET6, reading->host, &address.sin6_addr) != 1)
		return BMW_ERROR_URL_HOST;
	return bmw_address_check(policy, (const struct sockaddr *) &address);
}

static BmwStatus
normalise(const char *url, const BmwUrlReading *reading, char *normal)
{
	CURLU *handle = curl_url();

	if (handle == NULL)
		return BMW_ERROR_MEMORY;

	const BmwStatus status = normalise_with(handle, url, reading, normal);

	curl_url_cleanup(handle);
	return status;
}

static BmwStatus
normalise_with(CURLU *handle, const char *url, const BmwUrlReading *reading, char *normal)
{
	char host[sizeof(reading->host) + 2];
	BmwStatus status = status_of(curl_url_set(handle, CURLUPART_URL, url, CURLU_DISALLOW_USER));

	if (status == BMW_OK)
		status = compare_host(handle, reading);
	if (status == BMW_OK)
		status = compare_port(handle, reading);
	if (status != BMW_OK)
		return status;

	canonical_host(reading, host, sizeof(host));
	status = status_of(curl_url_set(handle, CURLUPART_HOST, host, 0));
	return status == BMW_OK ? copy_url(handle, normal) : status;
}

static BmwStatus
compare_host(CURLU *handle, const BmwUrlReading *reading)
{
	char *host;
	const BmwStatus status = status_of(curl_url_get(handle, CURLUPART_HOST, &host, 0));

	if (status != BMW_OK)
		return status;

	bool is_same = strcasecmp(host, reading->host) == 0;

	if (reading->is_bracketed)
	{
		/* libcurl may have shortened it: compare the addresses, not the texts. */
		struct in6_addr theirs;
		struct in6_addr ours;

		host[strcspn(host, "]")] = '\0';
		is_same = host[0] == '[' && inet_pton(AF_INET6, host + 1, &theirs) == 1 &&
				  inet_pton(AF_INET6, reading->host, &ours) == 1 &&
				  memcmp(&theirs, &ours, sizeof(ours)) == 0;
	}
	curl_free(host);
	return is_same ? BMW_OK : BMW_ERROR_URL_HOST;
}

static BmwStatus
compare_port(CURLU *handle, const BmwUrlReading *reading)
{
	char *port;
	char ours[16];
	const BmwStatus status =
		status_of(curl_url_get(handle, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT));

	if (status != BMW_OK)
		return status;
	snprintf(ours, sizeof(ours), "%d", reading->port);

	const bool is_same = strcmp(port, ours) == 0;

	curl_free(port);
	return is_same ? BMW_OK : BMW_ERROR_URL_PORT;
}

/* One spelling per host: lower case, the shortest form of an IPv6 address. */
static void
canonical_host(const BmwUrlReading *reading, char *out, size_t size)
{
	struct in6_addr address;
	char text[INET6_ADDRSTRLEN];

	if (reading->is_bracketed && inet_pton(AF_INET6, reading->host, &address) == 1 &&
		inet_ntop(AF_INET6, &address, text, sizeof(text)) != NULL)
		snprintf(out, size, "[%s]", text);
	else
		snprintf(out, size, "%s", reading->host);
}

static BmwStatus
copy_url(CURLU *handle, char *normal)
{
	char *url;
	const BmwStatus status =
		status_of(curl_url_get(handle, CURLUPART_URL, &url, CURLU_NO_DEFAULT_PORT));

	if (status != BMW_OK)
		return status;

	const size_t len = strlen(url);

	/* A path of "/" may have been added to a URL of just the limit. */
	if (len <= BMW_URL_MAX_BYTES)
		memcpy(normal, url, len + 1);
	curl_free(url);
	return len <= BMW_URL_MAX_BYTES ? BMW_OK : BMW_ERROR_TOO_LARGE;
}

static BmwStatus
status_of(CURLUcode code)
{
	switch (code)
	{
		case CURLUE_OK:
			return BMW_OK;
		case CURLUE_OUT_OF_MEMORY:
			return BMW_ERROR_MEMORY;
		case CURLUE_UNSUPPORTED_SCHEME:
			return BMW_ERROR_URL_SCHEME;
		case CURLUE_USER_NOT_ALLOWED:
			return BMW_ERROR_URL_USERINFO;
		case CURLUE_NO_HOST:
		case CURLUE_BAD_HOSTNAME:
		case CURLUE_BAD_IPV6:
			return BMW_ERROR_URL_HOST;
		case CURLUE_BAD_PORT_NUMBER:
			return BMW_ERROR_URL_PORT;
		default: /* libcurl's enum grows with its versions */
			return BMW_ERROR_URL_SYNTAX;
	}
}
