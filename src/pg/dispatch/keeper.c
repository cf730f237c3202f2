/*
 * pg/dispatch/keeper.c - the process that keeps the log in order, and ends when that is done.
 *
 * What the default partitions have gets partitions of its own, what has expired is archived
 * and dropped, what is over is left to autovacuum; then days are counted for reports. Each step
 * is a transaction of its own; one that meets somebody's lock gives way, and is made again when
 * the next keeper is started.
 */
#include "postgres.h"

#include "pg/dispatch/keeper.h"

#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "core/archive.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "pg/dispatch/store.h"
#include "pg/dispatch/store_upkeep.h"
#include "pg/dispatch/transaction.h"
#include "pg/dispatch/worker.h"
#include "pg/server/settings.h"
#include "pg/server/shared_memory.h"
#include "pg/sql/identity.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/spin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define FORGET_AT_ONCE 1000
#define LOCK_FAILURES 10 /* in a row, that are worth a word */

typedef struct Keeper
{
	BmwSlot *slot;
	TimestampTz started_at;
	BmwTask *task; /* at work */
	List *tasks;
	char *seen;		 /* a snapshot, from before they were listed */
	bool is_current; /* the extension has the version of the library */
	bool has_emptied;
	int64 forgotten;
	bool has_counted; /* a day, and there may be another */
	char *command;	  /* of the archive */
	char *waits;	  /* why what it is at work on stays */
	int dropped;
	TimestampTz dropped_until;
	int kept;
	BmwTask kept_first;
	char *kept_because;
	bool is_locked; /* something was */
	char *failure;	/* the first of this run; NULL: none */
} Keeper;

static void attach(BmwSlot *slot);
static void detach(int code, Datum slot);
static void keep(Keeper *keeper);
static void check_version(void *context);
static void list(void *context);
static void add(const BmwTask *task, void *context);
static void do_task(Keeper *keeper);
static void empty(void *context);
static void close_one(void *context);
static void drop(Keeper *keeper);
static void look(void *context);
static void drop_one(void *context);
static void drop_or_look(Keeper *keeper, bool dry_run);
static void archive(void *context);
static void note_kept(Keeper *keeper);
static void forget(void *context);
static void end_drops(void *context);
static void count_day(void *context);
static bool try(Keeper *keeper, BmwWork work, const char *what);
static void report(Keeper *keeper);
static const char *problem(Keeper *keeper);
static void tell(const Keeper *keeper, int failures, const char *problem);

void
bmw_keeper_main(Datum arg)
{
	BmwSlot *slot = &bmw_shared->slots[DatumGetInt32(arg)];
	Keeper keeper = {.slot = slot, .started_at = GetCurrentTimestamp()};

	bmw_worker_terminate_at_once();
	attach(slot);
	BackgroundWorkerInitializeConnectionByOid(slot->database, InvalidOid, 0);
	bmw_transaction_init();
	if (bmw_transaction_try(check_version, &keeper) == BMW_TRANSACTION_DONE && keeper.is_current)
		keep(&keeper);
	proc_exit(0);
}

static void
attach(BmwSlot *slot)
{
	Oid database;
	bool may_run;

	memcpy(&database, MyBgworkerEntry->bgw_extra, sizeof(database));
	LWLockAcquire(bmw_shared->lock, LW_EXCLUSIVE);
	may_run = slot->database == database && slot->holder == 0 && slot->keeper == 0;
	if (may_run)
		slot->keeper = MyProcPid;
	LWLockRelease(bmw_shared->lock);
	if (!may_run)
		proc_exit(0);
	before_shmem_exit(detach, PointerGetDatum(slot));
}

static void
detach(int code, Datum slot_datum)
{
	BmwSlot *slot = (BmwSlot *) DatumGetPointer(slot_datum);

	LWLockAcquire(bmw_shared->lock, LW_EXCLUSIVE);
	slot->keeper = 0;
	LWLockRelease(bmw_shared->lock);
	bmw_shmem_wake(&slot->proc);
}

static void
check_version(void *context)
{
	Keeper *keeper = context;
	char *version = bmw_store_version();

	keeper->is_current = version != NULL && strcmp(version, BMW_VERSION) == 0;
}

static void
keep(Keeper *keeper)
{
	do
	{
		ListCell *cell;

		keeper->has_emptied = false;
		keeper->kept = 0;
		list_free_deep(keeper->tasks);
		keeper->tasks = NIL;
		(void) try(keeper, list, "look");
		foreach (cell, keeper->tasks)
		{
			keeper->task = lfirst(cell);
			do_task(keeper);
		}
		keeper->task = NULL;
	} while (keeper->has_emptied);
	do
		keeper->forgotten = 0;
	while (try(keeper, forget, "delete what has expired") && keeper->forgotten >= FORGET_AT_ONCE);
	if (keeper->seen != NULL)
		(void) try(keeper, end_drops, "write how far drop_before() has got");
	do
		keeper->has_counted = false;
	while (try(keeper, count_day, "count a day for reports") && keeper->has_counted);
	report(keeper);
}

/* What is asked for later is for another keeper. */
static void
list(void *context)
{
	Keeper *keeper = context;

	keeper->seen = MemoryContextStrdup(TopMemoryContext, bmw_store_what_is_seen());
	bmw_store_upkeep(bmw_retention, add, context);
}

static void
add(const BmwTask *task, void *context)
{
	Keeper *keeper = context;
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
	BmwTask *copy = palloc(sizeof(*copy));

	*copy = *task;
	keeper->tasks = lappend(keeper->tasks, copy);
	MemoryContextSwitchTo(caller);
}

static void
do_task(Keeper *keeper)
{
	switch (keeper->task->kind)
	{
		case BMW_TASK_EMPTY:
			keeper->has_emptied |= try(keeper, empty, "empty the default partition into");
			break;
		case BMW_TASK_DROP:
			drop(keeper);
			break;
		case BMW_TASK_CLOSE:
			(void) try(keeper, close_one, "set parameters of");
			break;
	}
}

static void
empty(void *context)
{
	bmw_store_empty_default(((Keeper *) context)->task);
}

static void
close_one(void *context)
{
	bmw_store_close_partition(((Keeper *) context)->task);
}

/* Nothing is archived that is not going to be dropped, nor dropped that could not be archived. */
static void
drop(Keeper *keeper)
{
	keeper->waits = NULL;
	if (*bmw_archive_command != '\0' && !try(keeper, look, "look into"))
		return;
	if (keeper->waits == NULL && *bmw_archive_command != '\0' && !try(keeper, archive, "archive"))
		return;
	if (keeper->waits == NULL && !try(keeper, drop_one, "drop"))
		return;
	if (keeper->waits != NULL)
	{
		note_kept(keeper);
		return;
	}
	keeper->dropped++;
	keeper->dropped_until = Max(keeper->dropped_until, keeper->task->until);
}

/* What a copy would archive, the original does; and theirs have the same names. */
static void
look(void *context)
{
	Keeper *keeper = context;
	bool waits;

	drop_or_look(keeper, true);
	if (keeper->waits == NULL && *bmw_store_why_not_adopted(&waits) != '\0')
		keeper->waits = "nothing of a copy is archived before adopt() is called in it";
}

static void
drop_one(void *context)
{
	drop_or_look(context, false);
}

static void
drop_or_look(Keeper *keeper, bool dry_run)
{
	const char *waits = bmw_store_drop_partition(keeper->task, dry_run);

	keeper->waits = waits == NULL ? NULL : MemoryContextStrdup(TopMemoryContext, waits);
}

/* Only a superuser may run programs. */
static void
archive(void *context)
{
	const Keeper *keeper = context;
	const char *file = psprintf("%s.%s", NameStr(keeper->task->partition), bmw_archive_format);
	char *command = bmw_archive_expand(bmw_archive_command, file, get_database_name(MyDatabaseId));
	BmwIdentity before;
	char *copy;

	bmw_transaction_require_memory(command != NULL);
	copy = pstrdup(command);
	free(command);
	before = bmw_identity_become(BOOTSTRAP_SUPERUSERID);
	bmw_store_archive(keeper->task, copy, bmw_archive_format);
	bmw_identity_return(before);
}

static void
note_kept(Keeper *keeper)
{
	if (keeper->kept++ > 0)
		return;
	keeper->kept_first = *keeper->task;
	keeper->kept_because = keeper->waits;
}

static void
forget(void *context)
{
	Keeper *keeper = context;

	keeper->forgotten = bmw_store_forget_expired(bmw_retention, FORGET_AT_ONCE);
}

static void
end_drops(void *context)
{
	const Keeper *keeper = context;

	bmw_store_end_drops(keeper->failure != NULL || keeper->is_locked, keeper->seen);
}

static void
count_day(void *context)
{
	((Keeper *) context)->has_counted = bmw_store_count_day();
}

static bool
try(Keeper *keeper, BmwWork work, const char *what)
{
	const char *partition =
		keeper->task == NULL ? "" : psprintf(" %s", NameStr(keeper->task->partition));
	MemoryContext caller;

	CHECK_FOR_INTERRUPTS();
	switch (bmw_transaction_try(work, keeper))
	{
		case BMW_TRANSACTION_DONE:
			return true;
		case BMW_TRANSACTION_NO_EXTENSION:
			proc_exit(0);
		case BMW_TRANSACTION_FAILED:
			break;
	}
	if (bmw_transaction_error()->kind == BMW_ERROR_OF_LOCK)
		keeper->is_locked = true;
	else if (keeper->failure == NULL)
	{
		caller = MemoryContextSwitchTo(TopMemoryContext);
		keeper->failure =
			psprintf("could not %s%s: %s", what, partition, bmw_transaction_error()->message);
		MemoryContextSwitchTo(caller);
	}
	return false;
}

static void
report(Keeper *keeper)
{
	int failures = 0;

	if (keeper->dropped > 0)
		ereport(LOG, errmsg("bm_webhook has dropped %d partitions of the log, up to %s",
							keeper->dropped, timestamptz_to_str(keeper->dropped_until)));
	if (keeper->is_locked || keeper->failure != NULL)
	{
		SpinLockAcquire(&keeper->slot->mutex);
		failures = keeper->slot->upkeep.failures + 1;
		SpinLockRelease(&keeper->slot->mutex);
	}
	if (keeper->failure == NULL && failures >= LOCK_FAILURES)
		keeper->failure = "somebody has locked partitions of the log each time that it tried";
	tell(keeper, failures, problem(keeper));
}

static const char *
problem(Keeper *keeper)
{
	if (keeper->failure != NULL)
		return keeper->failure;
	if (keeper->kept == 0)
		return "";
	return psprintf("%d partitions that have expired stay, the first is %s: %s", keeper->kept,
					NameStr(keeper->kept_first.partition), keeper->kept_because);
}

/* One line of the server's log for what is new. */
static void
tell(const Keeper *keeper, int failures, const char *problem)
{
	if (!bmw_shmem_upkeep(keeper->slot, keeper->started_at, keeper->kept, failures, problem))
		return;
	if (*problem == '\0')
		ereport(LOG, errmsg("bm_webhook keeps its log in order again"));
	else
		ereport(LOG, errmsg("bm_webhook cannot keep its log in order: %s", problem),
				errhint("It tries again; status() shows this as long as it lasts."));
}
