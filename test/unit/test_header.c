/*
 * test_header.c - tokens, reserved names in any case, every byte of a value.
 */
#include "core/header.h"

#include <ctype.h>

#include "unit.h"

static BmwStatus
check(const char *name, const char *value)
{
	return bmw_header_check(name, strlen(name), value, strlen(value));
}

static void
test_reserved(void)
{
	static const char *const reserved[] = {
		"host",
		"content-length",
		"content-type",
		"transfer-encoding",
		"connection",
		"expect",
		"user-agent",
		"webhook-id",
		"webhook-",
		"webhook-x",
		"bm-webhook-attempt",
		"bm-webhook-",
		"keep-alive",
		"te",
		"trailer",
		"upgrade",
		"http2-settings",
		"accept-encoding",
		"content-encoding",
		"content-range",
		"proxy-connection",
		"proxy-authorization",
	};

	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
	{
		char upper[32] = {0};

		for (size_t j = 0; reserved[i][j] != '\0'; j++)
			upper[j] = (char) toupper((unsigned char) reserved[i][j]);
		CHECK_INT(check(reserved[i], "x"), BMW_ERROR_HEADER_RESERVED);
		CHECK_INT(check(upper, "x"), BMW_ERROR_HEADER_RESERVED);
	}
	CHECK_INT(check("hosts", "x"), BMW_OK);
	CHECK_INT(check("x-host", "x"), BMW_OK);
	CHECK_INT(check("webhook", "x"), BMW_OK);
	CHECK_INT(check("webhooks-id", "x"), BMW_OK);
	CHECK_INT(check("x-webhook-id", "x"), BMW_OK);
	CHECK_INT(check("content", "x"), BMW_OK);
	CHECK_INT(check("tea", "x"), BMW_OK);
	CHECK_INT(check("accept", "x"), BMW_OK);
	CHECK_INT(check("x-proxy-authorization", "x"), BMW_OK);
	CHECK_INT(check("Authorization", "Bearer x y"), BMW_OK);
}

static void
test_name_bytes(void)
{
	for (int c = 0; c < 256; c++)
	{
		const char name[3] = {'x', (char) c, 'y'};
		const bool is_token = c < 128 && (isalnum(c) || (c != 0 && strchr("!#$%&'*+-.^_`|~", c)));

		CHECK_INT(bmw_header_check(name, 3, "v", 1), is_token ? BMW_OK : BMW_ERROR_HEADER_NAME);
	}
	CHECK_INT(check("", "v"), BMW_ERROR_HEADER_NAME);
}

static void
test_value_bytes(void)
{
	for (int c = 0; c < 256; c++)
	{
		const char value[3] = {'x', (char) c, 'y'};
		const bool is_control = c < 0x20 || c == 0x7F;

		CHECK_INT(bmw_header_check("x-a", 3, value, 3),
				  is_control ? BMW_ERROR_HEADER_VALUE : BMW_OK);
	}
	CHECK_INT(check("x-a", ""), BMW_OK);
	CHECK_INT(check("x-a", " v"), BMW_ERROR_HEADER_VALUE);
	CHECK_INT(check("x-a", "v "), BMW_ERROR_HEADER_VALUE);
	CHECK_INT(check("x-a", " "), BMW_ERROR_HEADER_VALUE);
	CHECK_INT(check("x-a", "v\r\nhost: evil"), BMW_ERROR_HEADER_VALUE);
	CHECK_INT(check("x-a", "caf\xC3\xA9"), BMW_OK);
}

int
main(void)
{
	test_reserved();
	test_name_bytes();
	test_value_bytes();
	return unit_finish("header");
}
