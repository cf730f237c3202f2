/*
 * pg/dispatch/tally.c - the clerk of a dispatcher who keeps the numbers of what is pending.
 *
 * Adds up the changes that flushes and functions have noted, and counts anew for
 * some endpoints once a minute, because a superuser may change rows by hand; and notes
 * of which applications as much waits as may (pg/dispatch/full.h). That of the first
 * shard does it for all; the numbers are right without it, too.
 */
#include "postgres.h"

#include "pg/dispatch/tally.h"

#include "core/batch.h"
#include "pg/dispatch/clock.h"
#include "pg/dispatch/store_pending.h"

#define SECOND_US INT64CONST(1000000)
#define MINUTE_US (60 * SECOND_US)
#define REST 20						/* times as long as it took it does something else */
#define FULL_REST 100				/* the same, of the look for applications */
#define RECOUNT_US (SECOND_US / 20) /* of a minute, in batches */
#define LOCK_WAIT "20ms"

static void run(BmwTallyClerk *clerk, BmwWork work);
static void add_up(void *context);
static void recount(void *context);
static void look_for_full(BmwTallyClerk *clerk, int64 now_us);
static void note_full(void *context);
static void log_full(const char *application, bool is_full, void *context);
static void recount_batch(BmwTallyClerk *clerk, int64 now_us);

void
bmw_tally_init(BmwTallyClerk *clerk, BmwSlot *slot)
{
	*clerk = (BmwTallyClerk){.slot = slot,
							 .batch = BMW_RECOUNT_BATCH,
							 .after_id = PG_INT64_MIN,
							 .wants_full = true,
							 .has_extension = true};
}

void
bmw_tally_run(BmwTallyClerk *clerk, int64 now_us)
{
	int64 start_us;

	if (clerk->slot->shard != 0)
		return;
	if (now_us >= clerk->recount_at_us)
		recount_batch(clerk, now_us);
	if (now_us >= clerk->add_up_at_us && bmw_store_pending_has_changed())
	{
		start_us = bmw_clock_us();
		run(clerk, add_up);
		clerk->add_up_at_us = now_us + Max(SECOND_US, REST * (bmw_clock_us() - start_us));
		clerk->wants_full = true;
	}
	if (now_us >= clerk->full_at_us && (clerk->wants_full || clerk->has_full))
		look_for_full(clerk, now_us);
}

void
bmw_tally_shift(BmwTallyClerk *clerk, int64 back_us)
{
	clerk->add_up_at_us -= back_us;
	clerk->recount_at_us -= back_us;
	clerk->full_at_us -= back_us;
}

int64
bmw_tally_wakeup_us(const BmwTallyClerk *clerk)
{
	int64 wakeup = clerk->recount_at_us;

	if (clerk->slot->shard != 0)
		return PG_INT64_MAX;
	if (bmw_store_pending_has_changed())
		wakeup = Min(wakeup, clerk->add_up_at_us);
	return clerk->wants_full || clerk->has_full ? Min(wakeup, clerk->full_at_us) : wakeup;
}

static void
run(BmwTallyClerk *clerk, BmwWork work)
{
	if (bmw_transaction_run(clerk->slot, &clerk->streak, work, clerk) ==
		BMW_TRANSACTION_NO_EXTENSION)
		clerk->has_extension = false;
}

static void
add_up(void *context)
{
	bmw_transaction_limit_lock_wait(LOCK_WAIT);
	bmw_store_pending_add_up();
}

/* After it everything else has its turn. */
static void
recount_batch(BmwTallyClerk *clerk, int64 now_us)
{
	int64 start_us = bmw_clock_us();
	int64 took_us;

	run(clerk, recount);
	took_us = bmw_clock_us() - start_us;
	clerk->batch = bmw_batch_next(clerk->batch, clerk->batch, took_us, 1, BMW_RECOUNT_BATCH);
	clerk->recounted_us += took_us;
	clerk->recount_at_us = now_us + REST * took_us;
	if (clerk->after_id != PG_INT64_MIN && clerk->recounted_us < RECOUNT_US)
		return;
	clerk->recount_at_us = now_us + MINUTE_US;
	clerk->recounted_us = 0;
}

/* Also what the functions of users have noted is to be added up. */
static void
recount(void *context)
{
	BmwTallyClerk *clerk = context;

	bmw_transaction_limit_lock_wait(LOCK_WAIT);
	clerk->after_id = bmw_store_pending_recount(clerk->after_id, clerk->batch);
}

/* While one is, its end is waited for, which a new limit may be. */
static void
look_for_full(BmwTallyClerk *clerk, int64 now_us)
{
	int64 start_us = bmw_clock_us();

	clerk->wants_full = false;
	run(clerk, note_full);
	clerk->full_at_us = now_us + Max(SECOND_US, FULL_REST * (bmw_clock_us() - start_us));
}

static void
note_full(void *context)
{
	BmwTallyClerk *clerk = context;

	bmw_transaction_limit_lock_wait(LOCK_WAIT);
	bmw_store_note_full(log_full, NULL);
	clerk->has_full = bmw_store_has_full();
}

static void
log_full(const char *application, bool is_full, void *context)
{
	if (is_full)
		ereport(
			LOG,
			errmsg("as many deliveries of bm_webhook's application \"%s\" wait as may",
				   application),
			errdetail(
				"Nothing is emitted for it, and what its watches capture is recorded and not sent."),
			errhint("See its max_waiting, and bm_webhook.backlog."));
	else
		ereport(LOG, errmsg("fewer deliveries of bm_webhook's application \"%s\" wait than may",
							application));
}
