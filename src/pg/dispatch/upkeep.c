/*
 * pg/dispatch/upkeep.c - the clerk of a dispatcher who starts the keeper of the log when there is work for it.
 *
 * The keeper is a process of its own (pg/dispatch/keeper.c): what it does can take minutes,
 * in which requests are to be sent.
 */
#include "postgres.h"

#include "pg/dispatch/upkeep.h"

#include "pg/dispatch/store_upkeep.h"
#include "pg/server/settings.h"
#include "pg/server/start.h"
#include "storage/spin.h"

#define SECOND_US INT64CONST(1000000)
#define LOOK_US (60 * SECOND_US)
#define WAITING_US (600 * SECOND_US) /* when all that was left is what cannot go yet */
#define RETRY_US (5 * SECOND_US)	 /* times the failures in a row, most of which are locks */
#define NO_WORKER_US (20 * SECOND_US)

static void look(void *context);
static void set_has_no_worker(BmwUpkeep *upkeep, bool has_none);
static bool is_at_work(BmwSlot *slot);
static bool start(BmwSlot *slot);
static int64 pause_us(BmwSlot *slot);

void
bmw_upkeep_init(BmwUpkeep *upkeep, BmwSlot *slot)
{
	*upkeep = (BmwUpkeep){.slot = slot};
}

void
bmw_upkeep_reload(BmwUpkeep *upkeep)
{
	upkeep->looked_at_us = upkeep->check_at_us = 0;
}

void
bmw_upkeep_shift(BmwUpkeep *upkeep, int64 back_us)
{
	upkeep->looked_at_us -= back_us;
	upkeep->check_at_us -= back_us;
}

int64
bmw_upkeep_wakeup_us(const BmwUpkeep *upkeep)
{
	return upkeep->is_idle ? PG_INT64_MAX : upkeep->looked_at_us + upkeep->pause_us;
}

/* Asks shared memory, which the keeper changes too, only so often: this is called in each turn. */
void
bmw_upkeep_run(BmwUpkeep *upkeep, int64 now_us)
{
	bool is_asked = pg_atomic_read_u32(&upkeep->slot->has_upkeep) != 0;

	if (upkeep->slot->shard != 0 || (now_us < upkeep->check_at_us && !is_asked))
		return;
	upkeep->check_at_us = now_us + SECOND_US;
	/* one that runs may have looked before it was asked; when it ends, it wakes us */
	upkeep->is_idle = is_at_work(upkeep->slot);
	if (upkeep->is_idle)
		return;
	upkeep->pause_us = upkeep->has_no_worker ? NO_WORKER_US : pause_us(upkeep->slot);
	if (now_us < bmw_upkeep_wakeup_us(upkeep) && !is_asked)
		return;
	/* before it looks: what comes in between is looked for again */
	pg_atomic_write_u32(&upkeep->slot->has_upkeep, 0);
	upkeep->is_due = false;
	(void) bmw_transaction_run(upkeep->slot, &upkeep->streak, look, upkeep);
	upkeep->looked_at_us = now_us;
	set_has_no_worker(upkeep, upkeep->is_due && !start(upkeep->slot));
	/* soon, what has been started is at work, or has ended */
	if (upkeep->is_due)
		upkeep->pause_us = upkeep->has_no_worker ? NO_WORKER_US : SECOND_US;
}

static void
look(void *context)
{
	BmwUpkeep *upkeep = context;

	upkeep->is_due = bmw_store_is_upkeep_due(bmw_retention);
}

/* The launcher may get one for it. */
static void
set_has_no_worker(BmwUpkeep *upkeep, bool has_none)
{
	upkeep->has_no_worker = has_none;
	LWLockAcquire(bmw_shared->lock, LW_EXCLUSIVE);
	upkeep->slot->lacks_keeper = has_none;
	LWLockRelease(bmw_shared->lock);
	if (has_none)
		bmw_shmem_wake(&bmw_shared->launcher);
}

static bool
is_at_work(BmwSlot *slot)
{
	bool is;

	LWLockAcquire(bmw_shared->lock, LW_SHARED);
	is = slot->keeper != 0;
	LWLockRelease(bmw_shared->lock);
	return is;
}

static bool
start(BmwSlot *slot)
{
	BackgroundWorker worker =
		bmw_start_worker("bm_webhook keeper", "bmw_keeper_main", (int) (slot - bmw_shared->slots));

	memcpy(worker.bgw_extra, &slot->database, sizeof(slot->database));
	return RegisterDynamicBackgroundWorker(&worker, NULL);
}

/* As the last keeper has ended, which wakes the dispatcher. */
static int64
pause_us(BmwSlot *slot)
{
	int kept;
	int failures;

	SpinLockAcquire(&slot->mutex);
	kept = slot->upkeep.kept;
	failures = slot->upkeep.failures;
	SpinLockRelease(&slot->mutex);
	if (failures > 0)
		return Min((failures + 1) * RETRY_US, WAITING_US);
	return kept > 0 ? WAITING_US : LOOK_US;
}
