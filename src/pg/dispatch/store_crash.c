/*
 * pg/dispatch/store_crash.c - the statement by which what crashes the dispatcher is set aside.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "pg/dispatch/store.h"
#include "pg/sql/sql_row.h"
#include "pg/sql/statement.h"

static BmwStatement set_crashed_aside = {
	"SELECT is_set_aside, has_another FROM bm_webhook_internal.set_crashed_aside($1, $2, $3)",
	3,
	{UUIDOID, INT8OID, TEXTOID}};

bool
bmw_store_set_crashed_aside(const BmwUuid *event_id, int64 endpoint_id, const char *cause,
							bool *has_another)
{
	Datum values[3] = {PointerGetDatum(event_id->bytes), Int64GetDatum(endpoint_id),
					   bmw_sql_from_utf8(cause)};
	BmwSqlRow row;

	bmw_statement_run(&set_crashed_aside, values);
	row = (BmwSqlRow){SPI_tuptable->vals[0], SPI_tuptable->tupdesc};
	*has_another = bmw_sql_bool(&row, 2);
	return bmw_sql_bool(&row, 1);
}
