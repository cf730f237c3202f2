/*
 * pg/sql/example.h - the catalogue's examples of event types.
 */
#ifndef BMW_PG_SQL_EXAMPLE_H
#define BMW_PG_SQL_EXAMPLE_H

#include "postgres.h"

#include "pg/sql/insert.h"

/*
 * Fills in the event as the catalogue's example of its type has it. False: there is no example
 * of the type.
 */
extern bool bmw_example_find(BmwNewEvent *event);

#endif
