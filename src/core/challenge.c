/*
 * core/challenge.c - what an endpoint answers to its challenge.
 */
#include "core/challenge.h"

#include <stdio.h>
#include <string.h>

static bool is_made_of(const char *answer, size_t length, const char *const *parts);
static void skip_space(const char **at, const char *end);

/* Nothing that a value is made of is escaped in JSON. */
bool
bmw_challenge_is_met(const char *value, const char *answer, size_t length)
{
	const size_t size = strlen(value) + 3;
	char quoted[BMW_CHALLENGE_SIZE + 2];
	const char *const alone[] = {value, NULL};
	const char *const object[] = {"{", "\"challenge\"", ":", quoted, "}", NULL};

	if (size > sizeof(quoted))
		return false;
	snprintf(quoted, sizeof(quoted), "\"%s\"", value);
	return is_made_of(answer, length, alone) || is_made_of(answer, length, object);
}

/* Of these parts, with white space around them or without, and of nothing else. */
static bool
is_made_of(const char *answer, size_t length, const char *const *parts)
{
	const char *end = answer + length;

	skip_space(&answer, end);
	for (; *parts != NULL; parts++)
	{
		const size_t size = strlen(*parts);

		if ((size_t) (end - answer) < size || memcmp(answer, *parts, size) != 0)
			return false;
		answer += size;
		skip_space(&answer, end);
	}
	return answer == end;
}

static void
skip_space(const char **at, const char *end)
{
	while (*at < end && memchr(" \t\r\n", **at, 4) != NULL)
		(*at)++;
}
