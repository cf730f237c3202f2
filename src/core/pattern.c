/*
 * core/pattern.c - event types and the patterns that subscribe to them.
 *
 * Validity is decided once, when a type or a pattern is written; matching runs
 * for every event and candidate, and trusts it. A star is special only as the
 * whole pattern or after the last dot; there is no other wildcard.
 */
#include "core/pattern.h"

#include <string.h>

static int count_labels(const char *text, size_t len);

bool
bmw_event_type_is_valid(const char *type, size_t len)
{
	return len <= BMW_EVENT_TYPE_MAX_BYTES && count_labels(type, len) >= 2;
}

bool
bmw_event_type_is_operational(const char *type)
{
	return strncmp(type, "webhook.", 8) == 0 || strncmp(type, "endpoint.", 9) == 0 ||
		   strncmp(type, "delivery.", 9) == 0;
}

bool
bmw_pattern_is_valid(const char *pattern, size_t len)
{
	if (len == 1 && pattern[0] == '*')
		return true;
	if (len > BMW_EVENT_TYPE_MAX_BYTES)
		return false;
	if (len > 2 && pattern[len - 2] == '.' && pattern[len - 1] == '*')
		return count_labels(pattern, len - 2) >= 1;
	return bmw_event_type_is_valid(pattern, len);
}

bool
bmw_pattern_matches(const char *pattern, const char *type)
{
	const size_t len = strlen(pattern);

	if (len == 1)
		return !bmw_event_type_is_operational(type);
	if (pattern[len - 1] != '*')
		return strcmp(pattern, type) == 0;
	/* Up to the star, with the dot: message.* does not match messages.sent. */
	return strncmp(pattern, type, len - 1) == 0;
}

/* How many dot-separated [a-z0-9_]+; 0 when one is empty or has another byte. */
static int
count_labels(const char *text, size_t len)
{
	int labels = 1;
	size_t label_len = 0;

	for (size_t i = 0; i < len; i++)
	{
		const char c = text[i];

		if (c == '.' && label_len > 0)
		{
			labels++;
			label_len = 0;
		}
		else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')
			label_len++;
		else
			return 0;
	}
	return label_len > 0 ? labels : 0;
}
