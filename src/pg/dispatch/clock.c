/*
 * pg/dispatch/clock.c - tells the server's log when somebody has set the clock.
 */
#include "postgres.h"

#include "pg/dispatch/clock.h"

#include <inttypes.h>

#define SECOND_US INT64CONST(1000000)
#define CLOCK_JUMP_US (10 * SECOND_US)

void
bmw_clock_log_jump(int shard, int64 elapsed_us, int64 true_us, int64 back_us)
{
	if (shard != 0)
		return;
	if (back_us > 0)
		ereport(LOG, errmsg("the clock has gone back by %" PRId64 " s", back_us / SECOND_US),
				errdetail("bm_webhook's dispatcher plans anew."));
	else if (elapsed_us - true_us > CLOCK_JUMP_US)
		ereport(LOG,
				errmsg("the clock has jumped ahead by %" PRId64 " s",
					   (elapsed_us - true_us) / SECOND_US),
				errdetail("What bm_webhook's dispatcher has planned for that time is due now."));
}
