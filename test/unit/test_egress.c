/*
 * test_egress.c - proxies, their credentials, and the addresses that connections come from.
 */
#include "core/egress.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "unit.h"

static void
test_proxies(void)
{
	static const struct
	{
		const char *text;
		bool is_valid;
	} cases[] = {
		{"", true},
		{"http://proxy:3128", true},
		{"http://proxy.internal:1", true},
		{"http://10.0.0.1:65535", true},
		{"socks5://[fd00::1]:1080", true},
		{"http://[::1]:80", true},
		{"https://proxy:3128", false},
		{"HTTP://proxy:3128", false},
		{"socks5h://proxy:1080", false},
		{"proxy:3128", false},
		{"http://proxy", false},
		{"http://proxy:", false},
		{"http://:3128", false},
		{"http://proxy:0", false},
		{"http://proxy:080", false},
		{"http://proxy:65536", false},
		{"http://proxy:3128/", false},
		{"http://proxy:3128 ", false},
		{"http://user@proxy:3128", false},
		{"http://user:pass@proxy:3128", false},
		{"http://pro xy:3128", false},
		{"http://[::1:80", false},
		{"http://[]:80", false},
		{"http://[fd00::1%25eth0]:80", false},
		{"http://[proxy]:80", false},
		{"http://::1:80", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
	{
		BmwProxy proxy;

		if (!CHECK_INT(bmw_proxy_parse(cases[i].text, &proxy),
					   cases[i].is_valid ? BMW_OK : BMW_ERROR_SYNTAX))
			printf("  \"%s\"\n", cases[i].text);
		if (cases[i].is_valid)
			CHECK_TEXT(proxy.url, cases[i].text);
		else
			CHECK_TEXT(proxy.url, "");
		CHECK_TEXT(proxy.user, "");
	}
}

static void
test_long_proxies(void)
{
	char text[BMW_PROXY_URL_SIZE + 1];
	BmwProxy proxy;

	memset(text, 'a', sizeof(text));
	memcpy(text, "http://", 7);
	memcpy(text + BMW_PROXY_URL_SIZE - 3, ":80", 4);
	CHECK_INT(bmw_proxy_parse(text, &proxy), BMW_ERROR_SYNTAX);
	CHECK_INT(
		bmw_proxy_parse("socks5://[aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]:1", &proxy),
		BMW_ERROR_SYNTAX);
	memcpy(text + BMW_PROXY_URL_SIZE - 4, ":80", 4);
	CHECK_INT(bmw_proxy_parse(text, &proxy), BMW_OK);
	CHECK_INT(strlen(proxy.url), BMW_PROXY_URL_SIZE - 1);
}

static void
check_credentials(const char *text, const char *user, const char *password)
{
	BmwProxy proxy = {.user = "before"};
	const bool is_valid = user != NULL;

	CHECK_INT(bmw_proxy_read_credentials(text, strlen(text), &proxy),
			  is_valid ? BMW_OK : BMW_ERROR_SYNTAX);
	CHECK_TEXT(proxy.user, is_valid ? user : "before");
	CHECK_TEXT(proxy.password, is_valid ? password : "");
}

static void
test_credentials(void)
{
	char line[2 * BMW_PROXY_WORD_SIZE + 2];
	BmwProxy proxy = {0};

	check_credentials("user:password", "user", "password");
	check_credentials("user:pass:word\r\n", "user", "pass:word");
	check_credentials(" user : pass \n\n", " user ", " pass ");
	check_credentials("us\xC3\xA9r:p\xC3\xA4ss", "us\xC3\xA9r", "p\xC3\xA4ss");
	check_credentials("", NULL, NULL);
	check_credentials("user", NULL, NULL);
	check_credentials("user:", NULL, NULL);
	check_credentials("user:\n", NULL, NULL);
	check_credentials(":password", NULL, NULL);
	check_credentials("user:pass\nuser:pass", NULL, NULL);
	check_credentials("us\ter:password", NULL, NULL);
	check_credentials("user:pass\x7F", NULL, NULL);
	CHECK_INT(bmw_proxy_read_credentials("user:pa\0ss", 10, &proxy), BMW_ERROR_SYNTAX);
	/* as long as SOCKS5 can say, and a byte longer */
	memset(line, 'a', sizeof(line));
	line[BMW_PROXY_WORD_SIZE - 1] = ':';
	CHECK_INT(bmw_proxy_read_credentials(line, 2 * BMW_PROXY_WORD_SIZE - 1, &proxy), BMW_OK);
	CHECK_INT(strlen(proxy.user), BMW_PROXY_WORD_SIZE - 1);
	CHECK_INT(strlen(proxy.password), BMW_PROXY_WORD_SIZE - 1);
	CHECK_INT(bmw_proxy_read_credentials(line, 2 * BMW_PROXY_WORD_SIZE, &proxy), BMW_ERROR_SYNTAX);
	line[BMW_PROXY_WORD_SIZE - 1] = 'a';
	line[BMW_PROXY_WORD_SIZE] = ':';
	CHECK_INT(bmw_proxy_read_credentials(line, BMW_PROXY_WORD_SIZE + 2, &proxy), BMW_ERROR_SYNTAX);
}

/* families: 4, 6, 46, 0 (the system chooses); -1: refused. */
static void
check_sources(const char *text, int families)
{
	BmwSources sources;
	socklen_t len;

	if (!CHECK_INT(bmw_sources_parse(text, &sources), families < 0 ? BMW_ERROR_SYNTAX : BMW_OK))
		printf("  \"%s\"\n", text);
	if (families < 0)
		return;
	CHECK_INT(bmw_sources_of(&sources, AF_INET, &len) != NULL, families != 6);
	CHECK_INT(len != 0, families == 4 || families == 46);
	CHECK_INT(bmw_sources_of(&sources, AF_INET6, &len) != NULL, families != 4);
	CHECK_INT(len != 0, families == 6 || families == 46);
}

static void
test_sources(void)
{
	BmwSources sources;
	socklen_t len;
	const struct sockaddr_in *v4;

	check_sources("", 0);
	check_sources("  ", 0);
	check_sources("203.0.113.7", 4);
	check_sources(" 203.0.113.7 ", 4);
	check_sources("2001:db8::7", 6);
	check_sources("203.0.113.7,2001:db8::7", 46);
	check_sources("2001:db8::7 , 203.0.113.7", 46);
	check_sources("127.0.0.1", 4);
	check_sources(",", -1);
	check_sources("203.0.113.7,", -1);
	check_sources(",203.0.113.7", -1);
	check_sources("203.0.113.7,203.0.113.8", -1);
	check_sources("2001:db8::7,2001:db8::8", -1);
	check_sources("203.0.113.7 203.0.113.8", -1);
	check_sources("0.0.0.0", -1);
	check_sources("224.0.0.1", -1);
	check_sources("255.255.255.255", -1);
	check_sources("::", -1);
	check_sources("ff02::1", -1);
	check_sources("::ffff:203.0.113.7", -1);
	check_sources("203.0.113.7/32", -1);
	check_sources("203.0.113", -1);
	check_sources("host.example.com", -1);
	check_sources("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", -1);
	CHECK_INT(bmw_sources_parse("203.0.113.7", &sources), BMW_OK);
	v4 = (const struct sockaddr_in *) bmw_sources_of(&sources, AF_INET, &len);
	CHECK_INT(len, sizeof(*v4));
	CHECK_INT(ntohl(v4->sin_addr.s_addr), 0xCB007107);
	CHECK_INT(v4->sin_port, 0);
}

int
main(void)
{
	test_proxies();
	test_long_proxies();
	test_credentials();
	test_sources();
	return unit_finish("egress");
}
