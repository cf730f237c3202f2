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

#define ROWS_AT_ONCE 1000

static void prepare(BmwStatement *statement);
static void each_row(SPITupleTable *table, MemoryContext row_context, BmwStatementRowFn fn,
					 void *context);

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

	prepare(statement);
	result = SPI_execute_plan(statement->plan, values, nulls, statement->is_stable, limit);
	if (result < 0)
		ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR),
				errmsg("could not execute a statement: %s", SPI_result_code_string(result)));
	return (int) SPI_processed;
}

void
bmw_statement_each(BmwStatement *statement, Datum *values, BmwStatementRowFn fn, void *context)
{
	MemoryContext row_context = bmw_statement_row_context();
	Portal portal;

	prepare(statement);
	portal = SPI_cursor_open(NULL, statement->plan, values, NULL, statement->is_stable);
	if (portal == NULL)
		ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR),
				errmsg("could not execute a statement: %s", SPI_result_code_string(SPI_result)));
	do
	{
		SPI_cursor_fetch(portal, true, ROWS_AT_ONCE);
		each_row(SPI_tuptable, row_context, fn, context);
		SPI_freetuptable(SPI_tuptable);
	} while (SPI_processed == ROWS_AT_ONCE);
	SPI_cursor_close(portal);
	MemoryContextDelete(row_context);
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

static void
prepare(BmwStatement *statement)
{
	SPIPlanPtr plan;

	if (statement->plan != NULL)
		return;
	plan = SPI_prepare(statement->sql, statement->arguments, statement->types);
	if (plan == NULL || SPI_keepplan(plan) != 0)
		ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR),
				errmsg("could not prepare a statement: %s", SPI_result_code_string(SPI_result)));
	statement->plan = plan;
}

static void
each_row(SPITupleTable *table, MemoryContext row_context, BmwStatementRowFn fn, void *context)
{
	MemoryContext caller = MemoryContextSwitchTo(row_context);

	for (uint64 i = 0; i < table->numvals; i++)
	{
		BmwSqlRow row = {table->vals[i], table->tupdesc};

		fn(&row, context);
		MemoryContextReset(row_context);
	}
	MemoryContextSwitchTo(caller);
}
