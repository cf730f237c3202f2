/*
 * pg/dispatch/store_record.c - the statements by which the dispatcher writes the log.
 *
 * A flush is one statement for each kind of row, over arrays. In the common case
 * that is one INSERT of deliveries and nothing else.
 */
#include "postgres.h"

#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "pg/sql/insert.h"
#include "pg/sql/sql_row.h"
#include "pg/sql/statement.h"
#include "pg/dispatch/store.h"
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

/* Which of these deliveries (counted from 1) nobody else has locked; they are locked now. When they are due. */
static BmwStatement lock_deliveries = {
	"SELECT r.n, CASE d.status WHEN 'pending' THEN d.next_attempt_at END FROM ROWS FROM (unnest($1, $2)) WITH ORDINALITY AS r (event_id, endpoint_id, n)"
	" JOIN bm_webhook.delivery d ON d.event_id = r.event_id AND d.endpoint_id = r.endpoint_id"
	" FOR NO KEY UPDATE OF d SKIP LOCKED",
	2,
	{UUIDARRAYOID, INT8ARRAYOID}};

/* Which of them there are. */
static BmwStatement find_deliveries = {
	"SELECT r.n FROM ROWS FROM (unnest($1, $2)) WITH ORDINALITY AS r (event_id, endpoint_id, n)"
	" JOIN bm_webhook.delivery d ON d.event_id = r.event_id AND d.endpoint_id = r.endpoint_id",
	2,
	{UUIDARRAYOID, INT8ARRAYOID}};

static BmwStatement set_aside = {
	"INSERT INTO bm_webhook.set_aside (event_id, endpoint_id, status, attempts, next_attempt_at,"
	" first_attempt_at, last_attempt_at, http_status, error_class, error, duration,"
	" name_time, connect_time, tls_time, first_byte_time, response, is_failed_attempt, is_exhausted, cause, sqlstate)"
	" SELECT * FROM ROWS FROM (unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,"
	"  $17, $18, $19, $20))"
	" ON CONFLICT (event_id, endpoint_id) DO UPDATE SET (status, attempts, next_attempt_at, first_attempt_at,"
	"  last_attempt_at, http_status, error_class, error, duration, name_time, connect_time, tls_time,"
	"  first_byte_time, response, is_failed_attempt, is_exhausted, cause, sqlstate) ="
	" (excluded.status, excluded.attempts, excluded.next_attempt_at, excluded.first_attempt_at,"
	"  excluded.last_attempt_at, excluded.http_status, excluded.error_class, excluded.error, excluded.duration,"
	"  excluded.name_time, excluded.connect_time, excluded.tls_time, excluded.first_byte_time,"
	"  excluded.response, excluded.is_failed_attempt, excluded.is_exhausted, excluded.cause, excluded.sqlstate)",
	20,
	{UUIDARRAYOID,		  INT8ARRAYOID,		   TEXTARRAYOID,		INT4ARRAYOID,
	 TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID, INT4ARRAYOID,
	 TEXTARRAYOID,		  TEXTARRAYOID,		   INTERVALARRAYOID,	INTERVALARRAYOID,
	 INTERVALARRAYOID,	  INTERVALARRAYOID,	   INTERVALARRAYOID,	TEXTARRAYOID,
	 BOOLARRAYOID,		  BOOLARRAYOID,		   TEXTARRAYOID,		TEXTARRAYOID}};

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

static void lock_existing(BmwRecord *records, int length);
static void mark_locked(BmwSqlColumn *keys, BmwRecord **existing);
static void mark_overtaken(BmwRecord *record, const BmwSqlRow *row);
static bool *ordinals(int rows, int length);
static void record_deliveries(BmwStatement *statement, const BmwRecord *records, int length,
							  bool has_row);
static void init_columns(BmwSqlColumn *columns, const Oid *types, int columns_length, int length);
static void add_delivery(BmwSqlColumn *c, const BmwRecord *record);
static void record_attempts(const BmwRecord *records, int length);
static void emit_exhausted(const BmwRecord *record);

static const Oid delivery_types[11] = {UUIDOID,		   INT8OID,		   TEXTOID,		   INT4OID,
									   TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID,
									   TEXTOID,		   TEXTOID,		   INTERVALOID};

bool
bmw_store_log_is_free(bool with_partitions)
{
	static const char *const tables[] = {"delivery", "failed_attempt"};
	bool is_free = true;

	for (size_t i = 0; i < lengthof(tables) && is_free; i++)
	{
		Oid table = bmw_statement_table(tables[i]);
		ListCell *cell;

		is_free = bmw_statement_lock(table, RowExclusiveLock);
		if (!is_free || !with_partitions)
			continue;
		foreach (cell, find_inheritance_children(table, NoLock))
			is_free = is_free && bmw_statement_lock(lfirst_oid(cell), RowExclusiveLock);
	}
	return is_free;
}

void
bmw_store_record(BmwRecord *records, int length)
{
	lock_existing(records, length);
	record_deliveries(&insert_deliveries, records, length, false);
	record_deliveries(&update_deliveries, records, length, true);
	record_attempts(records, length);
	for (int i = 0; i < length; i++)
		if (records[i].is_exhausted && !records[i].is_locked &&
			records[i].fate != BMW_RECORD_OVERTAKEN)
			emit_exhausted(&records[i]);
}

void
bmw_store_set_aside(const BmwRecord *record, const char *cause, const char *sqlstate)
{
	BmwSqlColumn c[20];
	static const Oid types[9] = {INTERVALOID, INTERVALOID, INTERVALOID, INTERVALOID, TEXTOID,
								 BOOLOID,	  BOOLOID,	   TEXTOID,		TEXTOID};

	init_columns(c, delivery_types, 11, 1);
	init_columns(&c[11], types, 9, 1);
	add_delivery(c, record);
	bmw_sql_column_add_interval(&c[11], record->times.name_us);
	bmw_sql_column_add_interval(&c[12], record->times.connect_us);
	bmw_sql_column_add_interval(&c[13], record->times.tls_us);
	bmw_sql_column_add_interval(&c[14], record->times.first_byte_us);
	bmw_sql_column_add_text(&c[15], record->response);
	bmw_sql_column_add(&c[16], BoolGetDatum(record->is_failed_attempt));
	bmw_sql_column_add(&c[17], BoolGetDatum(record->is_exhausted));
	bmw_sql_column_add(&c[18], CStringGetTextDatum(cause));
	bmw_sql_column_add(&c[19], CStringGetTextDatum(sqlstate));
	bmw_statement_run_columns(&set_aside, c);
}

/*
 * Locks the rows that are to be changed, and marks the records of those that
 * somebody else has locked: nobody's outcome waits for a user's transaction.
 */
static void
lock_existing(BmwRecord *records, int length)
{
	BmwSqlColumn keys[2];
	BmwRecord **existing = palloc(sizeof(*existing) * Max(length, 1));

	bmw_sql_column_init(&keys[0], UUIDOID, length);
	bmw_sql_column_init(&keys[1], INT8OID, length);
	for (int i = 0; i < length; i++)
	{
		records[i].is_locked = false;
		if (!records[i].has_row)
			continue;
		existing[keys[0].length] = &records[i];
		bmw_sql_column_add_uuid(&keys[0], &records[i].event_id);
		bmw_sql_column_add(&keys[1], Int64GetDatum(records[i].endpoint_id));
	}
	mark_locked(keys, existing);
}

/* What could not be locked is there all the same, or has been deleted. */
static void
mark_locked(BmwSqlColumn *keys, BmwRecord **existing)
{
	int length = keys[0].length;
	int rows = bmw_statement_run_columns(&lock_deliveries, keys);
	bool *is_ours;
	bool *is_there;

	for (int i = 0; i < rows; i++)
	{
		BmwSqlRow row = {SPI_tuptable->vals[i], SPI_tuptable->tupdesc};

		mark_overtaken(existing[bmw_sql_int64(&row, 1) - 1], &row);
	}
	if (rows == length)
		return;
	is_ours = ordinals(rows, length);
	is_there = ordinals(bmw_statement_run_columns(&find_deliveries, keys), length);
	for (int i = 0; i < length; i++)
		existing[i]->is_locked = is_there[i] && !is_ours[i];
}

/* Somebody has made it due at another time since it was fetched: that stays. */
static void
mark_overtaken(BmwRecord *record, const BmwSqlRow *row)
{
	int64 due_us = bmw_sql_due(row, 2);

	if (due_us == 0 || due_us == record->fetched_due_us)
		return;
	record->fate = BMW_RECORD_OVERTAKEN;
	record->kept_due_us = due_us;
}

/* The numbers (from 1) in the first column of the rows, as a set. */
static bool *
ordinals(int rows, int length)
{
	bool *is_in = palloc0(sizeof(*is_in) * length);

	for (int i = 0; i < rows; i++)
	{
		BmwSqlRow row = {SPI_tuptable->vals[i], SPI_tuptable->tupdesc};

		is_in[bmw_sql_int64(&row, 1) - 1] = true;
	}
	return is_in;
}

/* The rows of records that have (lack) a row in the table. */
static void
record_deliveries(BmwStatement *statement, const BmwRecord *records, int length, bool has_row)
{
	BmwSqlColumn c[11];

	init_columns(c, delivery_types, 11, length);
	for (int i = 0; i < length; i++)
		if (records[i].has_row == has_row && !records[i].is_locked)
			add_delivery(c, &records[i]);
	bmw_statement_run_columns(statement, c);
}

static void
init_columns(BmwSqlColumn *columns, const Oid *types, int columns_length, int length)
{
	for (int i = 0; i < columns_length; i++)
		bmw_sql_column_init(&columns[i], types[i], length);
}

static void
add_delivery(BmwSqlColumn *c, const BmwRecord *r)
{
	static const char *const statuses[] = {
		[BMW_PENDING] = "pending",
		[BMW_DELIVERED] = "delivered",
		[BMW_FAILED] = "failed",
		[BMW_CANCELED] = "canceled",
	};
	bool is_overtaken = r->fate == BMW_RECORD_OVERTAKEN;
	int64 due_us = is_overtaken ? r->kept_due_us : r->next_attempt_us;

	bmw_sql_column_add_uuid(&c[0], &r->event_id);
	bmw_sql_column_add(&c[1], Int64GetDatum(r->endpoint_id));
	bmw_sql_column_add_text(&c[2], statuses[is_overtaken ? BMW_PENDING : r->status]);
	bmw_sql_column_add(&c[3], Int32GetDatum(r->attempts));
	if (due_us == BMW_HELD_BACK)
		bmw_sql_column_add(&c[4], TimestampTzGetDatum(DT_NOEND));
	else
		bmw_sql_column_add_time(&c[4], due_us);
	bmw_sql_column_add_time(&c[5], r->first_attempt_us);
	bmw_sql_column_add_time(&c[6], r->last_attempt_us);
	bmw_sql_column_add_int32(&c[7], r->http_status);
	bmw_sql_column_add_text(&c[8], r->error_class);
	bmw_sql_column_add_text(&c[9], r->error);
	bmw_sql_column_add_interval(&c[10], r->times.total_us);
}

static void
record_attempts(const BmwRecord *records, int length)
{
	BmwSqlColumn c[13];
	static const Oid types[13] = {
		UUIDOID,	 INT8OID,	  INT4OID,	   TIMESTAMPTZOID, TEXTOID,		INT4OID, TEXTOID,
		INTERVALOID, INTERVALOID, INTERVALOID, INTERVALOID,	   INTERVALOID, TEXTOID};

	init_columns(c, types, 13, length);
	for (int i = 0; i < length; i++)
	{
		const BmwRecord *r = &records[i];

		if (!r->is_failed_attempt || r->is_locked)
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
