/*
 * pg/dispatch/store_filter.c - the statement that tells of a filter that has failed.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "pg/dispatch/store.h"
#include "pg/sql/insert.h"
#include "pg/sql/sql_row.h"
#include "pg/sql/statement.h"
#include "utils/builtins.h"

static BmwStatement describe = {
	"SELECT application, channel, pg_catalog.json_build_object('endpoint_id', $1, 'event_id', $2,"
	"  'event_type', (SELECT v.type FROM bm_webhook.event v WHERE v.id = $2), 'error', $3, 'failures', $4)::text"
	" FROM bm_webhook.endpoint WHERE id = $1 AND deleted_at IS NULL",
	4,
	{INT8OID, UUIDOID, TEXTOID, INT8OID},
	.is_planned_anew = true};

void
bmw_store_filter_failed(int64 endpoint_id, const BmwUuid *event_id, const char *error,
						int64 failures)
{
	Datum values[4] = {Int64GetDatum(endpoint_id), PointerGetDatum(event_id->bytes),
					   CStringGetTextDatum(error), Int64GetDatum(failures)};
	BmwNewEvent event = {.type = "webhook.filter_failed"};
	BmwSqlRow row;

	if (bmw_statement_run(&describe, values) == 0)
		return;
	row = (BmwSqlRow){SPI_tuptable->vals[0], SPI_tuptable->tupdesc};
	event.application = SPI_getvalue(row.tuple, row.descriptor, 1);
	event.channel = SPI_getvalue(row.tuple, row.descriptor, 2);
	event.data = SPI_getvalue(row.tuple, row.descriptor, 3);
	bmw_event_store_insert(&event, 1);
}
