/*
 * core/window_internal.h - what window.c and window_round.c share; nobody else includes it.
 */
#ifndef BMW_CORE_WINDOW_INTERNAL_H
#define BMW_CORE_WINDOW_INTERNAL_H

#include "core/window.h"

/* A busy dispatcher itself takes so long to read an answer: less says nothing about the receiver. */
#define BMW_WINDOW_OURS_US 5e3

/* What a round has shown. */
typedef struct BmwFindings
{
	double mean_us; /* latency of successes; 0: none */
	double error_us;
	double share; /* of requests that were refused, or not answered */
	double share_error;
	double accepted; /* a second */
	bool is_late;
	bool is_failing;
} BmwFindings;

extern void bmw_window_round_begin(BmwWindow *window, int64_t now_us);
/* A request is started; it is one of in_flight. */
extern void bmw_window_round_join(BmwWindow *window, int in_flight, int64_t now_us);
/* One of the round has ended. */
extern void bmw_window_round_count(BmwWindow *window, BmwWindowEnd end, int64_t latency_us);
extern bool bmw_window_round_is_complete(const BmwWindow *window, int64_t now_us);
extern BmwFindings bmw_window_round_end(BmwWindow *window, int64_t now_us);

#endif
