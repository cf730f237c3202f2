/*
 * pg/store_record.c - the statements by which the dispatcher writes the log.
 *
 * A flush is one statement for each kind of row, over arrays. In the common case
 * that is one INSERT of deliveries and nothing else.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "pg/event_store.h"
#include "pg/sql_row.h"
#include "pg/statement.h"
#include "pg/store.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

static BmwStatement insert_deliveries = {
	"INSERT INTO bm_webhook.delivery (event_id, endpoint_id, status, attempts, next_attempt_at,"
	" first_attempt_at, last_attempt_at, http_status, error_class, error, duration)"
	" SELECT * FROM ROWS FROM (unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11))",
	11,
	{UUIDARRAYOID, INT8ARRAYOID, TEXTARRAYOID, INT4ARRAYOID, TIMESTAMPTZARRAYOID,
	 TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID, INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
	 INTERVALARRAYOID}};

static BmwStatement update_deliveries = {
	"UPDATE bm_webhook.delivery d SET status = r.status, attempts = r.attempts,"
	" next_attempt_at = r.next_attempt_at, first_attempt_at = r.first_attempt_at,"
	" last_attempt_at = coalesce(r.last_attempt_at, d.last_attempt_at),"
	" http_status = r.http_status, error_class = r.error_class, error = r.error, duration = r.duration"
	" FROM ROWS FROM (unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)) AS r (event_id, endpoint_id,"
	" status, attempts, next_attempt_at, first_attempt_at, last_attempt_at, http_status, error_class, error, duration)"
	" WHERE d.event_id = r.event_id AND d.endpoint_id = r.endpoint_id",
	11,
	{UUIDARRAYOID, INT8ARRAYOID, TEXTARRAYOID, INT4ARRAYOID, TIMESTAMPTZARRAYOID,
	 TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID, INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
	 INTERVALARRAYOID}};

static BmwStatement insert_attempts = {
	"INSERT INTO bm_webhook.failed_attempt (event_id, endpoint_id, attempt, attempted_at, error_class, http_status,"
	" error, name_time, connect_time, tls_time, first_byte_time, total_time, response)"
	" SELECT * FROM ROWS FROM (unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13))",
	13,
	{UUIDARRAYOID, INT8ARRAYOID, INT4ARRAYOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID, INT4ARRAYOID,
	 TEXTARRAYOID, INTERVALARRAYOID, INTERVALARRAYOID, INTERVALARRAYOID, INTERVALARRAYOID,
	 INTERVALARRAYOID, TEXTARRAYOID}};

static BmwStatement exhausted = {
	"SELECT e.application, e.channel, e.message_id, pg_catalog.json_build_object('event_id', e.id, 'event_type', e.type,"
	" 'endpoint_id', d.endpoint_id, 'attempts', d.attempts, 'http_status', d.http_status,"
	" 'error_class', d.error_class, 'error', d.error)::text"
	" FROM bm_webhook.event e JOIN bm_webhook.delivery d ON d.event_id = e.id"
	" WHERE e.id = $1 AND d.event_id = $1 AND d.endpoint_id = $2",
	2,
	{UUIDOID, INT8OID}};

/* An endpoint that keeps the order no longer: what was held back is due. */
static BmwStatement let_go = {
	"WITH held AS MATERIALIZED (SELECT event_id FROM bm_webhook.delivery"
	"  WHERE endpoint_id = $1 AND status = 'pending' AND next_attempt_at = 'infinity' LIMIT $2)"
	" UPDATE bm_webhook.delivery d SET next_attempt_at = pg_catalog.now()"
	" FROM held WHERE d.event_id = held.event_id AND d.endpoint_id = $1",
	2,
	{INT8OID, INT8OID}};

static BmwStatement cancel = {
	"WITH waiting AS MATERIALIZED (SELECT event_id FROM bm_webhook.delivery"
	"  WHERE endpoint_id = $1 AND status = 'pending'"
	"  AND NOT EXISTS (SELECT FROM bm_webhook.endpoint WHERE id = $1) LIMIT $3)"
	" UPDATE bm_webhook.delivery d SET status = 'canceled', next_attempt_at = NULL, error = $2"
	" FROM waiting WHERE d.event_id = waiting.event_id AND d.endpoint_id = $1",
	3,
	{INT8OID, TEXTOID, INT8OID}};

static void record_deliveries(BmwStatement *statement, const BmwRecord *records, int length,
							  bool has_row);
static void record_attempts(const BmwRecord *records, int length);
static void emit_exhausted(const BmwRecord *record);

void
bmw_store_record(const BmwRecord *records, int length)
{
	record_deliveries(&insert_deliveries, records, length, false);
	record_deliveries(&update_deliveries, records, length, true);
	record_attempts(records, length);
	for (int i = 0; i < length; i++)
		if (records[i].is_exhausted)
			emit_exhausted(&records[i]);
}

int
bmw_store_let_go(int64 endpoint_id, int limit)
{
	Datum values[2] = {Int64GetDatum(endpoint_id), Int64GetDatum(limit)};

	return bmw_statement_run(&let_go, values);
}

int
bmw_store_cancel(int64 endpoint_id, const char *reason, int limit)
{
	Datum values[3] = {Int64GetDatum(endpoint_id), bmw_sql_from_utf8(reason), Int64GetDatum(limit)};

	return bmw_statement_run(&cancel, values);
}

/* The rows of records that have (lack) a row in the table, as columns. */
static void
record_deliveries(BmwStatement *statement, const BmwRecord *records, int length, bool has_row)
{
	BmwSqlColumn c[11];
	static const Oid types[11] = {UUIDOID,		  INT8OID,		  TEXTOID,		  INT4OID,
								  TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID,
								  TEXTOID,		  TEXTOID,		  INTERVALOID};

	for (int i = 0; i < 11; i++)
		bmw_sql_column_init(&c[i], types[i], length);
	for (int i = 0; i < length; i++)
	{
		const BmwRecord *r = &records[i];

		if (r->has_row != has_row)
			continue;
		bmw_sql_column_add_uuid(&c[0], &r->event_id);
		bmw_sql_column_add(&c[1], Int64GetDatum(r->endpoint_id));
		bmw_sql_column_add_text(&c[2], r->status);
		bmw_sql_column_add(&c[3], Int32GetDatum(r->attempts));
		if (r->next_attempt_us == BMW_HELD_BACK)
			bmw_sql_column_add(&c[4], TimestampTzGetDatum(DT_NOEND));
		else
			bmw_sql_column_add_time(&c[4], r->next_attempt_us);
		bmw_sql_column_add_time(&c[5], r->first_attempt_us);
		bmw_sql_column_add_time(&c[6], r->last_attempt_us);
		bmw_sql_column_add_int32(&c[7], r->http_status);
		bmw_sql_column_add_text(&c[8], r->error_class);
		bmw_sql_column_add_text(&c[9], r->error);
		bmw_sql_column_add_interval(&c[10], r->times.total_us);
	}
	bmw_statement_run_columns(statement, c);
}

static void
record_attempts(const BmwRecord *records, int length)
{
	BmwSqlColumn c[13];
	static const Oid types[13] = {
		UUIDOID,	 INT8OID,	  INT4OID,	   TIMESTAMPTZOID, TEXTOID,		INT4OID, TEXTOID,
		INTERVALOID, INTERVALOID, INTERVALOID, INTERVALOID,	   INTERVALOID, TEXTOID};

	for (int i = 0; i < 13; i++)
		bmw_sql_column_init(&c[i], types[i], length);
	for (int i = 0; i < length; i++)
	{
		const BmwRecord *r = &records[i];

		if (!r->is_failed_attempt)
			continue;
		bmw_sql_column_add_uuid(&c[0], &r->event_id);
		bmw_sql_column_add(&c[1], Int64GetDatum(r->endpoint_id));
		bmw_sql_column_add(&c[2], Int32GetDatum(r->attempts));
		bmw_sql_column_add_time(&c[3], r->last_attempt_us);
		bmw_sql_column_add_text(&c[4], r->error_class);
		bmw_sql_column_add_int32(&c[5], r->http_status);
		bmw_sql_column_add_text(&c[6], r->error);
		bmw_sql_column_add_interval(&c[7], r->times.name_us);
		bmw_sql_column_add_interval(&c[8], r->times.connect_us);
		bmw_sql_column_add_interval(&c[9], r->times.tls_us);
		bmw_sql_column_add_interval(&c[10], r->times.first_byte_us);
		bmw_sql_column_add_interval(&c[11], r->times.total_us);
		bmw_sql_column_add_text(&c[12], r->response);
	}
	bmw_statement_run_columns(&insert_attempts, c);
}

static void
emit_exhausted(const BmwRecord *record)
{
	Datum values[2] = {PointerGetDatum(record->event_id.bytes), Int64GetDatum(record->endpoint_id)};
	BmwNewEvent event = {.type = "delivery.exhausted"};

	if (bmw_statement_run(&exhausted, values) == 0)
		return; /* somebody has deleted it */
	event.application = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	event.channel = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2);
	event.message_id = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 3);
	event.data = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 4);
	bmw_event_store_insert(&event, 1);
}
