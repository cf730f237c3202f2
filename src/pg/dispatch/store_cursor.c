/*
 * pg/dispatch/store_cursor.c - the statements about how far intake is, and which version this is.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "pg/dispatch/store.h"
#include "pg/dispatch/transaction.h"
#include "pg/sql/interval.h"
#include "pg/sql/sql_row.h"
#include "pg/sql/statement.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* All shards begin at once, and only one of them at a time may do this. */
#define RESET_LOCK_WAIT "5s"

static BmwStatement version = {
	"SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'bm_webhook'"};

static BmwStatement current_snapshot = {"SELECT pg_catalog.pg_current_snapshot()::text"};
static BmwStatement active_snapshot = {"SELECT pg_catalog.pg_current_snapshot()::text",
									   .is_stable = true};

static BmwStatement read_cursor = {
	"SELECT snapshot::text, since FROM bm_webhook.cursor WHERE shard = $1 AND shards = $2",
	2,
	{INT4OID, INT4OID}};

static BmwStatement lock_cursor = {"LOCK TABLE bm_webhook.cursor IN EXCLUSIVE MODE"};

/* The new shards all start where the slowest of the old ones was. */
static BmwStatement reset_cursor = {
	"WITH old AS (DELETE FROM bm_webhook.cursor RETURNING pg_catalog.pg_snapshot_xmin(snapshot) AS xmin, since),"
	" oldest AS (SELECT coalesce((SELECT xmin FROM old ORDER BY xmin LIMIT 1),"
	"  pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())) AS xmin,"
	"  coalesce((SELECT since FROM old ORDER BY since LIMIT 1), pg_catalog.now()) AS since)"
	" INSERT INTO bm_webhook.cursor"
	" SELECT shard, $1, (xmin::text || ':' || xmin::text || ':')::pg_snapshot, since, pg_catalog.now()"
	" FROM oldest, pg_catalog.generate_series(0, $1 - 1) AS shard",
	1,
	{INT4OID}};

static BmwStatement write_cursor = {
	"WITH free AS (SELECT shard FROM bm_webhook.cursor WHERE shard = $1 FOR NO KEY UPDATE SKIP LOCKED)"
	" UPDATE bm_webhook.cursor c SET snapshot = $2::pg_snapshot, since = $3, updated_at = pg_catalog.now()"
	" FROM free WHERE c.shard = free.shard",
	3,
	{INT4OID, TEXTOID, TIMESTAMPTZOID}};

static void read_snapshot(BmwStatement *statement, BmwSnapshot *snapshot);
static void parse_snapshot(const char *text, BmwSnapshot *snapshot);

char *
bmw_store_version(void)
{
	BmwSqlRow row;

	if (bmw_statement_run(&version, NULL) == 0)
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

	if (bmw_statement_run(&read_cursor, values) == 0)
	{
		bmw_transaction_limit_lock_wait(RESET_LOCK_WAIT);
		bmw_statement_run(&lock_cursor, NULL);
		if (bmw_statement_run(&read_cursor, values) == 0)
			bmw_statement_run(&reset_cursor, &values[1]);
		if (bmw_statement_run(&read_cursor, values) == 0)
			ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
					errmsg("could not reset the cursor of shard %d", shard));
	}
	row = (BmwSqlRow){SPI_tuptable->vals[0], SPI_tuptable->tupdesc};
	parse_snapshot(bmw_sql_text(&row, 1, NULL), snapshot);
	*since_us = bmw_sql_time(&row, 2);
}

bool
bmw_store_write_cursor(int shard, const BmwSnapshot *snapshot, int64 since_us)
{
	Datum values[3] = {Int32GetDatum(shard), bmw_store_snapshot_datum(snapshot),
					   TimestampTzGetDatum(bmw_from_unix_us(since_us))};

	return bmw_statement_lock(bmw_statement_table("cursor"), RowExclusiveLock) &&
		   bmw_statement_run(&write_cursor, values) > 0;
}

void
bmw_store_current_snapshot(BmwSnapshot *snapshot)
{
	read_snapshot(&current_snapshot, snapshot);
}

void
bmw_store_active_snapshot(BmwSnapshot *snapshot)
{
	read_snapshot(&active_snapshot, snapshot);
}

static void
read_snapshot(BmwStatement *statement, BmwSnapshot *snapshot)
{
	BmwSqlRow row;

	bmw_statement_run(statement, NULL);
	row = (BmwSqlRow){SPI_tuptable->vals[0], SPI_tuptable->tupdesc};
	parse_snapshot(bmw_sql_text(&row, 1, NULL), snapshot);
}

static void
parse_snapshot(const char *text, BmwSnapshot *snapshot)
{
	if (bmw_snapshot_parse(text, snapshot) != BMW_OK)
		ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
				errmsg("could not read snapshot \"%s\"", text));
}

Datum
bmw_store_snapshot_datum(const BmwSnapshot *snapshot)
{
	char *text = bmw_snapshot_format(snapshot);
	Datum datum;

	bmw_transaction_require_memory(text != NULL);
	datum = CStringGetTextDatum(text);
	free(text);
	return datum;
}
