/*
 * pg/dispatch/crash.h - what the dispatcher before was doing when it crashed, and what is not tried a fourth time.
 *
 * The marks of requests under way (core/suspects.h) are a mapped file in pg_stat_tmp: written by stores
 * into memory, kept by the kernel when the process or all of PostgreSQL crashes, in no backup.
 */
#ifndef BMW_PG_DISPATCH_CRASH_H
#define BMW_PG_DISPATCH_CRASH_H

#include "postgres.h"

#include "core/suspects.h"
#include "pg/server/shared_memory.h"

/* Once in a process, which owns the shard. Without a file, suspicion ends with the process; the log is told. */
extern BmwSuspects *bmw_crash_open(BmwSlot *slot);
/* Sets aside what three dispatchers in a row crashed of. ereports when that cannot be written. */
extern void bmw_crash_set_aside(BmwSuspects *suspects, BmwSlot *slot);
/* From the handler of SIGQUIT: somebody else has crashed, or the server is to stop at once. */
extern void bmw_crash_excuse(void);

#endif
