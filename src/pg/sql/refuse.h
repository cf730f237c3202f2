/*
 * pg/sql/refuse.h - errors of SQL functions that call others, without their inside.
 */
#ifndef BMW_PG_SQL_REFUSE_H
#define BMW_PG_SQL_REFUSE_H

#include "postgres.h"

/*
 * From here on errors carry no CONTEXT of the functions around; whoever catches
 * one has it again. The former context is to be put back before returning.
 */
extern ErrorContextCallback *bmw_refuse_without_context(void);

#endif
