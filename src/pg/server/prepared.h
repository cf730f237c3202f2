/*
 * pg/server/prepared.h - prepared transactions: may this one be committed here, by us?
 */
#ifndef BMW_PG_SERVER_PREPARED_H
#define BMW_PG_SERVER_PREPARED_H

#include "postgres.h"

/* Is there one of this name, of this database, that the current user may commit? */
extern bool bmw_prepared_is_there(const char *name);

#endif
