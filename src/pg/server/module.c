/*
 * pg/server/module.c - what happens when the library is loaded.
 *
 * Only a library in shared_preload_libraries has shared memory, a launcher and
 * the utility hook. Loaded later, by CREATE EXTENSION or a trigger, it captures
 * events all the same; they are sent when the server has been restarted.
 *
 * pg_upgrade starts the old and the new server with this library preloaded while
 * it copies the one into the other. A row that we wrote then would be damaged in
 * the new cluster: its transaction lies beyond the last one that was copied.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "pg/server/backup.h"
#include "pg/server/settings.h"
#include "pg/server/launcher.h"
#include "pg/server/notify.h"
#include "pg/server/shared_memory.h"
#include "pg/server/utility.h"
#include "pg/sql/estimates.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	bmw_guc_define();
	bmw_notify_init();
	bmw_estimates_init();
	if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade)
		return;
	bmw_backup_note_start();
	bmw_shmem_init();
	bmw_utility_init();
	bmw_launcher_register();
}
