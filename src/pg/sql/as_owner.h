/*
 * pg/sql/as_owner.h - one statement of ours as the owner of the log, for who has shown that he may.
 */
#ifndef BMW_PG_SQL_AS_OWNER_H
#define BMW_PG_SQL_AS_OWNER_H

#include "postgres.h"

#include "pg/sql/statement.h"

/*
 * Runs it and returns the number of rows. The columns of the first, which must be passed by value,
 * are in values and are_null. nulls: as for bmw_statement_run_with(); NULL: no argument is.
 */
extern int bmw_as_owner_run(BmwStatement *statement, Datum *arguments, const char *nulls,
							Datum *values, bool *are_null);

#endif
