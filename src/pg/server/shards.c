/*
 * pg/server/shards.c - how many dispatchers serve a database.
 *
 * A dispatcher is one thread, so with bm_webhook.shards = 0 there are two where
 * the machine has two processors. Workers are needed by others as well: when
 * two for each database would take more than half of max_worker_processes, or
 * cannot be had, there is one, until the launcher starts anew. It is never
 * raised again by itself, so that dispatchers are not stopped now and then.
 */
#include "postgres.h"

#include "pg/server/shards.h"

#include <unistd.h>

#include "miscadmin.h"
#include "pg/server/settings.h"
#include "pg/server/shared_memory.h"
#include "pg/server/start.h"

#define AUTOMATIC 2
#define KEEPERS 1 /* workers of a database beside its dispatchers */
#define LAUNCHERS 1

static bool is_short = false; /* of workers for two */

static long processors(void);
static int served_databases(void);

int
bmw_shards_each(void)
{
	if (bmw_shards > 0)
		return bmw_shards;
	return is_short || processors() < AUTOMATIC ? 1 : AUTOMATIC;
}

void
bmw_shards_review(void)
{
	bool is_too_many;

	if (bmw_shards > 0 || bmw_shards_each() == 1)
		return;
	LWLockAcquire(bmw_shared->lock, LW_SHARED);
	is_too_many = served_databases() * (AUTOMATIC + KEEPERS) + LAUNCHERS > max_worker_processes / 2;
	is_short = is_too_many || bmw_start_is_any_lacking(InvalidOid);
	LWLockRelease(bmw_shared->lock);
	if (is_short)
		ereport(LOG, errmsg("bm_webhook serves each database with one dispatcher"),
				is_too_many
					? errdetail("Two would take more than half of \"max_worker_processes\".")
					: errdetail("There are not enough background workers for two."),
				errhint("Raise \"max_worker_processes\", or set \"bm_webhook.shards\"."));
}

/* Asked once: it is read from a file, and asked for with the lock held, for each slot. */
static long
processors(void)
{
	static long online = 0;

	if (online == 0)
		online = sysconf(_SC_NPROCESSORS_ONLN);
	return online;
}

/* Those that have the extension: a dispatcher runs in them. */
static int
served_databases(void)
{
	int length = 0;

	for (int i = 0; i < bmw_shared->slots_length; i++)
		length += OidIsValid(bmw_shared->slots[i].database) && bmw_shared->slots[i].shard == 0 &&
				  bmw_shared->slots[i].state == BMW_SLOT_RUNNING;
	return length;
}
