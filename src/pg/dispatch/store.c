/*
 * pg/dispatch/store.c - the statements by which the dispatcher reads the log.
 *
 * Intake must not depend on the planner's mood: with sorts and bitmap scans
 * ruled out (pg/dispatch/transaction.c) it merges index scans of the partitions that its
 * floor leaves over. Rows are handed out one at a time; what a row needed is
 * freed before the next. What is written is in store_record.c, what concerns
 * endpoints in store_endpoint.c, and what is due in store_due.c.
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

typedef struct Unfinished
{
	BmwUnfinishedFn fn;
	void *context;
} Unfinished;

static void find_range(const BmwUuid *ids, int length, Datum *range);
static void hand_out_unfinished(const BmwSqlRow *row, void *context);
static int each_event(int rows, BmwEventRowFn fn, void *context);
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
