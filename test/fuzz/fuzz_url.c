/*
 * fuzz_url.c - a URL that is accepted has a normal form, which is accepted as it is.
 */
#include "core/url.h"

#include "fuzz.h"

static const BmwAddressPolicy *
policy(void)
{
	static BmwAddressPolicy policy;

	if (policy.allowed.length == 0)
	{
		REQUIRE(bmw_networks_parse("127.0.0.0/8, fd00::/8", &policy.allowed) == BMW_OK);
		REQUIRE(bmw_ports_parse("80,443,1024-65535", &policy.ports) == BMW_OK);
	}
	return &policy;
}

static void
require_is_normal(const char *url)
{
	char again[BMW_URL_MAX_BYTES + 1];
	const size_t len = strlen(url);

	REQUIRE(len <= BMW_URL_MAX_BYTES);
	REQUIRE(strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0);
	for (size_t i = 0; i < len; i++)
		REQUIRE(url[i] > 0x20 && url[i] < 0x7F && url[i] != '\\' && url[i] != '#');
	REQUIRE(bmw_url_check(url, len, false, policy(), again) == BMW_OK);
	REQUIRE(strcmp(url, again) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char normal[BMW_URL_MAX_BYTES + 1] = "unchanged";
	char secure[BMW_URL_MAX_BYTES + 1];
	const BmwStatus status = bmw_url_check((const char *) data, size, false, policy(), normal);

	if (status == BMW_OK)
		require_is_normal(normal);
	else
		REQUIRE(strcmp(normal, "unchanged") == 0);
	if (bmw_url_check((const char *) data, size, true, policy(), secure) == BMW_OK)
		REQUIRE(strcmp(normal, secure) == 0 && strncmp(secure, "https://", 8) == 0);
	return 0;
}
