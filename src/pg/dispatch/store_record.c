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
#include "pg/dispatch/store_pending.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

static BmwStatement insert_deliveries = {
	"INSERT INTO bm_webhook.delivery ({names}) SELECT * FROM ROWS FROM (unnest({values}))",
	.fields = &bmw_delivery_fields, .kind = BMW_ARGUMENTS_ROWS};

/*
 * Rows that are there are looked up in nearly every flush in which something is tried again: a plan for all partitions
 * is kept for that as long as they are few. Where they are many, each is made for the days of these rows.
 */
#define UPDATE_DELIVERIES                                                                          \
	"UPDATE bm_webhook.delivery d SET {changes}"                                                   \
	" FROM ROWS FROM (unnest({values})) AS excluded ({names})"                                     \
	" WHERE d.event_id = excluded.event_id AND d.endpoint_id = excluded.endpoint_id"

static BmwStatement update_deliveries = {UPDATE_DELIVERIES, .fields = &bmw_delivery_fields,
										 .kind = BMW_ARGUMENTS_ROWS};
static BmwStatement update_deliveries_of_many = {
	UPDATE_DELIVERIES " AND {range}", .fields = &bmw_delivery_fields, .kind = BMW_ARGUMENTS_ROWS,
	.is_planned_anew = true};

/* Which of these deliveries (counted from 1) nobody else has locked; they are locked now. When they are due. */
#define LOCK_DELIVERIES                                                                                     \
	"SELECT r.n, CASE d.status WHEN 'pending' THEN d.next_attempt_at END, d.status = 'pending', d.attempts" \
	" FROM ROWS FROM (unnest({values})) WITH ORDINALITY AS r ({names}, n)"                                  \
	" JOIN bm_webhook.delivery d ON d.event_id = r.event_id AND d.endpoint_id = r.endpoint_id"
#define AND_LOCK " FOR NO KEY UPDATE OF d SKIP LOCKED"

static BmwStatement lock_deliveries = {LOCK_DELIVERIES AND_LOCK, .fields = &bmw_delivery_keys,
									   .kind = BMW_ARGUMENTS_ROWS};
static BmwStatement lock_deliveries_of_many = {LOCK_DELIVERIES " AND {range}" AND_LOCK,
											   .fields = &bmw_delivery_keys,
											   .kind = BMW_ARGUMENTS_ROWS, .is_planned_anew = true};

/* Which of them there are. */
static BmwStatement find_deliveries = {
	"SELECT r.n FROM ROWS FROM (unnest({values})) WITH ORDINALITY AS r ({names}, n)"
	" JOIN bm_webhook.delivery d ON d.event_id = r.event_id AND d.endpoint_id = r.endpoint_id"
	" AND {range}",
	.fields = &bmw_delivery_keys, .kind = BMW_ARGUMENTS_ROWS, .is_planned_anew = true};

static BmwStatement set_aside = {
	"INSERT INTO bm_webhook.set_aside AS d ({names}) SELECT * FROM ROWS FROM (unnest({values}))"
	" ON CONFLICT (event_id, endpoint_id) DO UPDATE SET {changes}",
	.fields = &bmw_aside_fields, .kind = BMW_ARGUMENTS_ROWS};

static BmwStatement insert_attempts = {
	"INSERT INTO bm_webhook.failed_attempt ({names}) SELECT * FROM ROWS FROM (unnest({values}))",
	.fields = &bmw_attempt_fields, .kind = BMW_ARGUMENTS_ROWS};

static BmwStatement exhausted = {
	"SELECT e.channel, e.message_id, pg_catalog.json_build_object('event_id', e.id, 'event_type', e.type,"
	" 'endpoint_id', d.endpoint_id, 'attempts', d.attempts, 'http_status', d.http_status,"
	" 'error_class', d.error_class, 'error', d.error)::text"
	" FROM bm_webhook.event e JOIN bm_webhook.delivery d ON d.event_id = e.id"
	" WHERE e.id = $1 AND d.event_id = $1 AND d.endpoint_id = $2",
	2,
	{UUIDOID, INT8OID},
	.is_planned_anew = true};

/* What the table has of a record before it is written. */
typedef struct Before
{
	bool is_there;
	bool is_pending;
	int attempts;
} Before;

static Before *lock_existing(BmwRecord *records, int length);
static void mark_locked(BmwSqlColumn *keys, BmwRecord **existing, const BmwRecord *records,
						Before *before);
static void count_pending(const BmwRecord *records, const Before *before, int length);
static void mark_overtaken(BmwRecord *record, const BmwSqlRow *row);
static bool *ordinals(int rows, int length);
static void record_deliveries(BmwStatement *statement, const BmwRecord *records, int length,
							  bool has_row);
static void add_outcome(BmwSqlColumn *c, const BmwRecord *record);
static void add_times(BmwSqlColumn *c, const BmwRecord *record);
static void record_attempts(const BmwRecord *records, int length);
static void emit_exhausted(const BmwRecord *record);

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
	Before *before = lock_existing(records, length);

	record_deliveries(&insert_deliveries, records, length, false);
	record_deliveries(bmw_store_has_many_partitions() ? &update_deliveries_of_many
													  : &update_deliveries,
					  records, length, true);
	record_attempts(records, length);
	count_pending(records, before, length);
	for (int i = 0; i < length; i++)
		if (records[i].is_exhausted && !records[i].is_locked &&
			records[i].fate != BMW_RECORD_OVERTAKEN)
			emit_exhausted(&records[i]);
}

void
bmw_store_set_aside(const BmwRecord *record, const char *cause, const char *sqlstate)
{
	BmwSqlColumn c[BMW_ASIDE_FIELDS];

	bmw_statement_init_columns(c, &bmw_aside_fields, 1);
	add_outcome(c, record);
	bmw_sql_column_add_interval(&c[BMW_ASIDE_NAME_TIME], record->times.name_us);
	bmw_sql_column_add_interval(&c[BMW_ASIDE_CONNECT_TIME], record->times.connect_us);
	bmw_sql_column_add_interval(&c[BMW_ASIDE_TLS_TIME], record->times.tls_us);
	bmw_sql_column_add_interval(&c[BMW_ASIDE_FIRST_BYTE_TIME], record->times.first_byte_us);
	bmw_sql_column_add_text(&c[BMW_ASIDE_RESPONSE], record->response);
	bmw_sql_column_add(&c[BMW_ASIDE_IS_FAILED_ATTEMPT], BoolGetDatum(record->is_failed_attempt));
	bmw_sql_column_add(&c[BMW_ASIDE_IS_EXHAUSTED], BoolGetDatum(record->is_exhausted));
	bmw_sql_column_add(&c[BMW_ASIDE_CAUSE], CStringGetTextDatum(cause));
	bmw_sql_column_add(&c[BMW_ASIDE_SQLSTATE], CStringGetTextDatum(sqlstate));
	bmw_statement_run_columns(&set_aside, c);
}

/*
 * Locks the rows that are to be changed, and marks the records of those that
 * somebody else has locked: nobody's outcome waits for a user's transaction.
 */
static Before *
lock_existing(BmwRecord *records, int length)
{
	Before *before = palloc0(sizeof(*before) * Max(length, 1));
	BmwSqlColumn keys[2];
	BmwRecord **existing = palloc(sizeof(*existing) * Max(length, 1));

	bmw_statement_init_columns(keys, &bmw_delivery_keys, length);
	for (int i = 0; i < length; i++)
	{
		records[i].is_locked = false;
		if (!records[i].has_row)
			continue;
		existing[keys[0].length] = &records[i];
		bmw_sql_column_add_uuid(&keys[0], &records[i].event_id);
		bmw_sql_column_add(&keys[1], Int64GetDatum(records[i].endpoint_id));
	}
	mark_locked(keys, existing, records, before);
	return before;
}

/* What could not be locked is there all the same, or has been deleted. */
static void
mark_locked(BmwSqlColumn *keys, BmwRecord **existing, const BmwRecord *records, Before *before)
{
	int length = keys[0].length;
	int rows = bmw_statement_run_columns(
		bmw_store_has_many_partitions() ? &lock_deliveries_of_many : &lock_deliveries, keys);
	bool *is_ours;
	bool *is_there;

	for (int i = 0; i < rows; i++)
	{
		BmwSqlRow row = {SPI_tuptable->vals[i], SPI_tuptable->tupdesc};
		BmwRecord *record = existing[bmw_sql_int64(&row, 1) - 1];

		before[record - records] = (Before){true, bmw_sql_bool(&row, 3), bmw_sql_int32(&row, 4)};
		mark_overtaken(record, &row);
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

/* A delivery that ends at its first attempt, as nearly all do, changes nothing. */
static void
count_pending(const BmwRecord *records, const Before *before, int length)
{
	BmwPendingTally tally;

	bmw_pending_tally_init(&tally, length);
	for (int i = 0; i < length; i++)
	{
		const BmwRecord *r = &records[i];
		bool is_pending = r->status == BMW_PENDING || r->fate == BMW_RECORD_OVERTAKEN;

		if (r->is_locked || (r->has_row && !before[i].is_there))
			continue;
		bmw_pending_tally_add(&tally, r->endpoint_id, is_pending - before[i].is_pending,
							  (is_pending && r->attempts > 0) -
								  (before[i].is_pending && before[i].attempts > 0));
	}
	bmw_pending_tally_write(&tally);
}

/* The rows of records that have (lack) a row in the table. */
static void
record_deliveries(BmwStatement *statement, const BmwRecord *records, int length, bool has_row)
{
	BmwSqlColumn c[BMW_DELIVERY_FIELDS];

	bmw_statement_init_columns(c, &bmw_delivery_fields, length);
	for (int i = 0; i < length; i++)
	{
		if (records[i].has_row != has_row || records[i].is_locked)
			continue;
		add_outcome(c, &records[i]);
		add_times(c, &records[i]);
	}
	bmw_statement_run_columns(statement, c);
}

/*
 * Of an attempt that was delivered over a new connection: they say where its time
 * went. Else the duration says it, and nearly all rows stay as small as they are.
 */
static void
add_times(BmwSqlColumn *c, const BmwRecord *r)
{
	BmwHttpTimes times = {0};

	/* no attempt may take longer than an int32 of microseconds */
	if (r->status == BMW_DELIVERED && r->times.connect_us > 0)
		times = r->times;
	bmw_sql_column_add_int32(&c[BMW_DELIVERY_NAME_US], (int) times.name_us);
	bmw_sql_column_add_int32(&c[BMW_DELIVERY_CONNECT_US], (int) times.connect_us);
	bmw_sql_column_add_int32(&c[BMW_DELIVERY_TLS_US], (int) times.tls_us);
	bmw_sql_column_add_int32(&c[BMW_DELIVERY_FIRST_BYTE_US], (int) times.first_byte_us);
}

static void
add_outcome(BmwSqlColumn *c, const BmwRecord *r)
{
	static const char *const statuses[] = {
		[BMW_PENDING] = "pending",
		[BMW_DELIVERED] = "delivered",
		[BMW_FAILED] = "failed",
		[BMW_CANCELED] = "canceled",
	};
	bool is_overtaken = r->fate == BMW_RECORD_OVERTAKEN;
	int64 due_us = is_overtaken ? r->kept_due_us : r->next_attempt_us;

	if (is_overtaken || r->status == BMW_PENDING)
		bmw_store_waits(&r->event_id);
	bmw_sql_column_add_uuid(&c[BMW_DELIVERY_EVENT_ID], &r->event_id);
	bmw_sql_column_add(&c[BMW_DELIVERY_ENDPOINT_ID], Int64GetDatum(r->endpoint_id));
	bmw_sql_column_add_text(&c[BMW_DELIVERY_STATUS],
							statuses[is_overtaken ? BMW_PENDING : r->status]);
	bmw_sql_column_add(&c[BMW_DELIVERY_ATTEMPTS], Int32GetDatum(r->attempts));
	if (due_us == BMW_HELD_BACK)
		bmw_sql_column_add(&c[BMW_DELIVERY_NEXT_ATTEMPT_AT], TimestampTzGetDatum(DT_NOEND));
	else
		bmw_sql_column_add_time(&c[BMW_DELIVERY_NEXT_ATTEMPT_AT], due_us);
	bmw_sql_column_add_time(&c[BMW_DELIVERY_FIRST_ATTEMPT_AT], r->first_attempt_us);
	bmw_sql_column_add_time(&c[BMW_DELIVERY_LAST_ATTEMPT_AT], r->last_attempt_us);
	bmw_sql_column_add_int32(&c[BMW_DELIVERY_HTTP_STATUS], r->http_status);
	bmw_sql_column_add_text(&c[BMW_DELIVERY_ERROR_CLASS], r->error_class);
	bmw_sql_column_add_text(&c[BMW_DELIVERY_ERROR], r->error);
	bmw_sql_column_add_interval(&c[BMW_DELIVERY_DURATION], r->times.total_us);
}

static void
record_attempts(const BmwRecord *records, int length)
{
	BmwSqlColumn c[BMW_ATTEMPT_FIELDS];

	bmw_statement_init_columns(c, &bmw_attempt_fields, length);
	for (int i = 0; i < length; i++)
	{
		const BmwRecord *r = &records[i];

		if (!r->is_failed_attempt || r->is_locked)
			continue;
		bmw_sql_column_add_uuid(&c[BMW_ATTEMPT_EVENT_ID], &r->event_id);
		bmw_sql_column_add(&c[BMW_ATTEMPT_ENDPOINT_ID], Int64GetDatum(r->endpoint_id));
		bmw_sql_column_add(&c[BMW_ATTEMPT_ATTEMPT], Int32GetDatum(r->attempts));
		bmw_sql_column_add_time(&c[BMW_ATTEMPT_ATTEMPTED_AT], r->last_attempt_us);
		bmw_sql_column_add_text(&c[BMW_ATTEMPT_ERROR_CLASS], r->error_class);
		bmw_sql_column_add_int32(&c[BMW_ATTEMPT_HTTP_STATUS], r->http_status);
		bmw_sql_column_add_text(&c[BMW_ATTEMPT_ERROR], r->error);
		bmw_sql_column_add_interval(&c[BMW_ATTEMPT_NAME_TIME], r->times.name_us);
		bmw_sql_column_add_interval(&c[BMW_ATTEMPT_CONNECT_TIME], r->times.connect_us);
		bmw_sql_column_add_interval(&c[BMW_ATTEMPT_TLS_TIME], r->times.tls_us);
		bmw_sql_column_add_interval(&c[BMW_ATTEMPT_FIRST_BYTE_TIME], r->times.first_byte_us);
		bmw_sql_column_add_interval(&c[BMW_ATTEMPT_TOTAL_TIME], r->times.total_us);
		bmw_sql_column_add_text(&c[BMW_ATTEMPT_RESPONSE], r->response);
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
	if (record->application != NULL)
		event.application = TextDatumGetCString(bmw_sql_from_utf8(record->application));
	event.channel = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	event.message_id = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2);
	event.data = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 3);
	bmw_event_store_insert(&event, 1);
}
