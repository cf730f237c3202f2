/*
 * core/egress.c - by which way requests leave: through a proxy, from which address.
 */
#include "core/egress.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define HTTP "http://"
#define SOCKS5 "socks5://"
#define HOST_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-"
#define DIGITS "0123456789"

static const char *skip_host(const char *text);
static bool is_port(const char *text);
static BmwStatus copy_word(const char *text, size_t len, char *word);
static BmwStatus add_source(const char *text, size_t len, BmwSources *out);
static bool add_v4(const char *text, BmwSources *out);
static bool add_v6(const char *text, BmwSources *out);

BmwStatus
bmw_proxy_parse(const char *text, BmwProxy *out)
{
	const char *host;

	memset(out, 0, sizeof(*out));
	if (text[0] == '\0')
		return BMW_OK;
	out->is_socks = strncmp(text, SOCKS5, strlen(SOCKS5)) == 0;
	if (!out->is_socks && strncmp(text, HTTP, strlen(HTTP)) != 0)
		return BMW_ERROR_SYNTAX;
	host = text + strlen(out->is_socks ? SOCKS5 : HTTP);

	const char *end = skip_host(host);

	if (end == NULL || *end != ':' || !is_port(end + 1) || strlen(text) >= sizeof(out->url))
		return BMW_ERROR_SYNTAX;
	memcpy(out->url, text, strlen(text) + 1);
	return BMW_OK;
}

BmwStatus
bmw_proxy_read_credentials(const char *text, size_t len, BmwProxy *out)
{
	BmwProxy read = *out;
	const char *colon;

	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		len--;
	colon = memchr(text, ':', len);
	if (colon == NULL || copy_word(text, (size_t) (colon - text), read.user) != BMW_OK ||
		copy_word(colon + 1, len - (size_t) (colon - text) - 1, read.password) != BMW_OK)
		return BMW_ERROR_SYNTAX;
	*out = read;
	return BMW_OK;
}

BmwStatus
bmw_sources_parse(const char *text, BmwSources *out)
{
	memset(out, 0, sizeof(*out));
	if (text[strspn(text, " ")] == '\0')
		return BMW_OK;
	out->are_set = true;
	for (;;)
	{
		const size_t len = strcspn(text, ",");

		if (add_source(text, len, out) != BMW_OK)
			return BMW_ERROR_SYNTAX;
		if (text[len] == '\0')
			return BMW_OK;
		text += len + 1;
	}
}

const struct sockaddr *
bmw_sources_of(const BmwSources *sources, int family, socklen_t *len)
{
	*len = 0;
	if (sources->are_set && family == sources->v4.sin_family)
		*len = sizeof(sources->v4);
	else if (sources->are_set && family == sources->v6.sin6_family)
		*len = sizeof(sources->v6);
	if (sources->are_set && *len == 0)
		return NULL;
	return family == AF_INET6 ? (const struct sockaddr *) &sources->v6
							  : (const struct sockaddr *) &sources->v4;
}

/* Behind a name, an IPv4 address or an IPv6 address in brackets; NULL: it is none. */
static const char *
skip_host(const char *text)
{
	char address[INET6_ADDRSTRLEN];
	struct in6_addr v6;
	size_t len;

	if (text[0] != '[')
	{
		len = strspn(text, HOST_CHARACTERS);
		return len > 0 ? text + len : NULL;
	}
	len = strcspn(text, "]") - 1;
	if (text[len + 1] == '\0' || len >= sizeof(address))
		return NULL;
	memcpy(address, text + 1, len);
	address[len] = '\0';
	return inet_pton(AF_INET6, address, &v6) == 1 ? text + len + 2 : NULL;
}

static bool
is_port(const char *text)
{
	const size_t len = strspn(text, DIGITS);
	int port = 0;

	if (len == 0 || len > 5 || text[len] != '\0' || text[0] == '0')
		return false;
	for (size_t i = 0; i < len; i++)
		port = port * 10 + (text[i] - '0');
	return port <= UINT16_MAX;
}

static BmwStatus
copy_word(const char *text, size_t len, char *word)
{
	if (len == 0 || len >= BMW_PROXY_WORD_SIZE)
		return BMW_ERROR_SYNTAX;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char) text[i] < ' ' || text[i] == 0x7F)
			return BMW_ERROR_SYNTAX;
	memcpy(word, text, len);
	word[len] = '\0';
	return BMW_OK;
}

static BmwStatus
add_source(const char *text, size_t len, BmwSources *out)
{
	char address[INET6_ADDRSTRLEN];

	for (; len > 0 && text[0] == ' '; text++)
		len--;
	while (len > 0 && text[len - 1] == ' ')
		len--;
	if (len == 0 || len >= sizeof(address))
		return BMW_ERROR_SYNTAX;
	memcpy(address, text, len);
	address[len] = '\0';
	return add_v4(address, out) || add_v6(address, out) ? BMW_OK : BMW_ERROR_SYNTAX;
}

static bool
add_v4(const char *text, BmwSources *out)
{
	struct in_addr address;

	if (out->v4.sin_family != 0 || inet_pton(AF_INET, text, &address) != 1 ||
		address.s_addr == INADDR_ANY || (ntohl(address.s_addr) >> 28) >= 0xE)
		return false;
	out->v4.sin_family = AF_INET;
	out->v4.sin_addr = address;
	return true;
}

static bool
add_v6(const char *text, BmwSources *out)
{
	struct in6_addr address;

	if (out->v6.sin6_family != 0 || inet_pton(AF_INET6, text, &address) != 1 ||
		IN6_IS_ADDR_UNSPECIFIED(&address) || IN6_IS_ADDR_MULTICAST(&address) ||
		IN6_IS_ADDR_V4MAPPED(&address))
		return false;
	out->v6.sin6_family = AF_INET6;
	out->v6.sin6_addr = address;
	return true;
}
