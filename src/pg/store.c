/*
 * pg/store.c - every SQL statement of the dispatcher.
 *
 * Statements are prepared at their first use and kept for the life of the
 * process. Intake must not depend on the planner's mood: with sorts and bitmap
 * scans ruled out (pg/transaction.c) it merges index scans of the partitions
 * that its floor leaves over. Rows are handed out one at a time; what a row
 * needed is freed before the next.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "pg/event_store.h"
#include "pg/interval.h"
#include "pg/sql_row.h"
#include "pg/store.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/pg_lsn.h"
#include "utils/xid8.h"

#define EVENT_COLUMNS                                                                                                  \
	"e.xid, e.id, e.type, e.application, e.channel, e.message_id, e.endpoint_id, e.occurred_at, e.created_at, e.data," \
	" e.reply_to IS NOT NULL AS is_reply"
#define MAX_ARGUMENTS 14

typedef struct Statement
{
	const char *sql;
	int arguments;
	Oid types[MAX_ARGUMENTS];
	SPIPlanPtr plan;
} Statement;

static Statement version = {
	"SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'bm_webhook'"};

static Statement current_snapshot = {"SELECT pg_catalog.pg_current_snapshot()::text"};

static Statement read_cursor = {
	"SELECT snapshot::text, since FROM bm_webhook.cursor WHERE shard = $1 AND shards = $2",
	2,
	{INT4OID, INT4OID}};

static Statement lock_cursor = {"LOCK TABLE bm_webhook.cursor IN EXCLUSIVE MODE"};

/* The new shards all start where the slowest of the old ones was. */
static Statement reset_cursor = {
	"WITH old AS (DELETE FROM bm_webhook.cursor RETURNING pg_catalog.pg_snapshot_xmin(snapshot) AS xmin, since),"
	" oldest AS (SELECT coalesce((SELECT xmin FROM old ORDER BY xmin LIMIT 1),"
	"  pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())) AS xmin,"
	"  coalesce((SELECT since FROM old ORDER BY since LIMIT 1), pg_catalog.now()) AS since)"
	" INSERT INTO bm_webhook.cursor"
	" SELECT shard, $1, (xmin::text || ':' || xmin::text || ':')::pg_snapshot, since, pg_catalog.now()"
	" FROM oldest, pg_catalog.generate_series(0, $1 - 1) AS shard",
	1,
	{INT4OID}};

static Statement write_cursor = {
	"UPDATE bm_webhook.cursor SET snapshot = $2::pg_snapshot, since = $3, updated_at = pg_catalog.now() WHERE shard = $1",
	3,
	{INT4OID, TEXTOID, TIMESTAMPTZOID}};

static Statement new_events = {"SELECT " EVENT_COLUMNS " FROM bm_webhook.event e"
							   " WHERE (e.xid, e.id) > ($1, $2) AND e.id >= $3"
							   " AND pg_catalog.pg_visible_in_snapshot(e.xid, $4::pg_snapshot)"
							   " ORDER BY e.xid, e.id LIMIT $5",
							   5,
							   {XID8OID, UUIDOID, UUIDOID, TEXTOID, INT8OID}};

/*
 * A range of (xid, id) rather than xid = ..., after which the planner would take
 * the order of id for enough and read the primary key from its beginning.
 */
static Statement events_of = {
	"SELECT e.* FROM pg_catalog.unnest($1) AS ended(xid) CROSS JOIN LATERAL"
	" (SELECT " EVENT_COLUMNS " FROM bm_webhook.event e"
	"  WHERE (e.xid, e.id) > (ended.xid, CASE WHEN ended.xid = $2 THEN $3 ELSE '00000000-0000-0000-0000-000000000000' END)"
	"  AND (e.xid, e.id) <= (ended.xid, 'ffffffff-ffff-ffff-ffff-ffffffffffff') AND e.id >= $4"
	"  ORDER BY e.xid, e.id LIMIT $5) e LIMIT $5",
	5,
	{XID8ARRAYOID, XID8OID, UUIDOID, UUIDOID, INT8OID}};

static Statement existing = {
	"SELECT d.event_id, d.endpoint_id FROM bm_webhook.delivery d WHERE d.event_id = ANY ($1)",
	1,
	{UUIDARRAYOID}};

#define DUE_COLUMNS EVENT_COLUMNS ", d.attempts, d.first_attempt_at"

static Statement due = {
	"SELECT " DUE_COLUMNS
	" FROM (SELECT event_id, attempts, first_attempt_at, next_attempt_at FROM bm_webhook.delivery"
	"  WHERE endpoint_id = $1 AND status = 'pending' AND next_attempt_at <= $2"
	"  ORDER BY endpoint_id, next_attempt_at LIMIT $3) d"
	" JOIN bm_webhook.event e ON e.id = d.event_id",
	3,
	{INT8OID, TIMESTAMPTZOID, INT8OID}};

static Statement waiting = {
	"SELECT " DUE_COLUMNS " FROM pg_catalog.unnest($2) AS wanted(id)"
	" JOIN bm_webhook.delivery d ON d.event_id = wanted.id AND d.endpoint_id = $1 AND d.status = 'pending'"
	"  AND d.next_attempt_at = 'infinity'"
	" JOIN bm_webhook.event e ON e.id = d.event_id",
	2,
	{INT8OID, UUIDARRAYOID}};

/* For an endpoint that keeps the order: everything that has not ended. */
static Statement unfinished = {
	"SELECT d.event_id, e.application, e.message_id FROM bm_webhook.delivery d JOIN bm_webhook.event e ON e.id = d.event_id"
	" WHERE d.endpoint_id = $1 AND d.status = 'pending' AND e.message_id IS NOT NULL",
	1,
	{INT8OID}};

/* An endpoint that keeps the order no longer: what was held back is due. */
static Statement let_go = {
	"WITH held AS MATERIALIZED (SELECT event_id FROM bm_webhook.delivery"
	"  WHERE endpoint_id = $1 AND status = 'pending' AND next_attempt_at = 'infinity' LIMIT $2)"
	" UPDATE bm_webhook.delivery d SET next_attempt_at = pg_catalog.now()"
	" FROM held WHERE d.event_id = held.event_id AND d.endpoint_id = $1",
	2,
	{INT8OID, INT8OID}};

static Statement next_due = {
	"SELECT next_attempt_at FROM bm_webhook.delivery"
	" WHERE endpoint_id = $1 AND status = 'pending' AND next_attempt_at > $2 AND next_attempt_at < 'infinity'"
	" ORDER BY endpoint_id, next_attempt_at LIMIT 1",
	2,
	{INT8OID, TIMESTAMPTZOID}};

static Statement pending = {
	"SELECT endpoint_id, min(next_attempt_at) FROM bm_webhook.delivery WHERE status = 'pending'"
	" AND next_attempt_at < 'infinity' GROUP BY endpoint_id"};

static Statement insert_deliveries = {
	"INSERT INTO bm_webhook.delivery (event_id, endpoint_id, status, attempts, next_attempt_at,"
	" first_attempt_at, last_attempt_at, http_status, error_class, error, duration)"
	" SELECT * FROM ROWS FROM (unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11))",
	11,
	{UUIDARRAYOID, INT8ARRAYOID, TEXTARRAYOID, INT4ARRAYOID, TIMESTAMPTZARRAYOID,
	 TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID, INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
	 INTERVALARRAYOID}};

static Statement update_deliveries = {
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

static Statement insert_attempts = {
	"INSERT INTO bm_webhook.failed_attempt (event_id, endpoint_id, attempt, attempted_at, error_class, http_status,"
	" error, name_time, connect_time, tls_time, first_byte_time, total_time, response)"
	" SELECT * FROM ROWS FROM (unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13))",
	13,
	{UUIDARRAYOID, INT8ARRAYOID, INT4ARRAYOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID, INT4ARRAYOID,
	 TEXTARRAYOID, INTERVALARRAYOID, INTERVALARRAYOID, INTERVALARRAYOID, INTERVALARRAYOID,
	 INTERVALARRAYOID, TEXTARRAYOID}};

static Statement endpoints = {
	"SELECT id, application, channel, url, enabled, (extract(epoch FROM timeout) * 1000)::integer, max_in_flight,"
	" created_at, failing_since, event_types,"
	" ARRAY(SELECT h.key FROM pg_catalog.jsonb_each_text(headers) h),"
	" ARRAY(SELECT h.value FROM pg_catalog.jsonb_each_text(headers) h),"
	" ARRAY(SELECT (extract(epoch FROM d) * 1000000)::bigint FROM pg_catalog.unnest(retry_delays) d),"
	" ARRAY(SELECT s.secret FROM bm_webhook.endpoint_secret s WHERE s.endpoint_id = e.id ORDER BY s.id DESC),"
	" ordering = 'by_message'"
	" FROM bm_webhook.endpoint e"};

static Statement muted = {
	"SELECT name, muted_event_types FROM bm_webhook.application WHERE muted_event_types <> '{}'"};

static Statement cancel = {
	"WITH waiting AS MATERIALIZED (SELECT event_id FROM bm_webhook.delivery"
	"  WHERE endpoint_id = $1 AND status = 'pending'"
	"  AND NOT EXISTS (SELECT FROM bm_webhook.endpoint WHERE id = $1) LIMIT $3)"
	" UPDATE bm_webhook.delivery d SET status = 'canceled', next_attempt_at = NULL, error = $2"
	" FROM waiting WHERE d.event_id = waiting.event_id AND d.endpoint_id = $1",
	3,
	{INT8OID, TEXTOID, INT8OID}};

static Statement exhausted = {
	"SELECT e.application, e.channel, e.message_id, pg_catalog.json_build_object('event_id', e.id, 'event_type', e.type,"
	" 'endpoint_id', d.endpoint_id, 'attempts', d.attempts, 'http_status', d.http_status,"
	" 'error_class', d.error_class, 'error', d.error)::text"
	" FROM bm_webhook.event e JOIN bm_webhook.delivery d ON d.event_id = e.id"
	" WHERE e.id = $1 AND d.event_id = $1 AND d.endpoint_id = $2",
	2,
	{UUIDOID, INT8OID}};

/* A row that a user has locked is left for later: the dispatcher waits for nobody. */
static Statement set_failing = {
	"WITH free AS (SELECT id, failing_since FROM bm_webhook.endpoint WHERE id = $1 FOR NO KEY UPDATE SKIP LOCKED),"
	" changed AS (UPDATE bm_webhook.endpoint e SET failing_since = $2 FROM free WHERE e.id = free.id"
	"  RETURNING e.application, e.channel, free.failing_since AS was_failing_since)"
	" SELECT EXISTS (SELECT FROM changed) OR NOT EXISTS (SELECT FROM bm_webhook.endpoint WHERE id = $1),"
	"  (SELECT was_failing_since IS NOT NULL AND $2 IS NULL FROM changed),"
	"  (SELECT application FROM changed), (SELECT channel FROM changed),"
	"  pg_catalog.json_build_object('endpoint_id', $1, 'failing_since', (SELECT was_failing_since FROM changed))::text",
	2,
	{INT8OID, TIMESTAMPTZOID}};

static Statement disable = {
	"WITH free AS (SELECT id FROM bm_webhook.endpoint WHERE id = $1 AND enabled FOR NO KEY UPDATE SKIP LOCKED),"
	" changed AS (UPDATE bm_webhook.endpoint e SET enabled = false, disabled_reason = $2"
	"  FROM free WHERE e.id = free.id RETURNING e.application, e.channel, e.failing_since)"
	" SELECT EXISTS (SELECT FROM changed),"
	"  NOT EXISTS (SELECT FROM bm_webhook.endpoint WHERE id = $1 AND enabled),"
	"  (SELECT application FROM changed), (SELECT channel FROM changed),"
	"  pg_catalog.json_build_object('endpoint_id', $1, 'reason', $2,"
	"   'failing_since', (SELECT failing_since FROM changed))::text",
	2,
	{INT8OID, TEXTOID}};

/* An endpoint that matches and has no row yet counts as waiting. */
static Statement event_state = {
	"SELECT e.xid OPERATOR(pg_catalog.=) pg_catalog.pg_current_xact_id_if_assigned(), n.delivered, n.ended, n.waiting"
	" FROM bm_webhook.event e CROSS JOIN LATERAL"
	" (SELECT count(*) FILTER (WHERE w.status = 'delivered') AS delivered,"
	"   count(*) FILTER (WHERE w.status IN ('failed', 'canceled')) AS ended,"
	"   count(*) FILTER (WHERE w.status = 'pending') AS waiting"
	"  FROM (SELECT d.status FROM bm_webhook.delivery d WHERE d.event_id = e.id"
	"   UNION ALL"
	"   SELECT 'pending' FROM bm_webhook.endpoint p"
	"    WHERE bm_webhook._wants(p, e)"
	"    AND NOT EXISTS (SELECT FROM bm_webhook.delivery d WHERE d.event_id = e.id AND d.endpoint_id = p.id)) w) n"
	" WHERE e.id = $1",
	1,
	{UUIDOID}};

static Statement create_partitions = {"SELECT bm_webhook._create_partitions(4)"};

static int execute(Statement *statement, Datum *values, const char *nulls, int limit);
static int execute_plain(Statement *statement, Datum *values);
static void read_event(const BmwSqlRow *row, BmwEventRow *event);
static void emit_exhausted(const BmwRecord *record);
static void emit_about_endpoint(const char *type, const BmwSqlRow *row);
static int each_event(int rows, BmwEventRowFn fn, void *context);
static int each_due(int rows, BmwDueRowFn fn, void *context);
static MemoryContext make_row_context(void);
static void parse_snapshot(const char *text, BmwSnapshot *snapshot);
static Datum snapshot_datum(const BmwSnapshot *snapshot);
static void read_endpoint(const BmwSqlRow *row, BmwEndpointRow *endpoint);
static void record_deliveries(Statement *statement, const BmwRecord *records, int length,
							  bool has_row);
static void record_attempts(const BmwRecord *records, int length);
static int execute_columns(Statement *statement, BmwSqlColumn *columns);

char *
bmw_store_version(void)
{
	BmwSqlRow row;

	if (execute_plain(&version, NULL) == 0)
		return NULL;
	row = (BmwSqlRow){SPI_tuptable->vals[0], SPI_tuptable->tupdesc};
	return pstrdup(bmw_sql_text(&row, 1, NULL));
}

Oid
bmw_store_cursor_table(void)
{
	return get_relname_relid("cursor", get_namespace_oid("bm_webhook", false));
}

void
bmw_store_read_cursor(int shard, int shards, BmwSnapshot *snapshot, int64 *since_us)
{
	Datum values[2] = {Int32GetDatum(shard), Int32GetDatum(shards)};
	BmwSqlRow row;

	if (execute_plain(&read_cursor, values) == 0)
	{
		execute_plain(&lock_cursor, NULL);
		if (execute_plain(&read_cursor, values) == 0)
			execute_plain(&reset_cursor, &values[1]);
		if (execute_plain(&read_cursor, values) == 0)
			ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
					errmsg("could not reset the cursor of shard %d", shard));
	}
	row = (BmwSqlRow){SPI_tuptable->vals[0], SPI_tuptable->tupdesc};
	parse_snapshot(bmw_sql_text(&row, 1, NULL), snapshot);
	*since_us = bmw_sql_time(&row, 2);
}

void
bmw_store_write_cursor(int shard, const BmwSnapshot *snapshot, int64 since_us)
{
	Datum values[3] = {Int32GetDatum(shard), snapshot_datum(snapshot),
					   TimestampTzGetDatum(bmw_from_unix_us(since_us))};

	execute_plain(&write_cursor, values);
}

void
bmw_store_current_snapshot(BmwSnapshot *snapshot)
{
	BmwSqlRow row;

	execute_plain(&current_snapshot, NULL);
	row = (BmwSqlRow){SPI_tuptable->vals[0], SPI_tuptable->tupdesc};
	parse_snapshot(bmw_sql_text(&row, 1, NULL), snapshot);
}

int
bmw_store_new_events(const BmwPosition *after, const BmwUuid *floor, const BmwSnapshot *now,
					 int limit, BmwEventRowFn fn, void *context)
{
	Datum values[5] = {FullTransactionIdGetDatum(FullTransactionIdFromU64(after->xid)),
					   PointerGetDatum(after->id.bytes), PointerGetDatum(floor->bytes),
					   snapshot_datum(now), Int64GetDatum(limit)};

	return each_event(execute_plain(&new_events, values), fn, context);
}

int
bmw_store_events_of(const uint64 *xids, int xids_length, const BmwPosition *after,
					const BmwUuid *floor, int limit, BmwEventRowFn fn, void *context)
{
	BmwSqlColumn column;
	Datum values[5];

	bmw_sql_column_init(&column, XID8OID, xids_length);
	for (int i = 0; i < xids_length; i++)
		if (xids[i] >= after->xid)
			bmw_sql_column_add(&column,
							   FullTransactionIdGetDatum(FullTransactionIdFromU64(xids[i])));
	values[0] = bmw_sql_column_array(&column);
	values[1] = FullTransactionIdGetDatum(FullTransactionIdFromU64(after->xid));
	values[2] = PointerGetDatum(after->id.bytes);
	values[3] = PointerGetDatum(floor->bytes);
	values[4] = Int64GetDatum(limit);
	return each_event(execute_plain(&events_of, values), fn, context);
}

void
bmw_store_existing(const BmwUuid *events, int length, BmwDeliveryFn fn, void *context)
{
	BmwSqlColumn column;
	Datum values[1];
	int rows;

	bmw_sql_column_init(&column, UUIDOID, length);
	for (int i = 0; i < length; i++)
		bmw_sql_column_add_uuid(&column, &events[i]);
	values[0] = bmw_sql_column_array(&column);
	rows = execute_plain(&existing, values);
	for (int i = 0; i < rows; i++)
	{
		BmwSqlRow row = {SPI_tuptable->vals[i], SPI_tuptable->tupdesc};
		BmwUuid id = bmw_sql_uuid(&row, 1);

		fn(&id, bmw_sql_int64(&row, 2), context);
	}
}

int
bmw_store_due(int64 endpoint_id, int64 now_us, int limit, BmwDueRowFn fn, void *context)
{
	Datum values[3] = {Int64GetDatum(endpoint_id), TimestampTzGetDatum(bmw_from_unix_us(now_us)),
					   Int64GetDatum(limit)};

	return each_due(execute_plain(&due, values), fn, context);
}

int
bmw_store_waiting(int64 endpoint_id, const BmwUuid *events, int length, BmwDueRowFn fn,
				  void *context)
{
	BmwSqlColumn column;
	Datum values[2];

	bmw_sql_column_init(&column, UUIDOID, length);
	for (int i = 0; i < length; i++)
		bmw_sql_column_add_uuid(&column, &events[i]);
	values[0] = Int64GetDatum(endpoint_id);
	values[1] = bmw_sql_column_array(&column);
	return each_due(execute_plain(&waiting, values), fn, context);
}

void
bmw_store_unfinished(int64 endpoint_id, BmwUnfinishedFn fn, void *context)
{
	Datum values[1] = {Int64GetDatum(endpoint_id)};
	int rows = execute_plain(&unfinished, values);

	for (int i = 0; i < rows; i++)
	{
		BmwSqlRow row = {SPI_tuptable->vals[i], SPI_tuptable->tupdesc};
		BmwUuid id = bmw_sql_uuid(&row, 1);

		fn(&id, bmw_sql_text(&row, 2, NULL), bmw_sql_text(&row, 3, NULL), context);
	}
}

int
bmw_store_let_go(int64 endpoint_id, int limit)
{
	Datum values[2] = {Int64GetDatum(endpoint_id), Int64GetDatum(limit)};

	return execute_plain(&let_go, values);
}

int64
bmw_store_next_due(int64 endpoint_id, int64 after_us)
{
	Datum values[2] = {Int64GetDatum(endpoint_id), TimestampTzGetDatum(bmw_from_unix_us(after_us))};
	BmwSqlRow row;

	if (execute_plain(&next_due, values) == 0)
		return PG_INT64_MAX;
	row = (BmwSqlRow){SPI_tuptable->vals[0], SPI_tuptable->tupdesc};
	return bmw_sql_time(&row, 1);
}

void
bmw_store_pending(BmwPendingFn fn, void *context)
{
	int rows = execute_plain(&pending, NULL);

	for (int i = 0; i < rows; i++)
	{
		BmwSqlRow row = {SPI_tuptable->vals[i], SPI_tuptable->tupdesc};

		fn(bmw_sql_int64(&row, 1), bmw_sql_time(&row, 2), context);
	}
}

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

static void
emit_exhausted(const BmwRecord *record)
{
	Datum values[2] = {PointerGetDatum(record->event_id.bytes), Int64GetDatum(record->endpoint_id)};
	BmwNewEvent event = {.type = "delivery.exhausted"};

	if (execute_plain(&exhausted, values) == 0)
		return; /* somebody has deleted it */
	event.application = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	event.channel = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2);
	event.message_id = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 3);
	event.data = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 4);
	bmw_event_store_insert(&event, 1);
}

void
bmw_store_endpoints(BmwEndpointRowFn fn, void *context)
{
	int rows = execute_plain(&endpoints, NULL);
	MemoryContext row_context = make_row_context();
	MemoryContext caller = MemoryContextSwitchTo(row_context);

	for (int i = 0; i < rows; i++)
	{
		BmwSqlRow row = {SPI_tuptable->vals[i], SPI_tuptable->tupdesc};
		BmwEndpointRow endpoint;

		read_endpoint(&row, &endpoint);
		fn(&endpoint, context);
		MemoryContextReset(row_context);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(row_context);
}

void
bmw_store_muted(BmwMutedFn fn, void *context)
{
	int rows = execute_plain(&muted, NULL);

	for (int i = 0; i < rows; i++)
	{
		BmwSqlRow row = {SPI_tuptable->vals[i], SPI_tuptable->tupdesc};
		int length;
		const char **patterns = bmw_sql_texts(&row, 2, &length);

		fn(bmw_sql_text(&row, 1, NULL), patterns, length, context);
	}
}

int
bmw_store_cancel(int64 endpoint_id, const char *reason, int limit)
{
	Datum values[3] = {Int64GetDatum(endpoint_id), bmw_sql_from_utf8(reason), Int64GetDatum(limit)};

	return execute_plain(&cancel, values);
}

bool
bmw_store_set_failing(int64 endpoint_id, int64 since_us)
{
	Datum values[2] = {Int64GetDatum(endpoint_id), TimestampTzGetDatum(bmw_from_unix_us(since_us))};
	BmwSqlRow row;

	execute(&set_failing, values, since_us == 0 ? " n" : NULL, 0);
	row = (BmwSqlRow){SPI_tuptable->vals[0], SPI_tuptable->tupdesc};

	bool is_done = bmw_sql_bool(&row, 1);

	if (bmw_sql_bool(&row, 2))
		emit_about_endpoint("endpoint.recovered", &row);
	return is_done;
}

bool
bmw_store_disable(int64 endpoint_id, const char *reason)
{
	Datum values[2] = {Int64GetDatum(endpoint_id), bmw_sql_from_utf8(reason)};
	BmwSqlRow row;

	execute_plain(&disable, values);
	row = (BmwSqlRow){SPI_tuptable->vals[0], SPI_tuptable->tupdesc};
	if (!bmw_sql_bool(&row, 1))
		return bmw_sql_bool(&row, 2);
	emit_about_endpoint("endpoint.disabled", &row);
	return true;
}

/* Columns 3 to 5 of the row: application, channel, data. */
static void
emit_about_endpoint(const char *type, const BmwSqlRow *row)
{
	BmwNewEvent event = {
		.type = type,
		.application = SPI_getvalue(row->tuple, row->descriptor, 3),
		.channel = SPI_getvalue(row->tuple, row->descriptor, 4),
		.data = SPI_getvalue(row->tuple, row->descriptor, 5),
	};

	bmw_event_store_insert(&event, 1);
}

BmwEventState
bmw_store_event_state(const BmwUuid *event_id)
{
	Datum values[1] = {PointerGetDatum(event_id->bytes)};
	BmwEventState state = BMW_EVENT_UNKNOWN;

	SPI_connect();
	if (execute_plain(&event_state, values) > 0)
	{
		BmwSqlRow row = {SPI_tuptable->vals[0], SPI_tuptable->tupdesc};

		if (bmw_sql_bool(&row, 1))
			state = BMW_EVENT_UNCOMMITTED;
		else if (bmw_sql_int64(&row, 3) > 0)
			state = BMW_EVENT_NOT_DELIVERED;
		else if (bmw_sql_int64(&row, 4) > 0)
			state = BMW_EVENT_WAITING;
		else
			state = bmw_sql_int64(&row, 2) > 0 ? BMW_EVENT_DELIVERED : BMW_EVENT_NOT_DELIVERED;
	}
	SPI_finish();
	return state;
}

void
bmw_store_create_partitions(void)
{
	execute_plain(&create_partitions, NULL);
}

static int
execute_plain(Statement *statement, Datum *values)
{
	return execute(statement, values, NULL, 0);
}

/* Returns the number of rows, which are in SPI_tuptable. */
static int
execute(Statement *statement, Datum *values, const char *nulls, int limit)
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
	result = SPI_execute_plan(statement->plan, values, nulls, false, limit);
	if (result < 0)
		ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR),
				errmsg("could not execute a statement: %s", SPI_result_code_string(result)));
	return (int) SPI_processed;
}

static int
each_event(int rows, BmwEventRowFn fn, void *context)
{
	SPITupleTable *table = SPI_tuptable;
	MemoryContext row_context = make_row_context();
	MemoryContext caller = MemoryContextSwitchTo(row_context);

	for (int i = 0; i < rows; i++)
	{
		BmwSqlRow row = {table->vals[i], table->tupdesc};
		BmwEventRow event;

		read_event(&row, &event);
		fn(&event, context);
		MemoryContextReset(row_context);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(row_context);
	return rows;
}

static int
each_due(int rows, BmwDueRowFn fn, void *context)
{
	SPITupleTable *table = SPI_tuptable;
	MemoryContext row_context = make_row_context();
	MemoryContext caller = MemoryContextSwitchTo(row_context);

	for (int i = 0; i < rows; i++)
	{
		BmwSqlRow row = {table->vals[i], table->tupdesc};
		BmwDueRow due_row;

		read_event(&row, &due_row.event);
		due_row.attempts = bmw_sql_int32(&row, 12);
		due_row.first_attempt_us = bmw_sql_time(&row, 13);
		fn(&due_row, context);
		MemoryContextReset(row_context);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(row_context);
	return rows;
}

static MemoryContext
make_row_context(void)
{
	return AllocSetContextCreate(CurrentMemoryContext, "bm_webhook row", ALLOCSET_DEFAULT_SIZES);
}

static void
read_event(const BmwSqlRow *row, BmwEventRow *event)
{
	BmwEventSource *source = &event->source;

	event->position.xid = bmw_sql_xid8(row, 1);
	event->position.id = source->id = bmw_sql_uuid(row, 2);
	event->route.type = source->type = bmw_sql_text(row, 3, NULL);
	event->route.application = source->application = bmw_sql_text(row, 4, NULL);
	event->route.channel = source->channel = bmw_sql_text(row, 5, NULL);
	source->message_id = bmw_sql_text(row, 6, NULL);
	event->route.endpoint_id = bmw_sql_int64(row, 7);
	source->timestamp_us = bmw_sql_time(row, 8);
	event->route.created_us = bmw_sql_time(row, 9);
	source->data = bmw_sql_text(row, 10, &source->data_len);
	event->route.alias = bmw_sql_bool(row, 11) ? "message.replied" : NULL;
}

static void
read_endpoint(const BmwSqlRow *row, BmwEndpointRow *endpoint)
{
	endpoint->id = bmw_sql_int64(row, 1);
	endpoint->application = bmw_sql_text(row, 2, NULL);
	endpoint->channel = bmw_sql_text(row, 3, NULL);
	endpoint->url = bmw_sql_text(row, 4, NULL);
	endpoint->is_enabled = bmw_sql_bool(row, 5);
	endpoint->timeout_ms = bmw_sql_int32(row, 6);
	endpoint->max_in_flight = bmw_sql_int32(row, 7);
	endpoint->created_us = bmw_sql_time(row, 8);
	endpoint->failing_since_us = bmw_sql_time(row, 9);
	endpoint->patterns = bmw_sql_texts(row, 10, &endpoint->patterns_length);
	endpoint->header_names = bmw_sql_texts(row, 11, &endpoint->headers_length);
	endpoint->header_values = bmw_sql_texts(row, 12, &endpoint->headers_length);
	endpoint->delays_us = bmw_sql_int64s(row, 13, &endpoint->delays_length);
	endpoint->secrets = bmw_sql_texts(row, 14, &endpoint->secrets_length);
	endpoint->is_ordered = bmw_sql_bool(row, 15);
}

static void
parse_snapshot(const char *text, BmwSnapshot *snapshot)
{
	if (bmw_snapshot_parse(text, snapshot) != BMW_OK)
		ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
				errmsg("could not read snapshot \"%s\"", text));
}

static Datum
snapshot_datum(const BmwSnapshot *snapshot)
{
	char *text = bmw_snapshot_format(snapshot);
	Datum datum;

	if (text == NULL)
		ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"));
	datum = CStringGetTextDatum(text);
	free(text);
	return datum;
}

/* The rows of records that have (lack) a row in the table, as columns. */
static void
record_deliveries(Statement *statement, const BmwRecord *records, int length, bool has_row)
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
	execute_columns(statement, c);
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
	execute_columns(&insert_attempts, c);
}

static int
execute_columns(Statement *statement, BmwSqlColumn *columns)
{
	Datum values[MAX_ARGUMENTS];

	if (columns[0].length == 0)
		return 0;
	for (int i = 0; i < statement->arguments; i++)
		values[i] = bmw_sql_column_array(&columns[i]);
	return execute_plain(statement, values);
}
