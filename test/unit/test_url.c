/*
 * test_url.c - every rule with its status, the normal form, odd spellings.
 */
#include "core/url.h"

#include <stdlib.h>

#include "unit.h"

static BmwAddressPolicy policy;
static char normal[BMW_URL_MAX_BYTES + 1];

typedef struct Case
{
	const char *url;
	BmwStatus status;
} Case;

static BmwStatus
check(const char *url, bool require_https)
{
	return bmw_url_check(url, strlen(url), require_https, &policy, normal);
}

static void
check_all(const Case *cases, size_t length)
{
	for (size_t i = 0; i < length; i++)
	{
		if (!CHECK_INT(check(cases[i].url, false), cases[i].status))
			printf("  for %s: %s\n", cases[i].url, bmw_status_text(check(cases[i].url, false)));
	}
}

static const Case refused[] = {
	{"", BMW_ERROR_EMPTY},

	{"https://exa mple.com/", BMW_ERROR_URL_CHARACTER},
	{" https://example.com/", BMW_ERROR_URL_CHARACTER},
	{"https://example.com/\n", BMW_ERROR_URL_CHARACTER},
	{"https://example.com/\tx", BMW_ERROR_URL_CHARACTER},
	{"https://example.com/\x7f", BMW_ERROR_URL_CHARACTER},
	{"https://example.com\\@evil.com/", BMW_ERROR_URL_CHARACTER},
	{"https://ex\xC3\xA4mple.com/", BMW_ERROR_URL_CHARACTER},
	{"http://\xE2\x91\xA0\xE2\x91\xA1\xE2\x91\xA6.0.0.1/", BMW_ERROR_URL_CHARACTER},
	{"http://\xEF\xBC\x91\xEF\xBC\x92\xEF\xBC\x97.0.0.1/", BMW_ERROR_URL_CHARACTER},

	{"example.com", BMW_ERROR_URL_SCHEME},
	{"//example.com/", BMW_ERROR_URL_SCHEME},
	{"example.com:8080/x", BMW_ERROR_URL_SCHEME},
	{"ftp://example.com/", BMW_ERROR_URL_SCHEME},
	{"file:///etc/passwd", BMW_ERROR_URL_SCHEME},
	{"gopher://example.com/", BMW_ERROR_URL_SCHEME},
	{"httpss://example.com/", BMW_ERROR_URL_SCHEME},
	{"httpx://example.com/", BMW_ERROR_URL_SCHEME},
	{"://example.com/", BMW_ERROR_URL_SCHEME},

	{"https:example.com", BMW_ERROR_URL_SYNTAX},
	{"https:/example.com/", BMW_ERROR_URL_SYNTAX},
	{"https:///example.com/", BMW_ERROR_URL_SYNTAX},
	{"https:////example.com/", BMW_ERROR_URL_SYNTAX},

	{"https://user@example.com/", BMW_ERROR_URL_USERINFO},
	{"https://user:password@example.com/", BMW_ERROR_URL_USERINFO},
	{"https://@example.com/", BMW_ERROR_URL_USERINFO},
	{"https://:@example.com/", BMW_ERROR_URL_USERINFO},
	{"https://example.com@127.0.0.1/", BMW_ERROR_URL_USERINFO},

	{"https://example.com/#part", BMW_ERROR_URL_FRAGMENT},
	{"https://example.com/#", BMW_ERROR_URL_FRAGMENT},
	{"https://example.com#@evil.com/", BMW_ERROR_URL_FRAGMENT},

	{"https://[fe80::1%25eth0]/", BMW_ERROR_URL_ZONE},
	{"https://[fe80::1%eth0]/", BMW_ERROR_URL_ZONE},

	{"https://", BMW_ERROR_URL_HOST},
	{"https://?x", BMW_ERROR_URL_HOST},
	{"https://:443/", BMW_ERROR_URL_HOST},
	{"https://intranet/", BMW_ERROR_URL_HOST},
	{"https://intranet./", BMW_ERROR_URL_HOST},
	{"https://./", BMW_ERROR_URL_HOST},
	{"https://../", BMW_ERROR_URL_HOST},
	{"https://.example.com/", BMW_ERROR_URL_HOST},
	{"https://example..com/", BMW_ERROR_URL_HOST},
	{"https://example.com../", BMW_ERROR_URL_HOST},
	{"https://exa%6dple.com/", BMW_ERROR_URL_HOST},
	{"https://example.com%00.evil.com/", BMW_ERROR_URL_HOST},
	{"https://example.com,evil.com/", BMW_ERROR_URL_HOST},
	{"https://exam*ple.com/", BMW_ERROR_URL_HOST},
	{"https://{a,b}.com/", BMW_ERROR_URL_HOST},
	{"https://[::1/", BMW_ERROR_URL_HOST},
	{"https://[]/", BMW_ERROR_URL_HOST},
	{"https://[127.0.0.1]/", BMW_ERROR_URL_HOST},
	{"https://[v1.a:b]/", BMW_ERROR_URL_HOST},
	{"https://::1/", BMW_ERROR_URL_HOST},

	/* What libcurl takes for an address; 127/8 is allowed in this test. */
	{"http://127.1/", BMW_ERROR_URL_HOST},
	{"http://127.0.1/", BMW_ERROR_URL_HOST},
	{"http://2130706433/", BMW_ERROR_URL_HOST},
	{"http://0x7f000001/", BMW_ERROR_URL_HOST},
	{"http://0x7f.0.0.1/", BMW_ERROR_URL_HOST},
	{"http://127.0.0.0x1/", BMW_ERROR_URL_HOST},
	{"http://127.0.0.0X1/", BMW_ERROR_URL_HOST},
	{"http://127.0.0.0x/", BMW_ERROR_URL_HOST},
	{"http://0177.0.0.1/", BMW_ERROR_URL_HOST},
	{"http://0177.0.0.01/", BMW_ERROR_URL_HOST},
	{"http://127.000.000.001/", BMW_ERROR_URL_HOST},
	{"http://127.0.0.0000000000000000000001/", BMW_ERROR_URL_HOST},
	{"http://127.0.0.1./", BMW_ERROR_URL_HOST},
	{"http://%31%32%37.0.0.1/", BMW_ERROR_URL_HOST},
	{"http://127%2e0.0.1/", BMW_ERROR_URL_HOST},
	{"http://256.0.0.1/", BMW_ERROR_URL_HOST},
	{"http://127.0.0.1.1/", BMW_ERROR_URL_HOST},
	{"http://example.1/", BMW_ERROR_URL_HOST},
	{"http://example.0x7f/", BMW_ERROR_URL_HOST},

	{"http://localhost/", BMW_ERROR_URL_LOCALHOST},
	{"http://LOCALHOST:8080/", BMW_ERROR_URL_LOCALHOST},
	{"http://localhost./", BMW_ERROR_URL_LOCALHOST},
	{"http://a.localhost/", BMW_ERROR_URL_LOCALHOST},
	{"http://a.b.LocalHost./", BMW_ERROR_URL_LOCALHOST},

	{"https://example.com:0/", BMW_ERROR_URL_PORT},
	{"https://example.com:/", BMW_ERROR_URL_PORT},
	{"https://example.com:65536/", BMW_ERROR_URL_PORT},
	{"https://example.com:4294967739/", BMW_ERROR_URL_PORT},
	{"https://example.com:0443/", BMW_ERROR_URL_PORT},
	{"https://example.com:+443/", BMW_ERROR_URL_PORT},
	{"https://example.com:443x/", BMW_ERROR_URL_PORT},
	{"https://example.com:80:443/", BMW_ERROR_URL_PORT},
	{"https://[2606:4700::1111]443/", BMW_ERROR_URL_PORT},
	{"https://[2606:4700::1111]x/", BMW_ERROR_URL_PORT},

	{"https://example.com:22/", BMW_ERROR_PORT_DENIED},
	{"https://example.com:1023/", BMW_ERROR_PORT_DENIED},
	{"https://8.8.8.8:25/", BMW_ERROR_PORT_DENIED},
	{"http://127.0.0.1:22/", BMW_ERROR_PORT_DENIED},

	{"https://10.0.0.1/", BMW_ERROR_ADDRESS_DENIED},
	{"https://169.254.169.254/latest/meta-data", BMW_ERROR_ADDRESS_DENIED},
	{"https://0.0.0.0/", BMW_ERROR_ADDRESS_DENIED},
	{"https://[::1]/", BMW_ERROR_ADDRESS_DENIED},
	{"https://[::ffff:127.0.0.1]/", BMW_ERROR_ADDRESS_DENIED},
	{"https://[::ffff:7f00:1]/", BMW_ERROR_ADDRESS_DENIED},
	{"https://[64:ff9b::7f00:1]/", BMW_ERROR_ADDRESS_DENIED},
	{"https://[fe80::1]/", BMW_ERROR_ADDRESS_DENIED},
	{"https://[2001:db8::1]/", BMW_ERROR_ADDRESS_DENIED},
};

static const char *const normal_forms[][2] = {
	{"https://example.com", "https://example.com/"},
	{"HTTPS://EXAMPLE.com/Path", "https://example.com/Path"},
	{"https://example.com:443/", "https://example.com/"},
	{"http://example.com:80/a", "http://example.com/a"},
	{"http://example.com:443/a", "http://example.com:443/a"},
	{"https://example.com:8443/a?b=c&d", "https://example.com:8443/a?b=c&d"},
	{"https://example.com?x=1", "https://example.com/?x=1"},
	{"https://example.com/a?x=http://b@c:1/", "https://example.com/a?x=http://b@c:1/"},
	{"https://example.com/a@b:c", "https://example.com/a@b:c"},
	{"https://example.com/a%20b", "https://example.com/a%20b"},
	{"https://example.com./x", "https://example.com./x"},
	{"https://a_b.xn--exmple-cua.com/", "https://a_b.xn--exmple-cua.com/"},
	{"https://1.2.3.4.example/", "https://1.2.3.4.example/"},
	{"https://a.0x7g/", "https://a.0x7g/"},
	{"https://8.8.8.8/", "https://8.8.8.8/"},
	{"http://127.0.0.1:8080/x", "http://127.0.0.1:8080/x"},
	{"https://[2606:4700:0:0::1111]:8443/", "https://[2606:4700::1111]:8443/"},
	{"https://[2606:4700::ABCD]", "https://[2606:4700::abcd]/"},
	{"http://[fd00::1]:8080/x", "http://[fd00::1]:8080/x"},
};

static void
test_normal_forms(void)
{
	for (size_t i = 0; i < sizeof(normal_forms) / sizeof(normal_forms[0]); i++)
	{
		char first[BMW_URL_MAX_BYTES + 1];

		if (!CHECK_INT(check(normal_forms[i][0], false), BMW_OK))
			printf("  for %s\n", normal_forms[i][0]);
		CHECK_TEXT(normal, normal_forms[i][1]);
		/* A normal form is its own normal form. */
		memcpy(first, normal, sizeof(first));
		CHECK_INT(check(first, false), BMW_OK);
		CHECK_TEXT(normal, first);
	}
}

static void
test_https(void)
{
	CHECK_INT(check("http://example.com/", true), BMW_ERROR_URL_HTTPS_REQUIRED);
	CHECK_INT(check("HTTP://127.0.0.1:8080/x", true), BMW_ERROR_URL_HTTPS_REQUIRED);
	CHECK_INT(check("https://example.com/", true), BMW_OK);
	CHECK_INT(check("https://127.0.0.1:8080/x", true), BMW_OK);
	CHECK_INT(check("ftp://example.com/", true), BMW_ERROR_URL_SCHEME);
}

static void
test_lengths(void)
{
	char url[BMW_URL_MAX_BYTES + 2];
	char host[400] = "https://";

	memset(url, 'a', sizeof(url));
	memcpy(url, "https://example.com/", 20);
	CHECK_INT(bmw_url_check(url, BMW_URL_MAX_BYTES, true, &policy, normal), BMW_OK);
	CHECK_INT(strlen(normal), BMW_URL_MAX_BYTES);
	CHECK_INT(bmw_url_check(url, BMW_URL_MAX_BYTES + 1, true, &policy, normal),
			  BMW_ERROR_TOO_LARGE);
	/* The normal form would be one byte over. */
	memcpy(url, "https://example.com?", 20);
	CHECK_INT(bmw_url_check(url, BMW_URL_MAX_BYTES, true, &policy, normal), BMW_ERROR_TOO_LARGE);
	CHECK_INT(bmw_url_check(url, BMW_URL_MAX_BYTES - 1, true, &policy, normal), BMW_OK);
	CHECK_INT(bmw_url_check("https://example.com/\0x", 22, true, &policy, normal),
			  BMW_ERROR_URL_CHARACTER);
	/* Not 0-terminated: only the length counts. */
	CHECK_INT(bmw_url_check("https://example.com#", 19, true, &policy, normal), BMW_OK);

	/* 63 bytes of label are the most; 253 of name, 254 with the final dot. */
	for (int i = 8; i < 8 + 253; i++)
		host[i] = (i - 8) % 64 == 63 ? '.' : 'a';
	memcpy(host + 8 + 253, "./", 3);
	CHECK_INT(check(host, true), BMW_OK);
	memcpy(host + 8 + 253, "a/", 3);
	CHECK_INT(check(host, true), BMW_ERROR_URL_HOST);
	memcpy(host + 8 + 253, "aa/", 4);
	CHECK_INT(check(host, true), BMW_ERROR_URL_HOST);
	memset(host + 8, 'a', 64);
	memcpy(host + 8 + 64, ".com", 5);
	CHECK_INT(check(host, true), BMW_ERROR_URL_HOST);
	memcpy(host + 8 + 63, ".com", 5);
	CHECK_INT(check(host, true), BMW_OK);
}

int
main(void)
{
	bmw_networks_parse("127.0.0.0/8,fd00::/8", &policy.allowed);
	bmw_ports_parse("80,443,1024-65535", &policy.ports);
	check_all(refused, sizeof(refused) / sizeof(refused[0]));
	test_normal_forms();
	test_https();
	test_lengths();
	CHECK_INT(check("http://[::1]:8080/", false), BMW_ERROR_ADDRESS_DENIED);
	bmw_address_policy_free(&policy);
	CHECK_INT(check("http://127.0.0.1:8080/x", false), BMW_ERROR_ADDRESS_DENIED);
	return unit_finish("url");
}
