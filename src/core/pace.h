/*
 * core/pace.h - the rate at which a receiver that limits it is sent to.
 *
 * Nothing is paced until a receiver refuses requests for their number: with 429,
 * with Retry-After, or so that fewer are refused when fewer are sent (window.h finds
 * that out). Then requests start evenly, a little below the rate that it accepted
 * (cubic growth, as in TCP CUBIC: back to that rate in 8 s, careful around it, quicker
 * beyond). The pace ends when it no longer limits anything. A receiver that accepted nothing at all for a while
 * and does again is soon sent what it accepted before: twice as much whenever it has answered to the last rate.
 *
 * Some receivers refuse a part of all requests, however few they are. That is seen when it goes on below the
 * rate that was accepted; then single refusals say nothing, and only many among some dozen requests do.
 *
 * Pure; times are microseconds of any clock that only moves on.
 */
#ifndef BMW_CORE_PACE_H
#define BMW_CORE_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* Zeroed memory paces nothing. */
typedef struct BmwPace
{
	double rate;		/* a second; 0: not paced */
	double peak;		/* that was accepted when the rate was last lowered */
	double accepted;	/* successes a second, as last measured; 0: not yet */
	double before;		/* accepted a second, before nothing was any more; 0: something is */
	int64_t lowered_us; /* when the rate was last lowered */
	int64_t doubled_us; /* or doubled */
	int64_t next_us;	/* the next request may start */
	int64_t meter_us;	/* since when are they counted */
	int64_t used_us;	/* when the rate was last made use of */
	int successes;
	int served; /* and refused: of some dozen requests */
	int refused;
	int below; /* requests since the rate was lowered, below what was accepted */
	int below_refused;
	double usual;	   /* share of refusals, whatever the rate */
	bool is_asked_for; /* by 429 */
} BmwPace;

/* When may the next request start; in the past: now. */
extern int64_t bmw_pace_next_us(const BmwPace *pace);
extern void bmw_pace_started(BmwPace *pace, int64_t now_us);
/* A request succeeded. latency_us: what its receiver needs, as far as known. */
extern void bmw_pace_succeeded(BmwPace *pace, int64_t latency_us, int64_t now_us);
/*
 * One was refused for the number. guess: the rate to assume when nothing was
 * measured. Refusals within a second, or twice the latency, count once.
 */
extern void bmw_pace_refused(BmwPace *pace, double guess, int64_t latency_us, int64_t now_us);
/* Successes a second from then on are measured. */
extern void bmw_pace_measure(BmwPace *pace, int64_t from_us);
/* Were they, for long enough? */
extern bool bmw_pace_is_measured(const BmwPace *pace, int64_t latency_us, int64_t now_us);
/* Successes a second, as last measured. */
extern double bmw_pace_accepted(const BmwPace *pace, int64_t now_us);
/* So many a second are accepted, as somebody else has found out: a little less from now on. */
extern void bmw_pace_limit(BmwPace *pace, double accepted, int64_t latency_us, int64_t now_us);
/* It does not help: it ends, unless it was asked for. */
extern void bmw_pace_doubt(BmwPace *pace);
extern void bmw_pace_shift(BmwPace *pace, int64_t by_us);

#endif
