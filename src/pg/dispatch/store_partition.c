/*
 * pg/dispatch/store_partition.c - the statements that make partitions of the log, and remove what has expired.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "partitioning/partdesc.h"
#include "pg/dispatch/store.h"
#include "pg/sql/sql_row.h"
#include "pg/sql/statement.h"
#include "utils/rel.h"

#define MANY_PARTITIONS 64

static BmwStatement create_partition = {"SELECT bm_webhook_internal.create_partitions(4, 1)"};

static BmwStatement missing_partitions = {"SELECT bm_webhook_internal.missing_partitions(4)"};

static BmwStatement forget_keys = {"SELECT bm_webhook_internal.forget_keys($1)", 1, {INT4OID}};

static BmwStatement forget_secrets = {
	"DELETE FROM bm_webhook.endpoint_secret s WHERE s.id = ANY (ARRAY(SELECT x.id FROM bm_webhook.endpoint_secret x"
	" WHERE x.expires_at < pg_catalog.clock_timestamp() ORDER BY x.expires_at LIMIT $1 FOR UPDATE SKIP LOCKED))",
	1,
	{INT4OID}};

bool
bmw_store_create_partition(void)
{
	BmwSqlRow row;

	bmw_statement_run(&create_partition, NULL);
	row = (BmwSqlRow){SPI_tuptable->vals[0], SPI_tuptable->tupdesc};
	return bmw_sql_int32(&row, 1) > 0;
}

int
bmw_store_forget_keys(int most)
{
	Datum values[1] = {Int32GetDatum(most)};
	BmwSqlRow row;

	bmw_statement_run(&forget_keys, values);
	row = (BmwSqlRow){SPI_tuptable->vals[0], SPI_tuptable->tupdesc};
	return bmw_sql_int32(&row, 1);
}

int
bmw_store_forget_secrets(int most)
{
	Datum values[1] = {Int32GetDatum(most)};

	if (!bmw_statement_lock(bmw_statement_table("endpoint_secret"), RowExclusiveLock))
		return 0;
	return bmw_statement_run(&forget_secrets, values);
}

const char *
bmw_store_missing_partitions(void)
{
	BmwSqlRow row;

	bmw_statement_run(&missing_partitions, NULL);
	row = (BmwSqlRow){SPI_tuptable->vals[0], SPI_tuptable->tupdesc};
	return bmw_sql_text(&row, 1, NULL);
}

bool
bmw_store_has_many_partitions(void)
{
	Relation event = table_open(bmw_statement_table("event"), AccessShareLock);
	bool has_many = RelationGetPartitionDesc(event, true)->nparts > MANY_PARTITIONS;

	table_close(event, NoLock);
	return has_many;
}
