/*
 * pg/sql/statement.c - SQL statements that are prepared at their first use and kept.
 *
 * A plan lives as long as the process; PostgreSQL plans it anew by itself when a
 * table that it names changes.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "pg/sql/statement.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

int
bmw_statement_run(BmwStatement *statement, Datum *values)
{
	return bmw_statement_run_with(statement, values, NULL, 0);
}

/* Returns the number of rows, which are in SPI_tuptable. */
int
bmw_statement_run_with(BmwStatement *statement, Datum *values, const char *nulls, int limit)
{
	int result;

	if (statement->plan == NULL)
	{
		SPIPlanPtr plan = SPI_prepare(statement->sql, statement->arguments, statement->types);

		if (plan == NULL || SPI_keepplan(plan) != 0)
			ereport(
				ERROR, errcode(ERRCODE_INTERNAL_ERROR),
				errmsg("could not prepare a statement: %s", SPI_result_code_string(SPI_result)));
		statement->plan = plan;
	}
	result = SPI_execute_plan(statement->plan, values, nulls, statement->is_stable, limit);
	if (result < 0)
		ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR),
				errmsg("could not execute a statement: %s", SPI_result_code_string(result)));
	return (int) SPI_processed;
}

int
bmw_statement_run_columns(BmwStatement *statement, BmwSqlColumn *columns)
{
	Datum values[BMW_STATEMENT_ARGUMENTS];

	if (columns[0].length == 0)
		return 0;
	for (int i = 0; i < statement->arguments; i++)
		values[i] = bmw_sql_column_array(&columns[i]);
	return bmw_statement_run(statement, values);
}

Oid
bmw_statement_table(const char *name)
{
	return get_relname_relid(name, get_namespace_oid("bm_webhook", false));
}

bool
bmw_statement_lock(Oid table, LOCKMODE mode)
{
	return OidIsValid(table) && ConditionalLockRelationOid(table, mode);
}

MemoryContext
bmw_statement_row_context(void)
{
	return AllocSetContextCreate(CurrentMemoryContext, "bm_webhook row", ALLOCSET_DEFAULT_SIZES);
}
