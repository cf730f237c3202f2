/*
 * core/retry_after.c - how long a response asks us to wait.
 *
 * Not libcurl's own reading (CURLINFO_RETRY_AFTER), which ends at six hours in
 * newer versions; only its reading of dates.
 */
#include "core/retry_after.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "core/outcome.h"

static int64_t seconds_until(const char *value, int64_t now_s);

int64_t
bmw_retry_after_parse(const char *value, int64_t now_s)
{
	const int64_t seconds = seconds_until(value, now_s);

	if (seconds <= 0)
		return BMW_RETRY_AFTER_NONE;
	return seconds < BMW_RETRY_AFTER_MAX_US / 1000000 ? seconds * 1000000 : BMW_RETRY_AFTER_MAX_US;
}

/* A number, as large as can be, or a date; 0: neither. */
static int64_t
seconds_until(const char *value, int64_t now_s)
{
	if (value[strspn(value, "0123456789")] == '\0')
		return strtoll(value, NULL, 10);

	const time_t date = curl_getdate(value, NULL);

	return date == -1 ? 0 : (int64_t) date - now_s;
}
