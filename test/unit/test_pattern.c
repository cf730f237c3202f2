/*
 * test_pattern.c - valid types, valid patterns, what matches what.
 */
#include "core/pattern.h"

#include "unit.h"

static bool
is_type(const char *text)
{
	return bmw_event_type_is_valid(text, strlen(text));
}

static bool
is_pattern(const char *text)
{
	return bmw_pattern_is_valid(text, strlen(text));
}

static void
test_types(void)
{
	static const char *const valid[] = {"message.sent", "a.b", "a_1.b_2.c", "_._", "0.1"};
	static const char *const invalid[] = {
		"",	   "a",		".",	 "a.",	".a", "a..b",		"a b.c", "A.b",
		"a.B", "a-b.c", "a.b\n", "a.*", "*",  "\xC3\xA9.a", "a.b.",
	};

	for (size_t i = 0; i < sizeof(valid) / sizeof(valid[0]); i++)
	{
		CHECK(is_type(valid[i]));
		CHECK(is_pattern(valid[i]));
	}
	for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++)
		CHECK(!is_type(invalid[i]));
	CHECK(!bmw_event_type_is_valid("a\0.b", 4));
}

static void
test_length(void)
{
	char text[BMW_EVENT_TYPE_MAX_BYTES + 1];

	memset(text, 'a', sizeof(text));
	text[1] = '.';
	CHECK(bmw_event_type_is_valid(text, BMW_EVENT_TYPE_MAX_BYTES));
	CHECK(!bmw_event_type_is_valid(text, BMW_EVENT_TYPE_MAX_BYTES + 1));
	CHECK(bmw_pattern_is_valid(text, BMW_EVENT_TYPE_MAX_BYTES));
	CHECK(!bmw_pattern_is_valid(text, BMW_EVENT_TYPE_MAX_BYTES + 1));
	memcpy(text + BMW_EVENT_TYPE_MAX_BYTES - 2, ".*", 2);
	CHECK(bmw_pattern_is_valid(text, BMW_EVENT_TYPE_MAX_BYTES));
}

static void
test_patterns(void)
{
	CHECK(is_pattern("*"));
	CHECK(is_pattern("message.*"));
	CHECK(is_pattern("message.a.*"));
	CHECK(!is_pattern(""));
	CHECK(!is_pattern("message"));
	CHECK(!is_pattern(".*"));
	CHECK(!is_pattern("**"));
	CHECK(!is_pattern("*.*"));
	CHECK(!is_pattern("*.sent"));
	CHECK(!is_pattern("message*"));
	CHECK(!is_pattern("message.se*"));
	CHECK(!is_pattern("message.*.a"));
	CHECK(!is_pattern("message..*"));
}

static void
test_matches(void)
{
	CHECK(bmw_pattern_matches("*", "message.sent"));
	CHECK(!bmw_pattern_matches("*", "endpoint.disabled"));
	CHECK(!bmw_pattern_matches("*", "delivery.exhausted"));
	CHECK(!bmw_pattern_matches("*", "webhook.capture_failed"));
	CHECK(bmw_pattern_matches("*", "webhooks.sent"));
	CHECK(bmw_pattern_matches("endpoint.*", "endpoint.disabled"));
	CHECK(bmw_pattern_matches("endpoint.disabled", "endpoint.disabled"));
	CHECK(bmw_pattern_matches("message.*", "message.sent"));
	CHECK(bmw_pattern_matches("message.*", "message.a.b"));
	CHECK(!bmw_pattern_matches("message.*", "message"));
	CHECK(!bmw_pattern_matches("message.*", "messages.sent"));
	CHECK(!bmw_pattern_matches("message.*", "a.message.sent"));
	CHECK(bmw_pattern_matches("message.a.*", "message.a.b"));
	CHECK(!bmw_pattern_matches("message.a.*", "message.a"));
	CHECK(!bmw_pattern_matches("message.a.*", "message.ab.c"));
	CHECK(bmw_pattern_matches("message.sent", "message.sent"));
	CHECK(!bmw_pattern_matches("message.sent", "message.sent_x"));
	CHECK(!bmw_pattern_matches("message.sent", "message.sen"));
	CHECK(!bmw_pattern_matches("message.sent", "message.sent.x"));
}

int
main(void)
{
	test_types();
	test_length();
	test_patterns();
	test_matches();
	return unit_finish("pattern");
}
