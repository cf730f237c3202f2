/*
 * core/window.h - how many requests an endpoint may have in flight: a window that tunes itself.
 *
 * It finds out what the receiver can do, without a setting:
 *
 *   doubles from 4 while nothing speaks against it, later grows slowly
 *   shrinks when answers come late, or when more of them say 503 (502, 504, or none
 *   comes): and then sees. If that made it better, the requests were too many. If
 *   not, it was not their number: back to the window before, and what was seen is
 *   the new normal. So a receiver that refuses a share of all requests is sent as
 *   many as one that is well, and one that is overloaded just as many as it can take
 *   from time to time it shrinks without a reason, to see the same
 *   paces (pace.h) a receiver that limits the rate
 *   asks single questions (breaker.h) while nothing is answered
 *
 * Pure; times are microseconds of any clock that only moves on.
 */
#ifndef BMW_CORE_WINDOW_H
#define BMW_CORE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "core/breaker.h"
#include "core/pace.h"

/*
 * What is seen of some dozen requests that were started one after the other since the
 * last change: all of them, because those that end first are not like the others.
 */
typedef struct BmwWindowRound
{
	int64_t from_us; /* started then or later, */
	int64_t to_us;	 /* and not later than this; INT64_MAX: more are wanted */
	double sum_us;	 /* of the latencies of successes */
	double square_us;
	int started;
	int good;
	int bad;
	int other; /* say nothing */
	int most;  /* in flight */
} BmwWindowRound;

/* Why it was made smaller, and what was seen before. */
typedef struct BmwWindowTest
{
	bool is_on;
	bool is_doubling; /* before */
	double size;
	double late_us;	 /* 0: not for lateness */
	double share;	 /* 0: not for refusals */
	double accepted; /* a second */
	BmwPace *pace;	 /* before, of a test for refusals; NULL otherwise, or without memory */
} BmwWindowTest;

typedef struct BmwWindow
{
	double size;
	int max;
	bool is_doubling;
	double base_us;	   /* latency when the requests are not too many; 0: not known */
	double base_share; /* of requests that fail whatever is done */
	int64_t tested_us; /* the last time that it was made smaller to see */
	int64_t test_after_us;
	int64_t failing_us; /* since when is it measured what a receiver accepts that refuses; 0: not */
	BmwWindowRound round;
	BmwWindowTest test;
	BmwPace pace;
	BmwBreaker breaker;
} BmwWindow;

/* How a request ended, as far as it says something about their number. */
typedef enum BmwWindowEnd
{
	BMW_WINDOW_SUCCESS,
	BMW_WINDOW_FAILURE,	 /* an answer that says nothing about it */
	BMW_WINDOW_OVERLOAD, /* 502, 503, 504 */
	BMW_WINDOW_LIMITED,	 /* 429 */
	BMW_WINDOW_UNANSWERED,
	BMW_WINDOW_VOID /* broken off by us: it says nothing at all */
} BmwWindowEnd;

/* Why it is not as large as it may be. */
typedef enum BmwWindowReason
{
	BMW_WINDOW_FREE,	 /* as large as it may be, or nobody has needed more */
	BMW_WINDOW_LATE,	 /* with more, answers come late */
	BMW_WINDOW_REFUSING, /* 502, 503, 504, or no answer, to a part of the requests */
	BMW_WINDOW_LIMITING, /* 429, or 503 with Retry-After */
	BMW_WINDOW_SILENT	 /* nothing is answered: single questions */
} BmwWindowReason;

/* Begins anew, or with zeroed memory. max: 1 or more. */
extern void bmw_window_begin(BmwWindow *window, int max, int64_t now_us);
extern void bmw_window_end(BmwWindow *window); /* frees what it has */
extern void bmw_window_set_max(BmwWindow *window, int max);
/*
 * When may the next request start: now or in the past: at once; INT64_MAX: not
 * before one has ended.
 */
extern int64_t bmw_window_next_us(const BmwWindow *window, int in_flight);
/* in_flight: without this one. */
extern void bmw_window_started(BmwWindow *window, int in_flight, int64_t now_us);
/* in_flight: without this one. */
extern void bmw_window_finished(BmwWindow *window, BmwWindowEnd end, int in_flight,
								int64_t started_us, int64_t now_us);
/* Requests in flight. */
extern int bmw_window_allowed(const BmwWindow *window);
extern BmwWindowReason bmw_window_reason(const BmwWindow *window);
/* The clock was set back by so much. */
extern void bmw_window_shift(BmwWindow *window, int64_t by_us);

#endif
