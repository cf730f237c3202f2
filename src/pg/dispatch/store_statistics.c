/*
 * pg/dispatch/store_statistics.c - the statements that write what a dispatcher has counted.
 *
 * Over arrays, in the order of the keys, so that two dispatchers do not deadlock.
 */
#include "postgres.h"

#include "pg/dispatch/store_statistics.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "pg/sql/statement.h"

#define COUNTS 11 /* of a dispatcher, before those of its phases, with its shard */

static const BmwField minute_items[] = {{"id", INT8OID},
										{"minute", TIMESTAMPTZOID},
										{"delivered", INT8OID},
										{"failed_attempts", INT8OID},
										{"given_up", INT8OID},
										{"canceled", INT8OID},
										{"duration_sum", INTERVALOID},
										{"histogram", TEXTOID},
										{"retries", INT8OID},
										{"last_success_at", TIMESTAMPTZOID},
										{"last_failure_at", TIMESTAMPTZOID}};
static const BmwFields minute_fields = {minute_items, lengthof(minute_items)};

static const BmwField failure_items[] = {{"endpoint_id", INT8OID},
										 {"error_class", TEXTOID},
										 {"attempts", INT8OID},
										 {"last_at", TIMESTAMPTZOID}};
static const BmwFields failure_fields = {failure_items, lengthof(failure_items)};

#define MINUTE " minute, delivered, failed_attempts, given_up, canceled, duration_sum, histogram"
#define ADD_TO_MINUTE                                                                              \
	" DO UPDATE SET delivered = m.delivered + excluded.delivered,"                                 \
	"  failed_attempts = m.failed_attempts + excluded.failed_attempts,"                            \
	"  given_up = m.given_up + excluded.given_up, canceled = m.canceled + excluded.canceled,"      \
	"  duration_sum = m.duration_sum + excluded.duration_sum,"                                     \
	"  histogram = bm_webhook_internal.add_histograms(m.histogram, excluded.histogram)"

static BmwStatement write_minutes = {
	"WITH counted AS MATERIALIZED (SELECT * FROM ROWS FROM (unnest({values})) AS c ({names})),"
	" total AS (INSERT INTO bm_webhook_internal.endpoint_total AS t (endpoint_id, delivered, failed_attempts,"
	"   retries, given_up, canceled, last_success_at, last_failure_at)"
	"  SELECT id, pg_catalog.sum(delivered), pg_catalog.sum(failed_attempts), pg_catalog.sum(retries),"
	"   pg_catalog.sum(given_up), pg_catalog.sum(canceled), pg_catalog.max(last_success_at),"
	"   pg_catalog.max(last_failure_at) FROM counted GROUP BY id ORDER BY id"
	"  ON CONFLICT (endpoint_id) DO UPDATE SET delivered = t.delivered + excluded.delivered,"
	"   failed_attempts = t.failed_attempts + excluded.failed_attempts, retries = t.retries + excluded.retries,"
	"   given_up = t.given_up + excluded.given_up, canceled = t.canceled + excluded.canceled,"
	"   last_success_at = greatest(t.last_success_at, excluded.last_success_at),"
	"   last_failure_at = greatest(t.last_failure_at, excluded.last_failure_at))"
	" INSERT INTO bm_webhook.endpoint_minute AS m (endpoint_id," MINUTE ")"
	" SELECT id," MINUTE "::integer[] FROM counted ORDER BY id, minute"
	" ON CONFLICT (endpoint_id, minute)" ADD_TO_MINUTE,
	.fields = &minute_fields, .kind = BMW_ARGUMENTS_ROWS};

static BmwStatement write_totals = {
	"INSERT INTO bm_webhook.dispatcher_minute AS m (shard," MINUTE ")"
	" SELECT id::integer," MINUTE "::integer[] FROM ROWS FROM (unnest({values})) AS c ({names})"
	" ON CONFLICT (minute, shard)" ADD_TO_MINUTE,
	.fields = &minute_fields, .kind = BMW_ARGUMENTS_ROWS};

static BmwStatement write_failures = {
	"INSERT INTO bm_webhook_internal.endpoint_failure AS f ({names})"
	" SELECT * FROM ROWS FROM (unnest({values})) AS c ({names}) ORDER BY endpoint_id, error_class"
	" ON CONFLICT (endpoint_id, error_class) DO UPDATE SET attempts = f.attempts + excluded.attempts,"
	"  last_at = greatest(f.last_at, excluded.last_at)",
	.fields = &failure_fields, .kind = BMW_ARGUMENTS_ROWS};

static BmwStatement write_dispatcher = {
	"INSERT INTO bm_webhook_internal.dispatcher_total AS d (shard, written_at, events, delivered, failed_attempts,"
	"  given_up, canceled, flushes, records, largest_flush, longest_flush_us, failed_flushes, intake_us, fetch_us, send_us, record_us, upkeep_us,"
	"  idle_us)"
	" VALUES ($1, pg_catalog.clock_timestamp(), $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,"
	"  $17)"
	" ON CONFLICT (shard) DO UPDATE SET written_at = excluded.written_at, events = d.events + excluded.events,"
	"  delivered = d.delivered + excluded.delivered,"
	"  failed_attempts = d.failed_attempts + excluded.failed_attempts, given_up = d.given_up + excluded.given_up,"
	"  canceled = d.canceled + excluded.canceled, flushes = d.flushes + excluded.flushes,"
	"  records = d.records + excluded.records, largest_flush = greatest(d.largest_flush, excluded.largest_flush),"
	"  longest_flush_us = greatest(d.longest_flush_us, excluded.longest_flush_us),"
	"  failed_flushes = d.failed_flushes + excluded.failed_flushes, intake_us = d.intake_us + excluded.intake_us,"
	"  fetch_us = d.fetch_us + excluded.fetch_us, send_us = d.send_us + excluded.send_us,"
	"  record_us = d.record_us + excluded.record_us, upkeep_us = d.upkeep_us + excluded.upkeep_us,"
	"  idle_us = d.idle_us + excluded.idle_us",
	COUNTS + BMW_PHASES,
	{INT4OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID,
	 INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID}};

#define FORGET_MINUTES(table)                                                                      \
	"DELETE FROM " table                                                                           \
	" WHERE minute < pg_catalog.clock_timestamp() - pg_catalog.make_interval(days => 35)"

static BmwStatement forget_minutes = {FORGET_MINUTES("bm_webhook.endpoint_minute")};
static BmwStatement forget_dispatcher_minutes = {FORGET_MINUTES("bm_webhook.dispatcher_minute")};
static BmwStatement forget_totals = {
	"DELETE FROM bm_webhook_internal.endpoint_total t"
	" WHERE NOT EXISTS (SELECT FROM bm_webhook.endpoint p WHERE p.id = t.endpoint_id)"};
static BmwStatement forget_failures = {
	"DELETE FROM bm_webhook_internal.endpoint_failure f"
	" WHERE NOT EXISTS (SELECT FROM bm_webhook.endpoint p WHERE p.id = f.endpoint_id)"};

static void write_all(BmwStatement *statement, HTAB *minutes);
static void add_minute(BmwSqlColumn *c, const BmwMinute *minute);
static char *histogram_text(const BmwMinute *minute);

void
bmw_store_minutes(HTAB *minutes)
{
	write_all(&write_minutes, minutes);
}

void
bmw_store_totals(HTAB *totals)
{
	write_all(&write_totals, totals);
}

static void
write_all(BmwStatement *statement, HTAB *minutes)
{
	BmwSqlColumn c[lengthof(minute_items)];
	HASH_SEQ_STATUS all;
	BmwMinute *minute;

	bmw_statement_init_columns(c, &minute_fields, Max(hash_get_num_entries(minutes), 1));
	hash_seq_init(&all, minutes);
	while ((minute = hash_seq_search(&all)) != NULL)
		add_minute(c, minute);
	bmw_statement_run_columns(statement, c);
}

void
bmw_store_failures(HTAB *failures)
{
	BmwSqlColumn c[lengthof(failure_items)];
	HASH_SEQ_STATUS all;
	BmwFailure *failure;

	bmw_statement_init_columns(c, &failure_fields, Max(hash_get_num_entries(failures), 1));
	hash_seq_init(&all, failures);
	while ((failure = hash_seq_search(&all)) != NULL)
	{
		bmw_sql_column_add(&c[0], Int64GetDatum(failure->key.endpoint_id));
		bmw_sql_column_add_text(&c[1], failure->key.cause);
		bmw_sql_column_add(&c[2], Int64GetDatum(failure->attempts));
		bmw_sql_column_add_time(&c[3], failure->last_us);
	}
	bmw_statement_run_columns(&write_failures, c);
}

void
bmw_store_dispatcher(int shard, const BmwDispatcherCounts *counts)
{
	Datum values[COUNTS + BMW_PHASES] = {
		Int32GetDatum(shard),
		Int64GetDatum(counts->events),
		Int64GetDatum(counts->delivered),
		Int64GetDatum(counts->failed_attempts),
		Int64GetDatum(counts->given_up),
		Int64GetDatum(counts->canceled),
		Int64GetDatum(counts->flushes),
		Int64GetDatum(counts->records),
		Int64GetDatum(counts->largest_flush),
		Int64GetDatum(counts->longest_flush_us),
		Int64GetDatum(counts->failed_flushes),
	};

	for (int i = 0; i < BMW_PHASES; i++)
		values[COUNTS + i] = Int64GetDatum(counts->phase_us[i]);
	bmw_statement_run(&write_dispatcher, values);
}

void
bmw_store_forget_statistics(void)
{
	bmw_statement_run(&forget_minutes, NULL);
	bmw_statement_run(&forget_dispatcher_minutes, NULL);
	bmw_statement_run(&forget_totals, NULL);
	bmw_statement_run(&forget_failures, NULL);
}

static void
add_minute(BmwSqlColumn *c, const BmwMinute *minute)
{
	bmw_sql_column_add(&c[0], Int64GetDatum(minute->key.id));
	bmw_sql_column_add_time(&c[1], minute->key.minute_us);
	bmw_sql_column_add(&c[2], Int64GetDatum(minute->delivered));
	bmw_sql_column_add(&c[3], Int64GetDatum(minute->failed_attempts));
	bmw_sql_column_add(&c[4], Int64GetDatum(minute->given_up));
	bmw_sql_column_add(&c[5], Int64GetDatum(minute->canceled));
	bmw_sql_column_add_interval(&c[6], Max(minute->duration_us, 1)); /* 0 is NULL */
	bmw_sql_column_add_text(&c[7], histogram_text(minute));
	bmw_sql_column_add(&c[8], Int64GetDatum(minute->retries));
	bmw_sql_column_add_time(&c[9], minute->last_success_us);
	bmw_sql_column_add_time(&c[10], minute->last_failure_us);
}

/* As an array whose lower bound is the first bucket with something in it. */
static char *
histogram_text(const BmwMinute *minute)
{
	StringInfoData text;
	int first = 0;
	int last = BMW_HISTOGRAM_BUCKETS - 1;

	while (first < BMW_HISTOGRAM_BUCKETS && minute->histogram[first] == 0)
		first++;
	if (first == BMW_HISTOGRAM_BUCKETS)
		return pstrdup("{}");
	while (minute->histogram[last] == 0)
		last--;
	initStringInfo(&text);
	appendStringInfo(&text, "[%d:%d]={%d", first, last, minute->histogram[first]);
	for (int i = first + 1; i <= last; i++)
		appendStringInfo(&text, ",%d", minute->histogram[i]);
	appendStringInfoChar(&text, '}');
	return text.data;
}
