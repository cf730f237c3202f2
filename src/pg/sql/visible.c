/*
 * pg/sql/visible.c - which endpoints a caller may see, for what is known of them elsewhere than in tables.
 *
 * For a member of pg_monitor the statement runs as the owner of the log, and with the search_path of whoever
 * asks: so it has no name that the path could lead to something of theirs.
 */
#include "postgres.h"

#include "pg/sql/visible.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pg/sql/identity.h"
#include "pg/sql/insert.h"
#include "pg/sql/sql_row.h"
#include "pg/sql/statement.h"
#include "utils/acl.h"

static BmwStatement visible_ids = {
	"SELECT id FROM bm_webhook.endpoint WHERE id OPERATOR(pg_catalog.=) ANY ($1) AND deleted_at IS NULL ORDER BY id",
	1,
	{INT8ARRAYOID},
	.is_stable = true};

int
bmw_visible_endpoints(const int64 *ids, int length, int64 *visible)
{
	const bool is_monitor = has_privs_of_role(GetUserId(), ROLE_PG_MONITOR);
	BmwSqlColumn column;
	BmwIdentity before;
	Datum value;
	int found;

	bmw_sql_column_init(&column, INT8OID, Max(length, 1));
	for (int i = 0; i < length; i++)
		bmw_sql_column_add(&column, Int64GetDatum(ids[i]));
	value = bmw_sql_column_array(&column);
	if (is_monitor)
		before = bmw_identity_become(bmw_event_store_owner());
	SPI_connect();
	found = bmw_statement_run(&visible_ids, &value);
	for (int i = 0; i < found; i++)
		visible[i] = bmw_sql_int64(&(BmwSqlRow){SPI_tuptable->vals[i], SPI_tuptable->tupdesc}, 1);
	SPI_finish();
	if (is_monitor)
		bmw_identity_return(before);
	return found;
}
