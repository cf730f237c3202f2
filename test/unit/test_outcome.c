/*
 * test_outcome.c - all transports by many statuses, Retry-After, the schedule's end.
 */
#include "core/outcome.h"

#include "unit.h"

#define SECOND INT64_C(1000000)
#define NOW (INT64_C(1700000000) * SECOND)

static const int64_t delays[] = {5 * SECOND, 300 * SECOND};
static const BmwSchedule schedule = {delays, 2};

static const char *const classes[] = {
	[BMW_TRANSPORT_OK] = "http_status",
	[BMW_TRANSPORT_NAME] = "name_resolution",
	[BMW_TRANSPORT_PROXY] = "proxy",
	[BMW_TRANSPORT_CONNECT] = "connect",
	[BMW_TRANSPORT_TLS] = "tls",
	[BMW_TRANSPORT_TIMEOUT] = "timeout",
	[BMW_TRANSPORT_RESET] = "reset",
	[BMW_TRANSPORT_PROTOCOL] = "protocol",
	[BMW_TRANSPORT_TOO_LARGE] = "response_too_large",
	[BMW_TRANSPORT_BLOCKED] = "blocked_address",
	[BMW_TRANSPORT_LOCAL] = "local",
};

static const int statuses[] = {
	0,	 99,  100, 101, 103, 199, 200, 201, 202, 204, 206, 250, 299, 300, 301, 302,
	304, 307, 308, 400, 401, 403, 404, 408, 409, 410, 411, 413, 421, 422, 425, 428,
	429, 430, 451, 499, 500, 501, 502, 503, 504, 505, 511, 520, 599, 600, 999,
};

static BmwOutcome
decide(BmwTransport transport, int http_status, int64_t retry_after_us, int attempts_made)
{
	const BmwAttempt attempt = {
		.transport = transport,
		.http_status = http_status,
		.retry_after_us = retry_after_us,
		.attempts_made = attempts_made,
		.now_us = NOW,
		.random = 0.5,
	};

	return bmw_outcome_decide(&attempt, &schedule);
}

static bool
is_delivered(const BmwOutcome *outcome)
{
	return outcome->verdict == BMW_VERDICT_DELIVERED && outcome->error_class == NULL &&
		   outcome->retry_at_us == 0 && outcome->end == BMW_WINDOW_SUCCESS && outcome->hold_us == 0;
}

/* With Retry-After. A status counts more than how the transfer ended. */
static BmwWindowEnd
expected_end(BmwTransport transport, int http_status)
{
	if (http_status == 429 || http_status == 503)
		return BMW_WINDOW_LIMITED;
	if (http_status == 502 || http_status == 504)
		return BMW_WINDOW_OVERLOAD;
	return transport >= BMW_TRANSPORT_NAME && transport <= BMW_TRANSPORT_RESET
			   ? BMW_WINDOW_UNANSWERED
			   : BMW_WINDOW_FAILURE;
}

/* The expectation is written apart from the code: by ranges and sets. */
static void
check_pair(BmwTransport transport, int http_status)
{
	const BmwOutcome outcome = decide(transport, http_status, 60 * SECOND, 1);
	const bool has_hold = http_status == 429 || http_status == 503;

	if (transport == BMW_TRANSPORT_OK && http_status / 100 == 2)
	{
		CHECK(is_delivered(&outcome));
		return;
	}
	CHECK_TEXT(outcome.error_class, classes[transport]);
	if (transport == BMW_TRANSPORT_LOCAL)
	{
		CHECK_INT(outcome.verdict, BMW_VERDICT_LOCAL);
		CHECK_INT(outcome.retry_at_us, NOW + SECOND);
		CHECK_INT(outcome.end, BMW_WINDOW_VOID);
		CHECK_INT(outcome.hold_us, 0);
		return;
	}
	CHECK_INT(outcome.end, expected_end(transport, http_status));
	CHECK_INT(outcome.hold_us, has_hold ? 60 * SECOND : 0);
	if (transport == BMW_TRANSPORT_OK && http_status == 410)
	{
		CHECK_INT(outcome.verdict, BMW_VERDICT_GONE);
		return;
	}
	CHECK_INT(outcome.verdict, BMW_VERDICT_RETRY);
	CHECK_INT(outcome.retry_at_us, NOW + 60 * SECOND);
}

static void
test_all_pairs(void)
{
	for (int transport = BMW_TRANSPORT_OK; transport <= BMW_TRANSPORT_LOCAL; transport++)
	{
		for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
		{
			const int failures = unit_failures;

			check_pair((BmwTransport) transport, statuses[i]);
			if (unit_failures > failures)
				printf("  for transport %s, status %d\n", classes[transport], statuses[i]);
		}
	}
}

static void
test_retry_after(void)
{
	/* Never sooner than the schedule, never later than the cap. */
	CHECK_INT(decide(BMW_TRANSPORT_OK, 500, BMW_RETRY_AFTER_NONE, 1).retry_at_us, NOW + 5 * SECOND);
	CHECK_INT(decide(BMW_TRANSPORT_OK, 500, 0, 1).retry_at_us, NOW + 5 * SECOND);
	CHECK_INT(decide(BMW_TRANSPORT_OK, 429, INT64_MIN, 1).retry_at_us, NOW + 5 * SECOND);
	CHECK_INT(decide(BMW_TRANSPORT_OK, 429, INT64_MIN, 1).hold_us, 0);
	CHECK_INT(decide(BMW_TRANSPORT_OK, 429, 3 * SECOND, 1).retry_at_us, NOW + 5 * SECOND);
	CHECK_INT(decide(BMW_TRANSPORT_OK, 429, 3 * SECOND, 1).hold_us, 3 * SECOND);
	CHECK_INT(decide(BMW_TRANSPORT_OK, 503, 7 * SECOND, 1).retry_at_us, NOW + 7 * SECOND);
	CHECK_INT(decide(BMW_TRANSPORT_OK, 503, INT64_MAX, 1).retry_at_us,
			  NOW + BMW_RETRY_AFTER_MAX_US);
	CHECK_INT(decide(BMW_TRANSPORT_OK, 503, INT64_MAX, 1).hold_us, BMW_RETRY_AFTER_MAX_US);
	CHECK_INT(decide(BMW_TRANSPORT_OK, 301, 7 * SECOND, 1).retry_at_us, NOW + 7 * SECOND);
	CHECK_INT(decide(BMW_TRANSPORT_OK, 500, BMW_RETRY_AFTER_NONE, 2).retry_at_us,
			  NOW + 300 * SECOND);
}

static void
test_exhausted(void)
{
	for (int transport = BMW_TRANSPORT_OK; transport < BMW_TRANSPORT_LOCAL; transport++)
	{
		const BmwOutcome outcome = decide((BmwTransport) transport, 503, 9 * SECOND, 3);

		CHECK_INT(outcome.verdict, BMW_VERDICT_GIVE_UP);
		CHECK_TEXT(outcome.error_class, classes[transport]);
		CHECK_INT(outcome.end, BMW_WINDOW_LIMITED);
		CHECK_INT(outcome.hold_us, 9 * SECOND);
	}
	CHECK_INT(decide(BMW_TRANSPORT_OK, 410, 0, 3).verdict, BMW_VERDICT_GONE);
	CHECK_INT(decide(BMW_TRANSPORT_OK, 200, 0, 3).verdict, BMW_VERDICT_DELIVERED);
	CHECK_INT(decide(BMW_TRANSPORT_LOCAL, 0, 0, 3).verdict, BMW_VERDICT_LOCAL);
	CHECK_INT(decide(BMW_TRANSPORT_ABORTED, 200, 0, 3).verdict, BMW_VERDICT_ABORTED);
	CHECK_INT(decide(BMW_TRANSPORT_ABORTED, 503, 0, 3).end, BMW_WINDOW_VOID);
	CHECK_INT(decide(BMW_TRANSPORT_OK, 503, BMW_RETRY_AFTER_NONE, 1).end, BMW_WINDOW_OVERLOAD);
	CHECK_INT(decide(BMW_TRANSPORT_ABORTED, 503, 60 * SECOND, 3).hold_us, 0);
}

int
main(void)
{
	test_all_pairs();
	test_retry_after();
	test_exhausted();
	return unit_finish("outcome");
}
