/*
 * pg/server/databases.h - which databases there are, for the launcher.
 */
#ifndef BMW_PG_SERVER_DATABASES_H
#define BMW_PG_SERVER_DATABASES_H

#include "postgres.h"
#include "nodes/pg_list.h"

/* All that can be connected to and are no templates, by Oid, in TopMemoryContext. */
extern List *bmw_databases_list(void);
/* Its name, "?" when it is gone. */
extern void bmw_databases_read_name(Oid database, NameData *name);

#endif
