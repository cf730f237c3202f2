/*
 * core/outcome.h - what a finished attempt means. The only place that knows
 * HTTP status numbers.
 *
 * A pure function of the transport's result, the HTTP status, Retry-After and
 * the schedule. Success is a clean transport and 2xx. 3xx is never followed.
 * 410 says that the endpoint is gone. 429, 502, 503, 504 and no answer say
 * something about the number of requests (window.h). A local fault (no descriptor, no memory) is no attempt.
 */
#ifndef BMW_CORE_OUTCOME_H
#define BMW_CORE_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

#include "core/backoff.h"
#include "core/window.h"

/* How the transfer ended, whatever the HTTP status. */
typedef enum BmwTransport
{
	BMW_TRANSPORT_OK,
	BMW_TRANSPORT_NAME, /* name resolution */
	BMW_TRANSPORT_CONNECT,
	BMW_TRANSPORT_PROXY, /* the proxy: not there, or it refused */
	BMW_TRANSPORT_TLS,
	BMW_TRANSPORT_TIMEOUT,
	BMW_TRANSPORT_RESET,	 /* broken off, also an empty reply */
	BMW_TRANSPORT_PROTOCOL,	 /* not HTTP, or broken HTTP */
	BMW_TRANSPORT_TOO_LARGE, /* headers or body over our ceiling */
	BMW_TRANSPORT_BLOCKED,	 /* the address policy refused */
	BMW_TRANSPORT_LOCAL,	 /* our fault: descriptors, memory */
	BMW_TRANSPORT_CROWDED,	 /* not sent: as many requests go to its address as may */
	BMW_TRANSPORT_ABORTED	 /* by us: its endpoint was disabled or deleted */
} BmwTransport;

typedef enum BmwVerdict
{
	BMW_VERDICT_DELIVERED,
	BMW_VERDICT_RETRY,	 /* at retry_at_us */
	BMW_VERDICT_GIVE_UP, /* the schedule is exhausted */
	BMW_VERDICT_GONE,	 /* give up, and disable the endpoint */
	BMW_VERDICT_LOCAL,	 /* not an attempt: send again at retry_at_us */
	BMW_VERDICT_ABORTED	 /* not an attempt: send again when its endpoint may be sent to */
} BmwVerdict;

#define BMW_RETRY_AFTER_NONE (-1)
#define BMW_RETRY_AFTER_MAX_US (INT64_C(86400) * 1000000)

typedef struct BmwAttempt
{
	BmwTransport transport;
	int http_status;		/* 0 when there was none */
	int64_t retry_after_us; /* from the response, BMW_RETRY_AFTER_NONE when absent */
	int attempts_made;		/* this one included */
	int64_t now_us;
	double random; /* [0, 1), for the jitter */
} BmwAttempt;

typedef struct BmwOutcome
{
	BmwVerdict verdict;
	const char *error_class; /* constant; NULL when delivered */
	int64_t retry_at_us;	 /* for RETRY and LOCAL */
	BmwWindowEnd end;		 /* what it says about the number of requests */
	int64_t hold_us;		 /* > 0: Retry-After asks the whole lane to wait this long */
} BmwOutcome;

/*
 * error_class: name_resolution, connect, proxy, tls, timeout, reset, protocol,
 * response_too_large, blocked_address, local, or http_status when the transport
 * was fine. retry_at_us = now + the later of the jittered delay and Retry-After
 * (negative counts as absent, capped at BMW_RETRY_AFTER_MAX_US). hold_us is the
 * capped Retry-After of a 429 or 503, else 0. LOCAL: retry in 1 s. GONE needs a
 * clean transport; a status that speaks of too much, and Retry-After, count whatever the transport.
 */
extern BmwOutcome bmw_outcome_decide(const BmwAttempt *attempt, const BmwSchedule *schedule);

#endif
