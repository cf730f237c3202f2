/*
 * fuzz_event.c - whatever the texts of an event, its body is one JSON object of
 * the expected shape: strings end where they should.
 *
 * Lines: type, application, channel, message id, microseconds; data is null.
 */
#include "core/event.h"

#include "fuzz.h"

/* Steps over one string, from quote to quote. */
static const char *
skip_string(const char *c)
{
	REQUIRE(*c == '"');
	for (c++; *c != '"'; c++)
	{
		REQUIRE((unsigned char) *c >= 0x20);
		if (*c == '\\')
		{
			c++;
			REQUIRE(*c != '\0' && strchr("\"\\/bfnrtu", *c) != NULL);
		}
	}
	return c + 1;
}

/* {"name":"text",...,"data":null} */
static int
count_members(const char *c)
{
	int members = 0;

	for (; *c != '}'; members++)
	{
		REQUIRE(*c == (members == 0 ? '{' : ','));
		c = skip_string(c + 1);
		REQUIRE(*c == ':');
		c = strncmp(c, ":null", 5) == 0 ? c + 5 : skip_string(c + 1);
	}
	REQUIRE(c[1] == '\0');
	return members;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *lines[5];
	BmwEventSource source = {.data = "null", .data_len = 4};

	for (int i = 0; i < 5; i++)
		lines[i] = fuzz_line(&data, &size);
	source.type = lines[0];
	source.application = lines[1][0] != '\0' ? lines[1] : NULL;
	source.channel = lines[2][0] != '\0' ? lines[2] : NULL;
	source.message_id = lines[3][0] != '\0' ? lines[3] : NULL;
	source.timestamp_us = strtoll(lines[4], NULL, 10);

	BmwEvent *event = bmw_event_create(&source);

	REQUIRE(event != NULL && event->body_len == strlen(event->body));
	REQUIRE(count_members(event->body) == 4 + (source.application != NULL) +
											  (source.channel != NULL) +
											  (source.message_id != NULL));
	bmw_event_release(event);
	for (int i = 0; i < 5; i++)
		free(lines[i]);
	return 0;
}
