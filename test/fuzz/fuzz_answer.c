/*
 * fuzz_answer.c - what an answer means: never sooner than now, never later than a
 * day after the schedule.
 *
 * Lines: Retry-After, HTTP status, how the transfer ended, attempts made.
 */
#include "core/outcome.h"
#include "core/retry_after.h"

#include "fuzz.h"

#define NOW_S INT64_C(1700000000)

static int
line_as_number(const uint8_t **data, size_t *size)
{
	char *line = fuzz_line(data, size);
	const int number = (int) (strtol(line, NULL, 10) % 1000);

	free(line);
	return number < 0 ? -number : number;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int64_t delays_us[] = {100000, 1000000, 60000000};
	const BmwSchedule schedule = {delays_us, 3};
	char *retry_after = fuzz_line(&data, &size);
	BmwAttempt attempt = {.now_us = NOW_S * 1000000, .random = 0.5};

	attempt.retry_after_us = bmw_retry_after_parse(retry_after, NOW_S);
	free(retry_after);
	REQUIRE(attempt.retry_after_us == BMW_RETRY_AFTER_NONE ||
			(attempt.retry_after_us > 0 && attempt.retry_after_us <= BMW_RETRY_AFTER_MAX_US));
	attempt.http_status = line_as_number(&data, &size);
	attempt.transport = (BmwTransport) (line_as_number(&data, &size) % (BMW_TRANSPORT_LOCAL + 1));
	attempt.attempts_made = 1 + line_as_number(&data, &size);

	const BmwOutcome outcome = bmw_outcome_decide(&attempt, &schedule);

	REQUIRE((outcome.verdict == BMW_VERDICT_DELIVERED) == (outcome.error_class == NULL));
	REQUIRE(outcome.hold_us >= 0 && outcome.hold_us <= BMW_RETRY_AFTER_MAX_US);
	if (outcome.verdict == BMW_VERDICT_RETRY || outcome.verdict == BMW_VERDICT_LOCAL)
		REQUIRE(outcome.retry_at_us >= attempt.now_us &&
				outcome.retry_at_us <= attempt.now_us + BMW_RETRY_AFTER_MAX_US);
	return 0;
}
