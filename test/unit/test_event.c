/*
 * test_event.c - the body byte for byte, escapes, timestamps, references.
 */
#include "core/event.h"

#include <stdlib.h>
#include <time.h>

#include "unit.h"

#define MS INT64_C(1000)
#define SECOND INT64_C(1000000)

static const BmwUuid id = {
	{0x01, 0x99, 0x0f, 0x3c, 0x12, 0x34, 0x7a, 0xbc, 0x8d, 0xef, 0, 1, 2, 3, 4, 5}};

#define ID_TEXT "01990f3c-1234-7abc-8def-000102030405"

static void
test_body(void)
{
	BmwEventSource source = {
		.id = id,
		.type = "message.delivered",
		.timestamp_us = 1786093923412345, /* 2026-08-07T09:12:03.412345Z */
		.data = "{\"a\":1}tail that is not ours",
		.data_len = 7,
	};
	BmwEvent *event = bmw_event_create(&source);

	CHECK_TEXT(event->body, "{\"id\":\"" ID_TEXT "\",\"type\":\"message.delivered\","
							"\"timestamp\":\"2026-08-07T09:12:03.412Z\",\"data\":{\"a\":1}}");
	CHECK_INT(event->body_len, strlen(event->body));
	CHECK_TEXT(event->id_text, ID_TEXT);
	CHECK(memcmp(&event->id, &id, sizeof(id)) == 0);
	bmw_event_release(event);

	source.application = "app_7";
	source.channel = "whatsapp";
	source.message_id = "m_01J9";
	event = bmw_event_create(&source);
	CHECK_TEXT(
		event->body,
		"{\"id\":\"" ID_TEXT "\",\"type\":\"message.delivered\","
		"\"timestamp\":\"2026-08-07T09:12:03.412Z\",\"application\":\"app_7\",\"channel\":\"whatsapp\","
		"\"message_id\":\"m_01J9\",\"data\":{\"a\":1}}");
	CHECK_INT(event->body_len, strlen(event->body));
	bmw_event_release(event);

	source.application = NULL;
	source.message_id = NULL;
	source.channel = "";
	source.data = NULL;
	source.data_len = 0;
	event = bmw_event_create(&source);
	CHECK_TEXT(event->body,
			   "{\"id\":\"" ID_TEXT "\",\"type\":\"message.delivered\","
			   "\"timestamp\":\"2026-08-07T09:12:03.412Z\",\"channel\":\"\",\"data\":null}");
	bmw_event_release(event);
}

/* What a text becomes between its quotes; as message_id, which may hold anything. */
static void
check_escape(const char *text, const char *escaped)
{
	const BmwEventSource source = {.id = id,
								   .type = "a.b",
								   .message_id = text,
								   .data = "1",
								   .data_len = 1};
	BmwEvent *event = bmw_event_create(&source);
	char expected[512];

	snprintf(expected, sizeof(expected),
			 "{\"id\":\"" ID_TEXT "\",\"type\":\"a.b\","
			 "\"timestamp\":\"1970-01-01T00:00:00.000Z\",\"message_id\":\"%s\",\"data\":1}",
			 escaped);
	CHECK_TEXT(event->body, expected);
	CHECK_INT(event->body_len, strlen(expected));
	bmw_event_release(event);
}

static void
test_escapes(void)
{
	check_escape("", "");
	check_escape("\"", "\\\"");
	check_escape("\\", "\\\\");
	check_escape("a\"b\\c/d", "a\\\"b\\\\c/d");
	check_escape("\b\f\n\r\t", "\\b\\f\\n\\r\\t");
	check_escape("\x7f", "\x7f");
	check_escape("caf\xC3\xA9 \xF0\x9F\x98\x80", "caf\xC3\xA9 \xF0\x9F\x98\x80");
	check_escape("\xE2\x80\xA8\xE2\x80\xA9", "\xE2\x80\xA8\xE2\x80\xA9");
	for (int c = 1; c < 0x20; c++)
	{
		const char text[] = {'x', (char) c, 'y', 0};
		const char *letter = c != 0 ? strchr("\bb\ff\nn\rr\tt", c) : NULL;
		char escaped[16];

		if (letter != NULL)
			snprintf(escaped, sizeof(escaped), "x\\%cy", letter[1]);
		else
			snprintf(escaped, sizeof(escaped), "x\\u%04xy", (unsigned) c);
		check_escape(text, escaped);
	}
}

static void
check_timestamp(int64_t unix_us, const char *expected)
{
	const BmwEventSource source = {.id = id,
								   .type = "a.b",
								   .timestamp_us = unix_us,
								   .data = "1",
								   .data_len = 1};
	BmwEvent *event = bmw_event_create(&source);
	const char *start = strstr(event->body, "\"timestamp\":\"");
	char actual[25] = {0};

	memcpy(actual, start + 13, 24);
	CHECK_TEXT(actual, expected);
	CHECK_TEXT(start + 13 + 24, "\",\"data\":1}");
	bmw_event_release(event);
}

static void
test_timestamps(void)
{
	check_timestamp(0, "1970-01-01T00:00:00.000Z");
	check_timestamp(999, "1970-01-01T00:00:00.000Z");
	check_timestamp(-1, "1969-12-31T23:59:59.999Z");
	check_timestamp(-SECOND, "1969-12-31T23:59:59.000Z");
	check_timestamp(951782400 * SECOND, "2000-02-29T00:00:00.000Z");
	check_timestamp(4107542400 * SECOND - 1, "2100-02-28T23:59:59.999Z");
	check_timestamp(4107542400 * SECOND, "2100-03-01T00:00:00.000Z");
	check_timestamp(INT64_MAX, "9999-12-31T23:59:59.999Z");
	check_timestamp(INT64_MIN, "0000-01-01T00:00:00.000Z");
	check_timestamp(INT64_C(253402300799999999), "9999-12-31T23:59:59.999Z");
	check_timestamp(INT64_C(-62135596800) * SECOND, "0001-01-01T00:00:00.000Z");

	uint64_t seed = 3;

	for (int i = 0; i < 5000; i++)
	{
		/* 0001 to 9999, compared with the C library. */
		const int64_t seconds =
			(int64_t) (unit_random(&seed) % UINT64_C(315537897600)) - INT64_C(62135596800);
		const time_t time = (time_t) seconds;
		struct tm tm;
		char expected[64];

		gmtime_r(&time, &tm);
		snprintf(expected, sizeof(expected), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
				 tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
				 i % 1000);
		check_timestamp(seconds * SECOND + i % 1000 * MS, expected);
	}
}

/* Without data, and made once. */
static void
test_thin_body(void)
{
	const char *const datas[] = {"{\"a\":1,\"data\":{}}", "[]", NULL};
	BmwEventSource source = {.id = id, .type = "a.b", .message_id = "\",\"data\":\""};

	for (int i = 0; i < 3; i++)
	{
		BmwEvent *event;
		BmwBody body;
		BmwBody again;

		source.data = datas[i];
		source.data_len = datas[i] != NULL ? strlen(datas[i]) : 0;
		event = bmw_event_create(&source);
		CHECK(bmw_event_body(event, true, &body));
		CHECK_TEXT(body.bytes, "{\"id\":\"" ID_TEXT
							   "\",\"type\":\"a.b\",\"timestamp\":\"1970-01-01T00:00:00.000Z\","
							   "\"message_id\":\"\\\",\\\"data\\\":\\\"\"}");
		CHECK_INT(body.length, strlen(body.bytes));
		CHECK(bmw_event_body(event, true, &again) && again.bytes == body.bytes);
		CHECK(bmw_event_body(event, false, &body));
		CHECK(body.bytes == event->body && body.length == event->body_len);
		bmw_event_release(event);
	}
}

static void
test_references(void)
{
	const BmwEventSource source = {.id = id, .type = "a.b", .data = "{}", .data_len = 2};
	BmwEvent *event = bmw_event_create(&source);

	CHECK_INT(event->references, 1);
	CHECK(bmw_event_retain(event) == event);
	CHECK_INT(event->references, 2);
	bmw_event_release(event);
	CHECK_INT(event->references, 1);
	CHECK_INT(event->body[0], '{');
	/* The leak and use-after-free checks of ASan judge the rest. */
	bmw_event_release(event);
	bmw_event_release(NULL);
}

int
main(void)
{
	test_body();
	test_escapes();
	test_timestamps();
	test_thin_body();
	test_references();
	return unit_finish("event");
}
