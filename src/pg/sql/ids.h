/*
 * pg/sql/ids.h - ids of rows, many at a time.
 */
#ifndef BMW_PG_SQL_IDS_H
#define BMW_PG_SQL_IDS_H

#include "postgres.h"

/* Ascending, each once; returns how many are left. */
extern int bmw_ids_sort_once(int64 *ids, int length);

#endif
