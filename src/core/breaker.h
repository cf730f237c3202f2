/*
 * core/breaker.h - the circuit breaker of an endpoint.
 *
 * Closed: requests start as the window says. It opens when nothing is answered: all
 * that is open hangs, or one request after the other ends without an answer (or with
 * that of a proxy that has nobody behind it). Then single requests are let through,
 * as probes, at intervals that grow with the outage from 0.1 s to 10 s, and the more
 * slowly the more probes hang already. The first answer closes it.
 *
 * What hung when it closed does not count as in flight until it ends: places for
 * it are limited elsewhere.
 */
#ifndef BMW_CORE_BREAKER_H
#define BMW_CORE_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

/* Zeroed memory is closed. */
typedef struct BmwBreaker
{
	int64_t opened_us; /* 0: closed */
	int64_t probe_us;  /* the last probe */
	int64_t quiet_us;  /* since when has nothing ended, though something was in flight */
	int64_t stuck_us;  /* what started before, hangs */
	int64_t probes_us; /* what started then or later, is a probe */
	int64_t
		missed_us; /* the first of the misses in a row; an answer counts when it was asked for later */
	int stuck;	   /* requests */
	int probes;	   /* of these */
	int misses;	   /* in a row */
	float run;	   /* misses between two answers, on average */
} BmwBreaker;

/* How a request ended. */
typedef enum BmwAnswer
{
	BMW_ANSWER_UNKNOWN,
	BMW_ANSWER_NONE,
	BMW_ANSWER_BUSY, /* of a proxy, perhaps, that found nobody */
	BMW_ANSWER_SOME
} BmwAnswer;

static inline bool
bmw_breaker_is_open(const BmwBreaker *breaker)
{
	return breaker->opened_us != 0;
}

/* Open: when may the next probe start? */
extern int64_t bmw_breaker_probe_us(const BmwBreaker *breaker);
/* Closed: when is what is in flight to be taken for hanging? INT64_MAX: nothing is. */
extern int64_t bmw_breaker_hangs_us(const BmwBreaker *breaker, int in_flight, int64_t latency_us);
/* in_flight: without this one. */
extern void bmw_breaker_started(BmwBreaker *breaker, int in_flight, int64_t latency_us,
								int64_t now_us);
/* in_flight: without this one. Returns for how long it was open when this has closed it, else 0. */
extern int64_t bmw_breaker_finished(BmwBreaker *breaker, BmwAnswer answer, int in_flight,
									int64_t latency_us, int64_t started_us, int64_t now_us);
extern void bmw_breaker_shift(BmwBreaker *breaker, int64_t by_us);

#endif
