/*
 * pg/dispatch/store_operation.c - the statements about operations; what a step does is in SQL (sql/parts).
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "pg/dispatch/store.h"
#include "pg/sql/sql_row.h"
#include "pg/sql/statement.h"
#include "utils/builtins.h"

static BmwStatement open_operations = {
	"SELECT id, endpoint_id FROM bm_webhook.operation WHERE ended_at IS NULL ORDER BY id"};

static BmwStatement operation_step = {
	"SELECT bm_webhook_internal.operation_step(o.id, $2), o.endpoint_id FROM bm_webhook.operation o WHERE o.id = $1",
	2,
	{INT8OID, INT8OID}};

static BmwStatement end_operation = {
	"UPDATE bm_webhook.operation SET ended_at = pg_catalog.clock_timestamp(), error = $2"
	" WHERE id = $1 AND ended_at IS NULL",
	2,
	{INT8OID, TEXTOID}};

typedef struct Reading
{
	BmwOperationFn fn;
	void *context;
	bool has_enough;
} Reading;

static void hand_out(const BmwSqlRow *row, void *context);

void
bmw_store_operations(BmwOperationFn fn, void *context)
{
	Reading reading = {.fn = fn, .context = context};

	bmw_statement_each(&open_operations, NULL, hand_out, &reading);
}

bool
bmw_store_operation_step(int64 id, int length, int64 *endpoint_id)
{
	Datum values[2] = {Int64GetDatum(id), Int64GetDatum(length)};
	BmwSqlRow row;

	if (bmw_statement_run(&operation_step, values) == 0)
		return true;
	row = (BmwSqlRow){SPI_tuptable->vals[0], SPI_tuptable->tupdesc};
	*endpoint_id = bmw_sql_int64(&row, 2);
	return bmw_sql_bool(&row, 1);
}

void
bmw_store_end_operation(int64 id, const char *error)
{
	Datum values[2] = {Int64GetDatum(id), CStringGetTextDatum(error)};

	(void) bmw_statement_run(&end_operation, values);
}

static void
hand_out(const BmwSqlRow *row, void *context)
{
	Reading *reading = context;

	reading->has_enough =
		reading->has_enough ||
		!reading->fn(bmw_sql_int64(row, 1), bmw_sql_int64(row, 2), reading->context);
}
