/*
 * core/window_internal.h - what window.c, window_round.c and window_test.c share; nobody else includes it.
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

/* The next test without a reason, at the earliest. */
#define BMW_WINDOW_TEST_AFTER_US INT64_C(4000000)

extern void bmw_window_round_begin(BmwWindow *window, int64_t now_us);
/* A request is started; it is one of in_flight. */
extern void bmw_window_round_join(BmwWindow *window, int in_flight, int64_t now_us);
/* One of the round has ended. */
extern void bmw_window_round_count(BmwWindow *window, BmwWindowEnd end, int64_t latency_us);
extern bool bmw_window_round_is_complete(const BmwWindow *window, int64_t now_us);
extern BmwFindings bmw_window_round_end(BmwWindow *window, int64_t now_us);

/* window.c */
extern void bmw_window_set_size(BmwWindow *window, double size);
extern void bmw_window_learn(BmwWindow *window, const BmwFindings *findings);

/* window_test.c: what the findings say decides how much smaller it is made. */
extern void bmw_window_test_begin(BmwWindow *window, const BmwFindings *findings, int64_t now_us);
extern void bmw_window_test_conclude(BmwWindow *window, const BmwFindings *findings,
									 int64_t now_us);
/* Nobody asks what it has shown. */
extern void bmw_window_test_end(BmwWindow *window);

#endif
