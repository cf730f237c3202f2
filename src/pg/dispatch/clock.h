/*
 * pg/dispatch/clock.h - the clock that nobody sets: for how long something took, and when it is time again.
 */
#ifndef BMW_PG_DISPATCH_CLOCK_H
#define BMW_PG_DISPATCH_CLOCK_H

#include "postgres.h"

#include "portability/instr_time.h"

/* Microseconds since some moment. */
static inline int64
bmw_clock_us(void)
{
	instr_time now;

	INSTR_TIME_SET_CURRENT(now);
	return (int64) INSTR_TIME_GET_MICROSEC(now);
}

/*
 * So much time has passed by the clock that is set, and so much in truth; it has gone back by back_us.
 * One dispatcher of a database says so.
 */
extern void bmw_clock_log_jump(int shard, int64 elapsed_us, int64 true_us, int64 back_us);

#endif
