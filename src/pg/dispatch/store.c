/*
 * pg/dispatch/store.c - the statements by which the dispatcher reads the log.
 *
 * Intake must not depend on the planner's mood: with sorts and bitmap scans
 * ruled out (pg/dispatch/transaction.c) it merges index scans of the partitions that its
 * floor leaves over. Rows are handed out one at a time; what a row needed is
 * freed before the next. What is written is in store_record.c, what concerns
 * endpoints in store_endpoint.c.
 */
#include "postgres.h"

#include "pg/dispatch/store.h"

#include "catalog/pg_type.h"
#include "pg/sql/interval.h"
#include "pg/sql/sql_row.h"
#include "pg/sql/statement.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/xid8.h"

/* Where a column of an event is in a row that was read. */
#define COLUMN(name) (BMW_EVENT_##name + 1)

#define NEW_EVENTS                                                                                 \
	"SELECT {names} FROM bm_webhook.event e"                                                       \
	" WHERE (e.xid, e.id) > ($1, $2) AND e.id >= $3"                                               \
	" AND pg_catalog.pg_visible_in_snapshot(e.xid, $4::pg_snapshot)"                               \
	" ORDER BY e.xid, e.id LIMIT $5",                                                              \
		5, {XID8OID, UUIDOID, UUIDOID, TEXTOID, INT8OID}, .fields = &bmw_event_all_fields

/* Asked in nearly every cycle: to plan it costs more than a plan for all partitions, as long as they are few. */
static BmwStatement new_events = {NEW_EVENTS};
static BmwStatement new_events_of_many = {NEW_EVENTS, .is_planned_anew = true};

/*
 * A range of (xid, id) rather than xid = ..., after which the planner would take
 * the order of id for enough and read the primary key from its beginning.
 */
static BmwStatement events_of = {
	"SELECT e.* FROM pg_catalog.unnest($1) AS ended(xid) CROSS JOIN LATERAL"
	" (SELECT {names} FROM bm_webhook.event e"
	"  WHERE (e.xid, e.id) > (ended.xid, CASE WHEN ended.xid = $2 THEN $3 ELSE '00000000-0000-0000-0000-000000000000' END)"
	"  AND (e.xid, e.id) <= (ended.xid, 'ffffffff-ffff-ffff-ffff-ffffffffffff') AND e.id >= $4"
	"  ORDER BY e.xid, e.id LIMIT $5) e LIMIT $5",
	5,
	{XID8ARRAYOID, XID8OID, UUIDOID, UUIDOID, INT8OID},
	.is_planned_anew = true,
	.fields = &bmw_event_all_fields};

static BmwStatement existing = {
	"SELECT d.event_id, d.endpoint_id FROM bm_webhook.delivery d WHERE d.event_id = ANY ($1)"
	" UNION ALL"
	" SELECT s.event_id, s.endpoint_id FROM bm_webhook.set_aside s WHERE s.event_id = ANY ($1)",
	1,
	{UUIDARRAYOID},
	.is_planned_anew = true};

/* After the rows of each, one that only tells when the first is due that is not due yet. */
static BmwStatement due = {
	"SELECT lane.number - 1, d.* FROM ROWS FROM (unnest($1), unnest($2), unnest($3)) WITH ORDINALITY"
	" AS lane(endpoint_id, since, rows, number) CROSS JOIN LATERAL"
	" ((SELECT d.event_id, true, d.attempts, d.first_attempt_at, d.next_attempt_at FROM bm_webhook.delivery d"
	"   WHERE d.endpoint_id = lane.endpoint_id AND d.status = 'pending'"
	"   AND d.next_attempt_at >= lane.since AND d.next_attempt_at <= $4 AND" BMW_NOT_SET_ASIDE
	"   ORDER BY d.endpoint_id, d.next_attempt_at LIMIT lane.rows)"
	"  UNION ALL"
	"  (SELECT NULL, NULL, NULL, NULL, n.next_attempt_at FROM bm_webhook.delivery n"
	"   WHERE n.endpoint_id = lane.endpoint_id AND n.status = 'pending'"
	"   AND n.next_attempt_at > $4 AND n.next_attempt_at < 'infinity'"
	"   ORDER BY n.endpoint_id, n.next_attempt_at LIMIT 1)) d",
	4,
	{INT8ARRAYOID, TIMESTAMPTZARRAYOID, INT8ARRAYOID, TIMESTAMPTZOID}};

/* One that was set aside is due at no time: it only keeps others waiting, if it is to be tried again. */
static BmwStatement heads = {
	"SELECT wanted.lane, wanted.id, coalesce(s.status, d.status) = 'pending', d.attempts, d.first_attempt_at,"
	" CASE WHEN s.event_id IS NULL THEN d.next_attempt_at END"
	" FROM ROWS FROM (unnest($1), unnest($2), unnest($3)) AS wanted(lane, endpoint_id, id)"
	" LEFT JOIN bm_webhook.delivery d ON d.event_id = wanted.id AND d.endpoint_id = wanted.endpoint_id"
	" LEFT JOIN bm_webhook.set_aside s ON s.event_id = wanted.id AND s.endpoint_id = wanted.endpoint_id"
	" WHERE d.event_id IS NOT NULL OR s.event_id IS NOT NULL",
	3,
	{INT8ARRAYOID, INT8ARRAYOID, UUIDARRAYOID}};

/* The range of the ids leaves out other days; OFFSET 0: it is no reason to read the whole range. */
static BmwStatement bodies = {
	"SELECT e.*, wanted.number - 1 FROM pg_catalog.unnest($1) WITH ORDINALITY AS wanted(event_id, number) CROSS JOIN LATERAL"
	" (SELECT {names} FROM bm_webhook.event e"
	"  WHERE e.id = wanted.event_id AND e.id >= $2 AND e.id <= $3 OFFSET 0) e",
	3,
	{UUIDARRAYOID, UUIDOID, UUIDOID},
	.is_planned_anew = true,
	.fields = &bmw_event_all_fields};

/* For endpoints that keep the order: everything that has not ended. What was set aside says so itself. */
static BmwStatement unfinished = {
	"SELECT d.endpoint_id, d.event_id, e.application, e.message_id FROM bm_webhook.delivery d JOIN bm_webhook.event e ON e.id = d.event_id"
	" WHERE d.endpoint_id = ANY ($1) AND d.status = 'pending' AND e.message_id IS NOT NULL AND" BMW_NOT_SET_ASIDE
	" UNION ALL"
	" SELECT s.endpoint_id, s.event_id, e.application, e.message_id FROM bm_webhook.set_aside s JOIN bm_webhook.event e ON e.id = s.event_id"
	" WHERE s.endpoint_id = ANY ($1) AND s.status = 'pending' AND e.message_id IS NOT NULL",
	1,
	{INT8ARRAYOID}};

/*
 * Which endpoints have some, from one to the next by an index that skips over all
 * rows but the first of each: however many wait, it costs the same.
 */
#define NEXT_WAITING(after)                                                                        \
	"SELECT endpoint_id, next_attempt_at FROM bm_webhook.delivery WHERE status = 'pending'"        \
	" AND endpoint_id > " after " ORDER BY endpoint_id, next_attempt_at LIMIT 1"

static BmwStatement waiting = {
	"WITH RECURSIVE waiting AS ((" NEXT_WAITING(
		"$1") ") UNION ALL"
			  " SELECT next.* FROM waiting w CROSS JOIN LATERAL (" NEXT_WAITING(
				  "w.endpoint_id") ") next)"
								   " SELECT endpoint_id, next_attempt_at, $3 AND EXISTS (SELECT FROM bm_webhook.delivery d"
								   "  WHERE d.endpoint_id = w.endpoint_id AND d.status = 'pending' AND d.next_attempt_at = 'infinity')"
								   " FROM waiting w LIMIT $2",
	3,
	{INT8OID, INT8OID, BOOLOID},
	.is_planned_anew = true};

typedef struct Unfinished
{
	BmwUnfinishedFn fn;
	void *context;
} Unfinished;

static void find_range(const BmwUuid *ids, int length, Datum *range);
static void hand_out_unfinished(const BmwSqlRow *row, void *context);
static int each_event(int rows, BmwEventRowFn fn, void *context);
static BmwDueRow due_row(const BmwSqlRow *row);
static void read_event(const BmwSqlRow *row, BmwEventRow *event);

int
bmw_store_new_events(const BmwPosition *after, const BmwUuid *floor, const BmwSnapshot *now,
					 int limit, BmwEventRowFn fn, void *context)
{
	Datum values[5] = {FullTransactionIdGetDatum(FullTransactionIdFromU64(after->xid)),
					   PointerGetDatum(after->id.bytes), PointerGetDatum(floor->bytes),
					   bmw_store_snapshot_datum(now), Int64GetDatum(limit)};

	BmwStatement *statement = bmw_store_has_many_partitions() ? &new_events_of_many : &new_events;

	return each_event(bmw_statement_run(statement, values), fn, context);
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
	return each_event(bmw_statement_run(&events_of, values), fn, context);
}

void
bmw_store_existing(const BmwUuid *events, int length, BmwDeliveryFn fn, void *context)
{
	Datum values[1] = {bmw_sql_uuid_array(events, length)};
	int rows = bmw_statement_run(&existing, values);

	for (int i = 0; i < rows; i++)
	{
		BmwSqlRow row = {SPI_tuptable->vals[i], SPI_tuptable->tupdesc};
		BmwUuid id = bmw_sql_uuid(&row, 1);

		fn(&id, bmw_sql_int64(&row, 2), context);
	}
}

void
bmw_store_due(const BmwFetch *fetches, int length, int64 *next_due_us, BmwDueRowFn fn,
			  void *context)
{
	BmwSqlColumn columns[3];
	Datum values[4] = {[3] = TimestampTzGetDatum(bmw_from_unix_us(fetches[0].to_us))};
	int rows;

	bmw_sql_column_init(&columns[0], INT8OID, length);
	bmw_sql_column_init(&columns[1], TIMESTAMPTZOID, length);
	bmw_sql_column_init(&columns[2], INT8OID, length);
	for (int i = 0; i < length; i++)
	{
		bmw_sql_column_add(&columns[0], Int64GetDatum(fetches[i].endpoint_id));
		bmw_sql_column_add(&columns[1], TimestampTzGetDatum(bmw_from_unix_us(fetches[i].from_us)));
		bmw_sql_column_add(&columns[2], Int64GetDatum(fetches[i].limit));
		next_due_us[i] = PG_INT64_MAX;
	}
	for (int i = 0; i < 3; i++)
		values[i] = bmw_sql_column_array(&columns[i]);
	rows = bmw_statement_run(&due, values);
	for (int i = 0; i < rows; i++)
	{
		BmwSqlRow row = {SPI_tuptable->vals[i], SPI_tuptable->tupdesc};
		BmwDueRow due_one;
		int fetch = (int) bmw_sql_int64(&row, 1);

		if (bmw_sql_is_null(&row, 2))
		{
			next_due_us[fetch] = bmw_sql_time(&row, 6);
			continue;
		}
		due_one = due_row(&row);
		fn(fetch, &due_one, context);
	}
}

void
bmw_store_heads(const BmwFetch *fetches, int length, BmwDueRowFn fn, void *context)
{
	BmwSqlColumn columns[3];
	Datum values[3];
	int rows;

	bmw_sql_column_init(&columns[0], INT8OID, BMW_FETCH_LENGTH);
	bmw_sql_column_init(&columns[1], INT8OID, BMW_FETCH_LENGTH);
	bmw_sql_column_init(&columns[2], UUIDOID, BMW_FETCH_LENGTH);
	for (int i = 0; i < length; i++)
		for (int n = 0; n < fetches[i].heads_length; n++)
		{
			bmw_sql_column_add(&columns[0], Int64GetDatum(i));
			bmw_sql_column_add(&columns[1], Int64GetDatum(fetches[i].endpoint_id));
			bmw_sql_column_add(&columns[2], PointerGetDatum(fetches[i].heads[n].bytes));
		}
	for (int i = 0; i < 3; i++)
		values[i] = bmw_sql_column_array(&columns[i]);
	rows = bmw_statement_run(&heads, values);
	for (int i = 0; i < rows; i++)
	{
		BmwSqlRow row = {SPI_tuptable->vals[i], SPI_tuptable->tupdesc};
		BmwDueRow due_one = due_row(&row);

		fn((int) bmw_sql_int64(&row, 1), &due_one, context);
	}
}

/* What is long is stored out of line: a row as it comes from the table has no more than its address. */
void
bmw_store_bodies(const BmwUuid *events, int length, BmwSizeFn is_wanted, BmwBodyFn fn,
				 void *context)
{
	Datum values[3] = {bmw_sql_uuid_array(events, length)};
	MemoryContext row_context = bmw_statement_row_context();
	MemoryContext caller;
	SPITupleTable *table;
	int rows;

	find_range(events, length, &values[1]);
	rows = bmw_statement_run(&bodies, values);
	table = SPI_tuptable;
	caller = MemoryContextSwitchTo(row_context);
	for (int i = 0; i < rows; i++)
	{
		BmwSqlRow row = {table->vals[i], table->tupdesc};
		int at = (int) bmw_sql_int64(&row, COLUMN(ALL_FIELDS));
		BmwEventRow event;

		if (!is_wanted(at, bmw_sql_size(&row, COLUMN(DATA)), context))
			continue;
		read_event(&row, &event);
		fn(at, &event, context);
		MemoryContextReset(row_context);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(row_context);
}

void
bmw_store_unfinished(const int64 *ids, int length, BmwUnfinishedFn fn, void *context)
{
	Unfinished handing_out = {.fn = fn, .context = context};
	BmwSqlColumn column;
	Datum values[1];

	bmw_sql_column_init(&column, INT8OID, length);
	for (int i = 0; i < length; i++)
		bmw_sql_column_add(&column, Int64GetDatum(ids[i]));
	values[0] = bmw_sql_column_array(&column);
	bmw_statement_each(&unfinished, values, hand_out_unfinished, &handing_out);
}

int
bmw_store_waiting(int64 after_id, int limit, bool with_held, BmwWaitingFn fn, void *context)
{
	Datum values[3] = {Int64GetDatum(after_id), Int64GetDatum(limit), BoolGetDatum(with_held)};
	int rows = bmw_statement_run(&waiting, values);

	for (int i = 0; i < rows; i++)
	{
		BmwSqlRow row = {SPI_tuptable->vals[i], SPI_tuptable->tupdesc};

		fn(bmw_sql_int64(&row, 1), bmw_sql_due(&row, 2), bmw_sql_bool(&row, 3), context);
	}
	return rows;
}

/* Of none: nothing. */
static void
find_range(const BmwUuid *ids, int length, Datum *range)
{
	static const BmwUuid none = {{0}};
	BmwUuidRange found = {.first = length > 0 ? NULL : &none, .last = length > 0 ? NULL : &none};

	for (int i = 0; i < length; i++)
		bmw_uuid_widen(&found, &ids[i]);
	range[0] = PointerGetDatum(found.first);
	range[1] = PointerGetDatum(found.last);
}

static void
hand_out_unfinished(const BmwSqlRow *row, void *context)
{
	const Unfinished *handing_out = context;
	BmwUuid id = bmw_sql_uuid(row, 2);

	handing_out->fn(bmw_sql_int64(row, 1), &id, bmw_sql_text(row, 3, NULL),
					bmw_sql_text(row, 4, NULL), handing_out->context);
}

static int
each_event(int rows, BmwEventRowFn fn, void *context)
{
	SPITupleTable *table = SPI_tuptable;
	MemoryContext row_context = bmw_statement_row_context();
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

static BmwDueRow
due_row(const BmwSqlRow *row)
{
	return (BmwDueRow){.event_id = bmw_sql_uuid(row, 2),
					   .is_pending = bmw_sql_bool(row, 3),
					   .attempts = bmw_sql_int32(row, 4),
					   .first_attempt_us = bmw_sql_time(row, 5),
					   .due_us = bmw_sql_due(row, 6)};
}

static void
read_event(const BmwSqlRow *row, BmwEventRow *event)
{
	BmwEventSource *source = &event->source;

	event->position.xid = bmw_sql_xid8(row, COLUMN(XID));
	event->position.id = source->id = bmw_sql_uuid(row, COLUMN(ID));
	event->route.type = source->type = bmw_sql_text(row, COLUMN(TYPE), NULL);
	event->route.application = source->application = bmw_sql_text(row, COLUMN(APPLICATION), NULL);
	event->route.channel = source->channel = bmw_sql_text(row, COLUMN(CHANNEL), NULL);
	source->message_id = bmw_sql_text(row, COLUMN(MESSAGE_ID), NULL);
	event->route.endpoint_id = bmw_sql_int64(row, COLUMN(ENDPOINT_ID));
	source->timestamp_us = bmw_sql_time(row, COLUMN(OCCURRED_AT));
	source->expires_us = bmw_sql_due(row, COLUMN(EXPIRES_AT));
	event->route.created_us = bmw_sql_time(row, COLUMN(CREATED_AT));
	source->data = bmw_sql_text(row, COLUMN(DATA), &source->data_len);
	event->route.alias = bmw_sql_is_null(row, COLUMN(REPLY_TO)) ? NULL : BMW_REPLY_TYPE;
}
