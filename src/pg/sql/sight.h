/*
 * pg/sql/sight.h - what the current user sees.
 */
#ifndef BMW_PG_SQL_SIGHT_H
#define BMW_PG_SQL_SIGHT_H

#include "postgres.h"

/* May the current user see the endpoints and operations of all, and change none? */
extern bool bmw_sight_is_operator(void);

#endif
