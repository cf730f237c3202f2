/*
 * pg/sql/statement.c - SQL statements that are prepared at their first use and kept.
 *
 * A plan lives as long as the process; PostgreSQL plans it anew by itself when a
 * table that it names changes.
 */
#include "postgres.h"

#include "pg/sql/statement.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "nodes/parsenodes.h"
#include "pg/server/compat.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/uuid.h"

#define ROWS_AT_ONCE 1000

static int cursor_options = 0;
static uint64 changes = 0; /* of tables, that this process has heard of */

static void watch_changes(void);
static void note_change(Datum arg, Oid relid);
static void prepare(BmwStatement *statement);
static void find_range(const BmwSqlColumn *ids, Datum *range);
static void set_types(BmwStatement *statement);
pg_noreturn static void refuse(int result);
static void each_row(SPITupleTable *table, MemoryContext row_context, BmwStatementRowFn fn,
					 void *context);

void
bmw_statement_keep_plans(void)
{
	cursor_options = CURSOR_OPT_GENERIC_PLAN;
}

int
bmw_statement_run(BmwStatement *statement, Datum *values)
{
	return bmw_statement_run_with(statement, values, NULL, 0);
}

/*
 * Returns the number of rows, which are in SPI_tuptable. A plan that was just made may not have a partition of which
 * its planner heard too late, while the snapshot, which is younger, has the rows in that alone: keeper.c moves rows.
 */
int
bmw_statement_run_with(BmwStatement *statement, Datum *values, const char *nulls, int limit)
{
	uint64 before;

	prepare(statement);
	do
	{
		int result;

		before = changes;
		result = SPI_execute_plan(statement->plan, values, nulls, statement->is_stable, limit);
		if (result < 0)
			refuse(result);
	} while (statement->is_planned_anew && changes != before);
	return (int) SPI_processed;
}

int
bmw_statement_run_latest(BmwStatement *statement, Datum *values)
{
	int result;

	prepare(statement);
	result = SPI_execute_snapshot(statement->plan, values, NULL, GetLatestSnapshot(),
								  InvalidSnapshot, statement->is_stable, true, 0);
	if (result < 0)
		refuse(result);
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
		refuse(SPI_result);
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
	const BmwFields *fields = statement->fields;
	Datum values[BMW_STATEMENT_ARGUMENTS];

	Assert(fields != NULL && statement->kind == BMW_ARGUMENTS_ROWS);
	if (columns[0].length == 0)
		return 0;
	prepare(statement);
	for (int i = 0; i < fields->length; i++)
	{
		Assert(columns[i].type == fields->items[i].type);
		Assert(columns[i].length == columns[0].length);
		values[i] =
			fields->items[i].is_constant ? columns[i].values[0] : bmw_sql_column_array(&columns[i]);
	}
	if (statement->arguments > fields->length)
		find_range(&columns[0], &values[fields->length]);
	return bmw_statement_run(statement, values);
}

void
bmw_statement_init_columns(BmwSqlColumn *columns, const BmwFields *fields, int capacity)
{
	for (int i = 0; i < fields->length; i++)
		bmw_sql_column_init(&columns[i], fields->items[i].type, capacity);
}

Oid
bmw_statement_table(const char *name)
{
	return get_relname_relid(name, get_namespace_oid("bm_webhook", false));
}

bool
bmw_statement_is_own_schema(Oid schema)
{
	return schema == get_namespace_oid("bm_webhook", true) ||
		   schema == get_namespace_oid("bm_webhook_internal", true);
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

/* Callbacks are for ever, and few. */
static void
watch_changes(void)
{
	static bool is_watching = false;

	if (!is_watching)
		CacheRegisterRelcacheCallback(note_change, (Datum) 0);
	is_watching = true;
}

static void
note_change(Datum arg, Oid relid)
{
	changes++;
}

static void
prepare(BmwStatement *statement)
{
	const char *sql = statement->sql;
	SPIPlanPtr plan;

	if (statement->plan != NULL)
		return;
	if (statement->fields != NULL)
		sql = bmw_fields_expand(statement->fields, sql);
	if (statement->kind != BMW_ARGUMENTS_LISTED)
		set_types(statement);
	plan = SPI_prepare_cursor(sql, statement->arguments, statement->types,
							  statement->is_planned_anew ? CURSOR_OPT_CUSTOM_PLAN : cursor_options);
	if (plan == NULL || SPI_keepplan(plan) != 0)
		ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR),
				errmsg("could not prepare a statement: %s", SPI_result_code_string(SPI_result)));
	statement->plan = plan;
	if (statement->is_planned_anew)
		watch_changes();
}

static void
find_range(const BmwSqlColumn *ids, Datum *range)
{
	BmwUuidRange found = {0};

	Assert(ids->type == UUIDOID);
	for (int i = 0; i < ids->length; i++)
		bmw_uuid_widen(&found, (const BmwUuid *) DatumGetUUIDP(ids->values[i]));
	range[0] = PointerGetDatum(found.first);
	range[1] = PointerGetDatum(found.last);
}

static void
set_types(BmwStatement *statement)
{
	const BmwFields *fields = statement->fields;

	statement->arguments =
		fields->length + (strstr(statement->sql, BMW_FIELDS_RANGE) != NULL ? 2 : 0);
	Assert(statement->arguments <= BMW_STATEMENT_ARGUMENTS);
	for (int i = fields->length; i < statement->arguments; i++)
		statement->types[i] = UUIDOID;
	for (int i = 0; i < fields->length; i++)
	{
		const BmwField *field = &fields->items[i];
		bool is_array = statement->kind == BMW_ARGUMENTS_ROWS && !field->is_constant;

		statement->types[i] = is_array ? get_array_type(field->type) : field->type;
	}
}

static void
refuse(int result)
{
	ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR),
			errmsg("could not execute a statement: %s", SPI_result_code_string(result)));
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
