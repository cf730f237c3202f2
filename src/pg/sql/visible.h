/*
 * pg/sql/visible.h - which endpoints a caller may see, for what is known of them elsewhere than in tables.
 */
#ifndef BMW_PG_SQL_VISIBLE_H
#define BMW_PG_SQL_VISIBLE_H

#include "postgres.h"

/*
 * Those of these endpoints that are there and that row-level security shows the
 * current user, ascending, into the array, in which there is room for all of them;
 * returns how many; members of pg_monitor see all that are there. Raises an error when he may not read the table at all.
 */
extern int bmw_visible_endpoints(const int64 *ids, int length, int64 *visible);

#endif
