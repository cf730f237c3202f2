/*
 * pg/dispatch/store_pending.c - the statements that count what is pending, for each endpoint.
 */
#include "postgres.h"

#include "pg/dispatch/store_pending.h"

#include "catalog/pg_type.h"
#include "pg/sql/statement.h"

static const BmwField field_items[] = {
	{"endpoint_id", INT8OID}, {"pending", INT8OID}, {"retrying", INT8OID}};
static const BmwFields fields = {field_items, lengthof(field_items)};

static BmwStatement write_tally = {
	"INSERT INTO bm_webhook_internal.pending_change ({names})"
	" SELECT endpoint_id, pg_catalog.sum(pending), pg_catalog.sum(retrying)"
	" FROM ROWS FROM (unnest({values})) AS changed ({names}) GROUP BY endpoint_id"
	" HAVING pg_catalog.sum(pending) <> 0 OR pg_catalog.sum(retrying) <> 0",
	.fields = &fields, .kind = BMW_ARGUMENTS_ROWS};

static BmwStatement add_up = {
	"WITH taken AS (DELETE FROM bm_webhook_internal.pending_change RETURNING *)"
	" INSERT INTO bm_webhook_internal.pending_count AS c"
	" SELECT endpoint_id, pg_catalog.sum(pending), pg_catalog.sum(retrying) FROM taken GROUP BY endpoint_id"
	" ON CONFLICT (endpoint_id) DO UPDATE"
	" SET pending = c.pending + excluded.pending, retrying = c.retrying + excluded.retrying"};

/*
 * One statement, so one snapshot: whatever others change meanwhile is neither in the
 * rows that it counts nor in the changes that it knows of. Of what is more than can
 * be counted in some milliseconds only the order of magnitude is compared. The
 * constant limit, BMW_RECOUNT_BATCH, is for the planner.
 */
#define MOST "20000"
static BmwStatement recount = {
	"WITH batch AS MATERIALIZED (SELECT id FROM (SELECT id FROM"
	"  ((SELECT id FROM bm_webhook.endpoint WHERE id > $1 ORDER BY id LIMIT 20) UNION"
	"   (SELECT endpoint_id FROM bm_webhook_internal.pending_count WHERE endpoint_id > $1 ORDER BY endpoint_id LIMIT 20)) x"
	"  ORDER BY id LIMIT 20) y ORDER BY id LIMIT $2),"
	" told AS MATERIALIZED (SELECT endpoint_id, pg_catalog.sum(pending) AS pending, pg_catalog.sum(retrying) AS retrying"
	"  FROM (SELECT * FROM bm_webhook_internal.pending_count UNION ALL SELECT * FROM bm_webhook_internal.pending_change) c"
	"  WHERE endpoint_id IN (SELECT id FROM batch) GROUP BY endpoint_id),"
	" wrong AS (SELECT s.id, r.pending - coalesce(t.pending, 0) AS pending, r.retrying - coalesce(t.retrying, 0) AS retrying"
	"  FROM batch s LEFT JOIN told t ON t.endpoint_id = s.id CROSS JOIN LATERAL"
	"  (SELECT pg_catalog.count(*) AS pending, pg_catalog.count(*) FILTER (WHERE attempts > 0) AS retrying FROM"
	"   (SELECT d.attempts FROM bm_webhook.delivery d WHERE d.endpoint_id = s.id AND d.status = 'pending'"
	"    LIMIT " MOST " + 1) d) r"
	"  WHERE r.pending <= " MOST " OR coalesce(t.pending, 0) <= " MOST "),"
	" corrected AS (INSERT INTO bm_webhook_internal.pending_change"
	"  SELECT * FROM wrong WHERE pending <> 0 OR retrying <> 0)"
	" SELECT pg_catalog.max(id) FROM batch",
	2,
	{INT8OID, INT8OID}};

/*
 * What begins and what ends, in one statement. A tenth less has to wait before an application is full no more, so that
 * it does not become so every second. The sum of all is quick; most have no application that is near it.
 */
static BmwStatement note_full = {
	"WITH waiting AS MATERIALIZED (SELECT p.application, pg_catalog.sum(c.pending) AS pending"
	"  FROM bm_webhook_internal.pending_count c JOIN bm_webhook.endpoint p ON p.id = c.endpoint_id"
	"  WHERE c.pending > 0 AND p.application IS NOT NULL AND p.deleted_at IS NULL"
	"   AND (SELECT pg_catalog.sum(pending) FROM bm_webhook_internal.pending_count WHERE pending > 0)"
	"    >= 0.9 * (SELECT pg_catalog.min(max_waiting) FROM bm_webhook.application) GROUP BY p.application),"
	" begun AS (INSERT INTO bm_webhook_internal.full_application AS f"
	"  SELECT a.name, a.max_waiting, pg_catalog.clock_timestamp() FROM waiting w"
	"  JOIN bm_webhook.application a ON a.name = w.application WHERE w.pending >= a.max_waiting"
	"  ON CONFLICT (application) DO UPDATE SET max_waiting = excluded.max_waiting"
	"  WHERE f.max_waiting <> excluded.max_waiting RETURNING application),"
	" ended AS (DELETE FROM bm_webhook_internal.full_application f WHERE NOT EXISTS"
	"  (SELECT FROM waiting w JOIN bm_webhook.application a ON a.name = w.application"
	"   WHERE a.name = f.application AND w.pending >= 0.9 * a.max_waiting) RETURNING application)"
	" SELECT application, true FROM begun UNION ALL SELECT application, false FROM ended"};

static BmwStatement has_full = {"SELECT FROM bm_webhook_internal.full_application LIMIT 1"};

static BmwStatement read_full = {
	"SELECT application, since FROM bm_webhook_internal.full_application"};

static bool has_changed = true; /* as far as this process knows: others may have changed it too */

void
bmw_pending_tally_init(BmwPendingTally *tally, int capacity)
{
	bmw_statement_init_columns(tally->columns, &fields, capacity);
}

void
bmw_pending_tally_add(BmwPendingTally *tally, int64 endpoint_id, int pending, int retrying)
{
	if (pending == 0 && retrying == 0)
		return;
	bmw_sql_column_add(&tally->columns[0], Int64GetDatum(endpoint_id));
	bmw_sql_column_add(&tally->columns[1], Int64GetDatum(pending));
	bmw_sql_column_add(&tally->columns[2], Int64GetDatum(retrying));
}

void
bmw_pending_tally_write(BmwPendingTally *tally)
{
	if (bmw_statement_run_columns(&write_tally, tally->columns) > 0)
		has_changed = true;
}

bool
bmw_store_pending_has_changed(void)
{
	return has_changed;
}

void
bmw_store_pending_add_up(void)
{
	bmw_statement_run(&add_up, NULL);
	has_changed = false;
}

int64
bmw_store_pending_recount(int64 after_id, int endpoints)
{
	Datum values[2] = {Int64GetDatum(after_id), Int64GetDatum(endpoints)};
	BmwSqlRow row;

	bmw_statement_run(&recount, values);
	row = (BmwSqlRow){SPI_tuptable->vals[0], SPI_tuptable->tupdesc};
	has_changed = true;
	return bmw_sql_is_null(&row, 1) ? PG_INT64_MIN : bmw_sql_int64(&row, 1);
}

void
bmw_store_note_full(BmwFullChangeFn fn, void *context)
{
	int rows = bmw_statement_run(&note_full, NULL);

	for (int i = 0; i < rows; i++)
	{
		BmwSqlRow row = {SPI_tuptable->vals[i], SPI_tuptable->tupdesc};

		fn(SPI_getvalue(row.tuple, row.descriptor, 1), bmw_sql_bool(&row, 2), context);
	}
}

bool
bmw_store_has_full(void)
{
	return bmw_statement_run(&has_full, NULL) > 0;
}

void
bmw_store_full(BmwFullFn fn, void *context)
{
	int rows = bmw_statement_run(&read_full, NULL);

	for (int i = 0; i < rows; i++)
	{
		BmwSqlRow row = {SPI_tuptable->vals[i], SPI_tuptable->tupdesc};

		fn(bmw_sql_text(&row, 1, NULL), bmw_sql_time(&row, 2), context);
	}
	SPI_freetuptable(SPI_tuptable);
}
