/*
 * pg/dispatch/store_due.c - the statements by which the dispatcher finds what waits, and what of it is due.
 *
 * What waits is of any day. Where the days are many, a plan for all of them takes megabytes and ten milliseconds each
 * time. So the oldest event is found that waits, once a minute and whenever somebody else has made something due, by
 * a function that lets go at once of each day in which nothing waits; days before it are not planned for. What
 * this process makes due itself it knows.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "pg/dispatch/clock.h"
#include "pg/dispatch/store.h"
#include "pg/sql/interval.h"
#include "pg/sql/sql_row.h"
#include "pg/sql/statement.h"
#include "utils/timestamp.h"

#define RECENT_US (7 * INT64CONST(86400000000)) /* a plan for many days is not made each time */
#define AGAIN_US INT64CONST(1000000)
#define REST 100 /* times as long as it took it is not looked for again, unless it must be */

/* Nothing is due that is older. */
typedef struct Oldest
{
	bool is_known;
	bool with_held; /* nor is anything held back that is older */
	BmwUuid event_id;
	int64 again_us; /* it may be found */
} Oldest;

static Oldest oldest;

static BmwStatement find_oldest = {
	"SELECT event_id FROM bm_webhook_internal.first_pending() WHERE $1 OR next_attempt_at < 'infinity'"
	" ORDER BY event_id NULLS FIRST LIMIT 1",
	1,
	{BOOLOID}};

/* After the rows of each, one that only tells when the first is due that is not due yet. */
#define DUE(of_due, of_next)                                                                                   \
	"SELECT lane.number - 1, d.* FROM ROWS FROM (unnest($1), unnest($2), unnest($3)) WITH ORDINALITY"          \
	" AS lane(endpoint_id, since, rows, number) CROSS JOIN LATERAL"                                            \
	" ((SELECT d.event_id, true, d.attempts, d.first_attempt_at, d.next_attempt_at FROM bm_webhook.delivery d" \
	"   WHERE d.endpoint_id = lane.endpoint_id AND d.status = 'pending'"                                       \
	"   AND d.next_attempt_at >= lane.since AND d.next_attempt_at <= $4" of_due                                \
	" AND" BMW_NOT_SET_ASIDE "   ORDER BY d.endpoint_id, d.next_attempt_at LIMIT lane.rows)"                   \
	"  UNION ALL"                                                                                              \
	"  (SELECT NULL, NULL, NULL, NULL, n.next_attempt_at FROM bm_webhook.delivery n"                           \
	"   WHERE n.endpoint_id = lane.endpoint_id AND n.status = 'pending'"                                       \
	"   AND n.next_attempt_at > $4 AND n.next_attempt_at < 'infinity'" of_next                                 \
	"   ORDER BY n.endpoint_id, n.next_attempt_at LIMIT 1)) d"

static BmwStatement due = {
	DUE("", ""), 4, {INT8ARRAYOID, TIMESTAMPTZARRAYOID, INT8ARRAYOID, TIMESTAMPTZOID}};
static BmwStatement due_since = {
	DUE(" AND d.event_id >= $5", " AND n.event_id >= $5"),
	5,
	{INT8ARRAYOID, TIMESTAMPTZARRAYOID, INT8ARRAYOID, TIMESTAMPTZOID, UUIDOID},
	.is_planned_anew = true};

/* One that was set aside is due at no time: it only keeps others waiting, if it is to be tried again. */
#define HEADS(of_days)                                                                                          \
	"SELECT wanted.lane, wanted.id, coalesce(s.status, d.status) = 'pending', d.attempts, d.first_attempt_at,"  \
	" CASE WHEN s.event_id IS NULL THEN d.next_attempt_at END"                                                  \
	" FROM ROWS FROM (unnest($1), unnest($2), unnest($3)) AS wanted(lane, endpoint_id, id)"                     \
	" LEFT JOIN bm_webhook.delivery d ON d.event_id = wanted.id AND d.endpoint_id = wanted.endpoint_id" of_days \
	" LEFT JOIN bm_webhook.set_aside s ON s.event_id = wanted.id AND s.endpoint_id = wanted.endpoint_id"        \
	" WHERE d.event_id IS NOT NULL OR s.event_id IS NOT NULL"

static BmwStatement heads = {HEADS(""), 3, {INT8ARRAYOID, INT8ARRAYOID, UUIDARRAYOID}};
/* The range of the ids leaves out other days. */
static BmwStatement heads_of_many = {HEADS(" AND d.event_id >= $4 AND d.event_id <= $5"),
									 5,
									 {INT8ARRAYOID, INT8ARRAYOID, UUIDARRAYOID, UUIDOID, UUIDOID},
									 .is_planned_anew = true};

/*
 * Which endpoints have some, from one to the next by an index that skips over all
 * rows but the first of each: however many wait, it costs the same.
 */
#define NEXT_WAITING(after)                                                                        \
	"SELECT endpoint_id, next_attempt_at FROM bm_webhook.delivery WHERE status = 'pending'"        \
	" AND endpoint_id > " after                                                                    \
	" AND event_id >= $4 ORDER BY endpoint_id, next_attempt_at LIMIT 1"

static BmwStatement waiting = {
	"WITH RECURSIVE waiting AS "
	"((" NEXT_WAITING(
		"$1") ") UNION ALL"
			  " SELECT next.* FROM waiting w CROSS JOIN LATERAL (" NEXT_WAITING(
				  "w.endpoint_id") ") next)"
								   " SELECT endpoint_id, next_attempt_at, $3 AND EXISTS (SELECT FROM bm_webhook.delivery d"
								   "  WHERE d.endpoint_id = w.endpoint_id AND d.status = 'pending' AND d.next_attempt_at = 'infinity'"
								   "  AND d.event_id >= $4)"
								   " FROM waiting w LIMIT $2",
	4,
	{INT8OID, INT8OID, BOOLOID, UUIDOID},
	.is_planned_anew = true};

static bool read_oldest(bool with_held);
static const BmwUuid *oldest_if_recent(bool with_held);
static BmwDueRow due_row(const BmwSqlRow *row);

void
bmw_store_find_oldest(bool with_held)
{
	const int64 start_us = bmw_clock_us();

	bmw_store_forget_oldest();
	if (bmw_store_has_many_partitions())
		oldest.is_known = read_oldest(with_held);
	oldest.with_held = with_held;
	oldest.again_us = start_us + Max(AGAIN_US, REST * (bmw_clock_us() - start_us));
}

void
bmw_store_forget_oldest(void)
{
	oldest.is_known = false;
}

void
bmw_store_waits(const BmwUuid *event_id)
{
	if (bmw_uuid_compare(event_id, &oldest.event_id) < 0)
		oldest.event_id = *event_id;
}

void
bmw_store_due(const BmwFetch *fetches, int length, int64 *next_due_us, BmwDueRowFn fn,
			  void *context)
{
	BmwSqlColumn columns[3];
	Datum values[5] = {[3] = TimestampTzGetDatum(bmw_from_unix_us(fetches[0].to_us))};
	const BmwUuid *since = oldest_if_recent(false);
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
	values[4] = PointerGetDatum(since);
	rows = bmw_statement_run(since != NULL ? &due_since : &due, values);
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
	BmwUuidRange days = {0};
	Datum values[5];
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
			bmw_uuid_widen(&days, &fetches[i].heads[n]);
		}
	for (int i = 0; i < 3; i++)
		values[i] = bmw_sql_column_array(&columns[i]);
	values[3] = PointerGetDatum(days.first);
	values[4] = PointerGetDatum(days.last);
	rows = bmw_statement_run(bmw_store_has_many_partitions() ? &heads_of_many : &heads, values);
	for (int i = 0; i < rows; i++)
	{
		BmwSqlRow row = {SPI_tuptable->vals[i], SPI_tuptable->tupdesc};
		BmwDueRow due_one = due_row(&row);

		fn((int) bmw_sql_int64(&row, 1), &due_one, context);
	}
}

int
bmw_store_waiting(int64 after_id, int limit, bool with_held, BmwWaitingFn fn, void *context)
{
	static const BmwUuid none = {{0}};
	const BmwUuid *since = oldest_if_recent(with_held);
	Datum values[4] = {Int64GetDatum(after_id), Int64GetDatum(limit), BoolGetDatum(with_held),
					   PointerGetDatum(since != NULL ? since : &none)};
	int rows = bmw_statement_run(&waiting, values);

	for (int i = 0; i < rows; i++)
	{
		BmwSqlRow row = {SPI_tuptable->vals[i], SPI_tuptable->tupdesc};

		fn(bmw_sql_int64(&row, 1), bmw_sql_due(&row, 2), bmw_sql_bool(&row, 3), context);
	}
	return rows;
}

/* Where nothing waits, all is older. False: it is not known of some endpoint. */
static bool
read_oldest(bool with_held)
{
	Datum values[1] = {BoolGetDatum(with_held)};
	BmwSqlRow row;

	memset(&oldest.event_id, 0xff, sizeof(oldest.event_id));
	if (bmw_statement_run(&find_oldest, values) == 0)
		return true;
	row = (BmwSqlRow){SPI_tuptable->vals[0], SPI_tuptable->tupdesc};
	if (bmw_sql_is_null(&row, 1))
		return false;
	oldest.event_id = bmw_sql_uuid(&row, 1);
	return true;
}

/* NULL: it is not known, or too long ago. */
static const BmwUuid *
oldest_if_recent(bool with_held)
{
	if (!oldest.is_known && bmw_clock_us() >= oldest.again_us)
		bmw_store_find_oldest(with_held);
	if (!oldest.is_known || (with_held && !oldest.with_held) ||
		bmw_uuid_unix_us(&oldest.event_id) < bmw_unix_us(GetCurrentTimestamp()) - RECENT_US)
		return NULL;
	return &oldest.event_id;
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
