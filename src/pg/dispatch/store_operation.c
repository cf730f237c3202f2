/*
 * pg/dispatch/store_operation.c - the statements about operations; what a step does is in SQL (sql/parts).
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "pg/dispatch/store.h"
#include "pg/sql/sql_row.h"
#include "pg/sql/statement.h"
#include "utils/builtins.h"
#include "utils/uuid.h"

static BmwStatement open_operations = {
	"SELECT id, endpoint_id, pg_catalog.hashtextextended(application, 0), rank = $1"
	" FROM bm_webhook_internal.open_operations($1)",
	1,
	{INT8OID}};

static BmwStatement operation = {
	"SELECT kind IN ('cancel', 'adopt', 'set_aside'), endpoint_id,"
	" CASE WHEN event_id IS NULL THEN events ELSE ARRAY[event_id] END, bm_webhook.uuid_floor(until), xid,"
	" kind = 'recover', coalesce(reached, bm_webhook.uuid_floor(since)), kind = 'adopt'"
	" FROM bm_webhook.operation WHERE id = $1 AND ended_at IS NULL",
	1,
	{INT8OID}};

static BmwStatement operation_step = {
	"SELECT has_ended, is_waiting FROM bm_webhook_internal.operation_step($1, $2, $3, $4)",
	4,
	{INT8OID, INT8OID, BOOLOID, UUIDARRAYOID}};

static BmwStatement transactions_of_step = {
	"SELECT DISTINCT xid FROM bm_webhook.event WHERE id > $2"
	" AND id <= (SELECT reached FROM bm_webhook.operation WHERE id = $1)",
	2,
	{INT8OID, UUIDOID}};

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
bmw_store_operations(int most, BmwOperationFn fn, void *context)
{
	Reading reading = {.fn = fn, .context = context};
	Datum values[1] = {Int64GetDatum(most)};

	bmw_statement_each(&open_operations, values, hand_out, &reading);
}

bool
bmw_store_operation(int64 id, BmwOperationRow *row)
{
	Datum values[1] = {Int64GetDatum(id)};
	BmwSqlRow found;

	if (bmw_statement_run(&operation, values) == 0)
		return false;
	found = (BmwSqlRow){SPI_tuptable->vals[0], SPI_tuptable->tupdesc};
	row->is_cancel = bmw_sql_bool(&found, 1);
	row->cancellation = (BmwCancellation){.endpoint_id = bmw_sql_int64(&found, 2),
										  .is_drop = bmw_sql_bool(&found, 8)};
	row->cancellation.events = bmw_sql_uuids(&found, 3, &row->cancellation.events_length);
	row->cancellation.before = bmw_sql_uuid(&found, 4);
	row->xid = bmw_sql_xid8(&found, 5);
	row->is_recovery = bmw_sql_bool(&found, 6);
	if (row->is_recovery)
		row->reached = bmw_sql_uuid(&found, 7);
	return true;
}

void
bmw_store_operation_step(int64 id, int length, BmwOperationStep *step)
{
	Datum values[4] = {Int64GetDatum(id), Int64GetDatum(length),
					   BoolGetDatum(step->is_more_to_come),
					   bmw_sql_uuid_array(step->in_memory, step->in_memory_length)};
	BmwSqlRow row;

	bmw_store_forget_oldest();
	(void) bmw_statement_run(&operation_step, values);
	row = (BmwSqlRow){SPI_tuptable->vals[0], SPI_tuptable->tupdesc};
	step->has_ended = bmw_sql_bool(&row, 1);
	step->is_waiting = bmw_sql_bool(&row, 2);
}

bool
bmw_store_operation_all_of_step(int64 id, const BmwUuid *after, BmwTransactionTest test,
								const void *context)
{
	Datum values[2] = {Int64GetDatum(id), UUIDPGetDatum((const pg_uuid_t *) after)};
	int length = bmw_statement_run(&transactions_of_step, values);
	bool is_all = true;

	for (int i = 0; i < length && is_all; i++)
	{
		BmwSqlRow row = {SPI_tuptable->vals[i], SPI_tuptable->tupdesc};

		is_all = test(bmw_sql_xid8(&row, 1), context);
	}
	return is_all;
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

	BmwOpenOperation open = {.id = bmw_sql_int64(row, 1),
							 .endpoint_id = bmw_sql_int64(row, 2),
							 .application = bmw_sql_int64(row, 3),
							 .is_last = bmw_sql_bool(row, 4)};

	reading->has_enough = reading->has_enough || !reading->fn(&open, reading->context);
}
