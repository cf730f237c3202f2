/*
 * fuzz_egress.c - a proxy that is accepted is a URL of a host and a port alone, and a source an address of one host.
 *
 * The first line is the proxy, the second the addresses, the rest the file of credentials.
 */
#include "core/egress.h"

#include <arpa/inet.h>

#include "fuzz.h"

static void
require_proxy(const char *text, const BmwProxy *proxy)
{
	const char *host = proxy->url + strlen(proxy->is_socks ? "socks5://" : "http://");
	const char *port = strrchr(proxy->url, ':');

	REQUIRE(strcmp(proxy->url, text) == 0);
	REQUIRE(strncmp(text, proxy->is_socks ? "socks5://" : "http://",
					(size_t) (host - proxy->url)) == 0);
	REQUIRE(port > host && strtol(port + 1, NULL, 10) > 0);
	REQUIRE(strtol(port + 1, NULL, 10) <= UINT16_MAX);
	REQUIRE(strpbrk(host, "/?#@\\ \t\r\n%") == NULL);
	REQUIRE(proxy->user[0] == '\0' && proxy->password[0] == '\0');
}

static void
require_word(const char *word)
{
	REQUIRE(word[0] != '\0' && strnlen(word, BMW_PROXY_WORD_SIZE) < BMW_PROXY_WORD_SIZE);
	for (; *word != '\0'; word++)
		REQUIRE((unsigned char) *word >= ' ' && *word != 0x7F);
}

static void
require_credentials(const uint8_t *data, size_t size)
{
	BmwProxy before = {.url = "http://p:1", .user = "u", .password = "p"};
	BmwProxy proxy = before;

	if (bmw_proxy_read_credentials((const char *) data, size, &proxy) != BMW_OK)
	{
		REQUIRE(memcmp(&proxy, &before, sizeof(proxy)) == 0);
		return;
	}
	require_word(proxy.user);
	require_word(proxy.password);
	REQUIRE(strchr(proxy.user, ':') == NULL && strcmp(proxy.url, before.url) == 0);
	REQUIRE(strlen(proxy.user) + strlen(proxy.password) < size);
}

static void
require_sources(const BmwSources *sources)
{
	socklen_t len;

	REQUIRE(sources->v4.sin_family == 0 || sources->v4.sin_family == AF_INET);
	REQUIRE(sources->v6.sin6_family == 0 || sources->v6.sin6_family == AF_INET6);
	REQUIRE(sources->are_set == (sources->v4.sin_family != 0 || sources->v6.sin6_family != 0));
	REQUIRE(sources->v4.sin_family == 0 || sources->v4.sin_addr.s_addr != INADDR_ANY);
	REQUIRE(sources->v4.sin_port == 0 && sources->v6.sin6_port == 0);
	REQUIRE((bmw_sources_of(sources, AF_INET, &len) == NULL) ==
			(sources->are_set && sources->v4.sin_family == 0));
	REQUIRE((bmw_sources_of(sources, AF_INET6, &len) == NULL) ==
			(sources->are_set && sources->v6.sin6_family == 0));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *url = fuzz_line(&data, &size);
	char *addresses = fuzz_line(&data, &size);
	BmwSources sources;
	BmwProxy proxy;

	if (bmw_proxy_parse(url, &proxy) == BMW_OK && proxy.url[0] != '\0')
		require_proxy(url, &proxy);
	if (bmw_sources_parse(addresses, &sources) == BMW_OK)
		require_sources(&sources);
	require_credentials(data, size);
	free(url);
	free(addresses);
	return 0;
}
