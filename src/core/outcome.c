/*
 * core/outcome.c - what a finished attempt means.
 *
 * The only file that knows HTTP status numbers. A status alone says nothing: a
 * broken transfer can carry a 200 (reset mid-body, bad chunk), so success and
 * "gone" need a clean transport too. Retry-After and the wish to slow down are
 * believed even when the body broke off, because the headers had arrived.
 */
#include "core/outcome.h"

#include <stddef.h>

#define STATUS_GONE 410
#define STATUS_TOO_MANY_REQUESTS 429
#define STATUS_BAD_GATEWAY 502
#define STATUS_UNAVAILABLE 503
#define STATUS_GATEWAY_TIMEOUT 504

#define LOCAL_RETRY_US INT64_C(1000000)

static bool is_success(const BmwAttempt *attempt);
static const char *error_class(BmwTransport transport);
static BmwWindowEnd end_of(const BmwAttempt *attempt);
static BmwWindowEnd end_of_transport(BmwTransport transport);
static int64_t retry_after_us(const BmwAttempt *attempt);
static int64_t hold_us(const BmwAttempt *attempt);
static BmwVerdict decide_failure(const BmwAttempt *attempt, const BmwSchedule *schedule,
								 int64_t *retry_at_us);

BmwOutcome
bmw_outcome_decide(const BmwAttempt *attempt, const BmwSchedule *schedule)
{
	if (is_success(attempt))
		return (BmwOutcome){.verdict = BMW_VERDICT_DELIVERED, .end = BMW_WINDOW_SUCCESS};

	BmwOutcome outcome = {.error_class = error_class(attempt->transport), .end = BMW_WINDOW_VOID};

	if (attempt->transport == BMW_TRANSPORT_ABORTED || attempt->transport == BMW_TRANSPORT_CROWDED)
	{
		outcome.verdict = BMW_VERDICT_ABORTED;
		return outcome;
	}
	if (attempt->transport == BMW_TRANSPORT_LOCAL)
	{
		outcome.verdict = BMW_VERDICT_LOCAL;
		outcome.retry_at_us = attempt->now_us + LOCAL_RETRY_US;
		return outcome;
	}

	outcome.verdict = decide_failure(attempt, schedule, &outcome.retry_at_us);
	outcome.end = end_of(attempt);
	outcome.hold_us = hold_us(attempt);
	return outcome;
}

static bool
is_success(const BmwAttempt *attempt)
{
	return attempt->transport == BMW_TRANSPORT_OK && attempt->http_status >= 200 &&
		   attempt->http_status <= 299;
}

static BmwVerdict
decide_failure(const BmwAttempt *attempt, const BmwSchedule *schedule, int64_t *retry_at_us)
{
	if (attempt->transport == BMW_TRANSPORT_OK && attempt->http_status == STATUS_GONE)
		return BMW_VERDICT_GONE;

	const int64_t delay = bmw_backoff_delay(schedule, attempt->attempts_made, attempt->random);

	if (delay == BMW_BACKOFF_EXHAUSTED)
		return BMW_VERDICT_GIVE_UP;

	const int64_t asked = retry_after_us(attempt);

	*retry_at_us = attempt->now_us + (delay > asked ? delay : asked);
	return BMW_VERDICT_RETRY;
}

static const char *
error_class(BmwTransport transport)
{
	switch (transport)
	{
		case BMW_TRANSPORT_OK:
			return "http_status";
		case BMW_TRANSPORT_NAME:
			return "name_resolution";
		case BMW_TRANSPORT_CONNECT:
			return "connect";
		case BMW_TRANSPORT_PROXY:
			return "proxy";
		case BMW_TRANSPORT_TLS:
			return "tls";
		case BMW_TRANSPORT_TIMEOUT:
			return "timeout";
		case BMW_TRANSPORT_RESET:
			return "reset";
		case BMW_TRANSPORT_PROTOCOL:
			return "protocol";
		case BMW_TRANSPORT_TOO_LARGE:
			return "response_too_large";
		case BMW_TRANSPORT_BLOCKED:
			return "blocked_address";
		case BMW_TRANSPORT_LOCAL:
		case BMW_TRANSPORT_CROWDED:
		case BMW_TRANSPORT_ABORTED:
			return "local";
	}
	return "local";
}

/* Who names a time means the endpoint, not the request. */
static BmwWindowEnd
end_of(const BmwAttempt *attempt)
{
	switch (attempt->http_status)
	{
		case STATUS_TOO_MANY_REQUESTS:
			return BMW_WINDOW_LIMITED;
		case STATUS_UNAVAILABLE:
			return attempt->retry_after_us > 0 ? BMW_WINDOW_LIMITED : BMW_WINDOW_OVERLOAD;
		case STATUS_BAD_GATEWAY:
		case STATUS_GATEWAY_TIMEOUT:
			return BMW_WINDOW_OVERLOAD;
		default:
			return end_of_transport(attempt->transport);
	}
}

static BmwWindowEnd
end_of_transport(BmwTransport transport)
{
	switch (transport)
	{
		case BMW_TRANSPORT_NAME:
		case BMW_TRANSPORT_CONNECT:
		case BMW_TRANSPORT_PROXY:
		case BMW_TRANSPORT_TLS:
		case BMW_TRANSPORT_TIMEOUT:
		case BMW_TRANSPORT_RESET:
			return BMW_WINDOW_UNANSWERED;
		case BMW_TRANSPORT_OK:
		case BMW_TRANSPORT_PROTOCOL:
		case BMW_TRANSPORT_TOO_LARGE:
		case BMW_TRANSPORT_BLOCKED:
			return BMW_WINDOW_FAILURE;
		case BMW_TRANSPORT_LOCAL:
		case BMW_TRANSPORT_CROWDED:
		case BMW_TRANSPORT_ABORTED:
			break;
	}
	return BMW_WINDOW_VOID;
}

/* 0 when absent: a receiver may ask for later, never for sooner. */
static int64_t
retry_after_us(const BmwAttempt *attempt)
{
	if (attempt->retry_after_us < 0)
		return 0;
	return attempt->retry_after_us < BMW_RETRY_AFTER_MAX_US ? attempt->retry_after_us
															: BMW_RETRY_AFTER_MAX_US;
}

static int64_t
hold_us(const BmwAttempt *attempt)
{
	/* Other statuses speak for one request, not for the endpoint. */
	if (attempt->http_status != STATUS_TOO_MANY_REQUESTS &&
		attempt->http_status != STATUS_UNAVAILABLE)
		return 0;
	return retry_after_us(attempt);
}
