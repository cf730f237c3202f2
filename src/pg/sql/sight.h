/*
 * pg/sql/sight.h - what the current user sees.
 */
#ifndef BMW_PG_SQL_SIGHT_H
#define BMW_PG_SQL_SIGHT_H

#include "postgres.h"

#include "commands/trigger.h"

/* May the current user see the endpoints and operations of all, and change none? */
extern bool bmw_sight_is_operator(void);

/* A row of application, endpoint or endpoint_secret has changed, or all of them: who owns what may be known no more. */
extern void bmw_sight_changed(const TriggerData *trigger);

#endif
