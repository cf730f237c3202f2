/*
 * pg/server/launcher.h - one dispatcher for each shard of each database that has the extension.
 */
#ifndef BMW_PG_SERVER_LAUNCHER_H
#define BMW_PG_SERVER_LAUNCHER_H

#include "postgres.h"

/* Registers the launcher; from _PG_init() while preloading. */
extern void bmw_launcher_register(void);
extern PGDLLEXPORT void bmw_launcher_main(Datum arg);

#endif
