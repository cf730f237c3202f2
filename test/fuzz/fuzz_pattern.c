/*
 * fuzz_pattern.c - patterns match what a plain reading of their definition says.
 *
 * Lines: pattern, event type, and a name of an application, channel or message.
 */
#include "core/pattern.h"

#include "core/name.h"
#include "fuzz.h"

static void
require_is_type(const char *type)
{
	const size_t len = strlen(type);

	REQUIRE(len >= 3 && len <= BMW_EVENT_TYPE_MAX_BYTES && strchr(type, '.') != NULL);
	REQUIRE(strspn(type, "abcdefghijklmnopqrstuvwxyz0123456789_.") == len);
	REQUIRE(type[0] != '.' && type[len - 1] != '.' && strstr(type, "..") == NULL);
}

static bool
should_match(const char *pattern, const char *type)
{
	const char *star = strchr(pattern, '*');

	if (star == NULL)
		return strcmp(pattern, type) == 0;
	REQUIRE(star[1] == '\0' && (star == pattern || star[-1] == '.'));
	if (star == pattern)
		return !bmw_event_type_is_operational(type);
	return strncmp(pattern, type, (size_t) (star - pattern)) == 0;
}

static void
require_is_name(const char *name)
{
	if (bmw_name_is_channel(name))
		REQUIRE(bmw_name_is_valid(name) && strlen(name) <= BMW_CHANNEL_MAX_BYTES);
	if (bmw_name_is_valid(name))
		REQUIRE(name[0] != '\0' && strlen(name) <= BMW_NAME_MAX_BYTES &&
				strpbrk(name, "\r\n\t\x1B\x7F") == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *pattern = fuzz_line(&data, &size);
	char *type = fuzz_line(&data, &size);
	char *name = fuzz_line(&data, &size);
	const bool is_type = bmw_event_type_is_valid(type, strlen(type));

	if (is_type)
		require_is_type(type);
	if (is_type)
		REQUIRE(bmw_pattern_is_valid(type, strlen(type)) &&
				bmw_pattern_matches(type, type) == true);
	if (is_type && bmw_pattern_is_valid(pattern, strlen(pattern)))
		REQUIRE(bmw_pattern_matches(pattern, type) == should_match(pattern, type));
	require_is_name(name);
	free(pattern);
	free(type);
	free(name);
	return 0;
}
