/*
 * pg/dispatch/store_change.c - the statements about what has changed in the registration.
 *
 * Transactions note what they change (pg/sql/endpoint_change.c). As with events
 * (core/scheduler_pass.c), what is new is what two snapshots differ by: notes of
 * transactions that were running in the earlier one and are over in the later
 * one, and of those that began after it.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "pg/dispatch/store.h"
#include "pg/sql/sql_row.h"
#include "pg/sql/statement.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

static BmwStatement of_ended = {
	"SELECT c.endpoint_id, c.application, c.endpoint_id IS NOT NULL FROM bm_webhook_internal.endpoint_change c"
	" WHERE c.xid = ANY ($1) LIMIT $2",
	2,
	{XID8ARRAYOID, INT8OID},
	.is_stable = true};

static BmwStatement of_begun = {
	"SELECT c.endpoint_id, c.application, c.endpoint_id IS NOT NULL FROM bm_webhook_internal.endpoint_change c"
	" WHERE c.xid >= $1 LIMIT $2",
	2,
	{XID8OID, INT8OID},
	.is_stable = true};

/* No dispatcher needs what its cursor sees: it has read the endpoints after that snapshot was taken. */
static BmwStatement horizon = {"SELECT pg_catalog.pg_snapshot_xmin(snapshot) FROM bm_webhook.cursor"
							   " ORDER BY 1 LIMIT 1"};

static BmwStatement forget = {
	"DELETE FROM bm_webhook_internal.endpoint_change WHERE ctid = ANY (ARRAY("
	" SELECT c.ctid FROM bm_webhook_internal.endpoint_change c WHERE c.xid >= $1 AND c.xid < $2"
	" ORDER BY c.xid LIMIT $3 FOR UPDATE SKIP LOCKED))",
	3,
	{XID8OID, XID8OID, INT8OID}};

/* Whoever switches a trigger off and on again leaves another row of it. */
static BmwStatement triggers = {
	"SELECT pg_catalog.string_agg(t.xmin::text || t.tgenabled::text, ',' ORDER BY t.oid)"
	" FROM pg_catalog.pg_trigger t WHERE t.tgrelid = ANY ($1) AND t.tgname LIKE 'endpoint\\_%'",
	1,
	{OIDARRAYOID}};

/* With triggers that note changes. */
static const char *const watched[] = {"application", "endpoint", "endpoint_secret",
									  "endpoint_state"};

static bool can_read(const char *schema, const char *const *tables, int length);
static Datum ended_datum(const BmwSnapshot *known, const BmwSnapshot *now, int *length);
static int hand_out(int rows, BmwChangeFn fn, void *context);

bool
bmw_store_can_read_endpoints(void)
{
	static const char *const tables[] = {"application", "endpoint", "endpoint_state",
										 "endpoint_secret", "paused"};
	static const char *const internal[] = {"endpoint_change", "home"};

	return can_read("bm_webhook", tables, lengthof(tables)) &&
		   can_read("bm_webhook_internal", internal, lengthof(internal));
}

static bool
can_read(const char *schema, const char *const *tables, int length)
{
	Oid namespace = get_namespace_oid(schema, false);

	for (int i = 0; i < length; i++)
		if (!bmw_statement_lock(get_relname_relid(tables[i], namespace), AccessShareLock))
			return false;
	return true;
}

int
bmw_store_changes(const BmwSnapshot *known, BmwSnapshot *now, int limit, BmwChangeFn fn,
				  void *context)
{
	Datum begun[2] = {FullTransactionIdGetDatum(FullTransactionIdFromU64(known->xmax)),
					  Int64GetDatum(limit)};
	Datum ended[2] = {(Datum) 0, Int64GetDatum(limit)};
	int ended_length = 0;
	int rows = 0;

	PushActiveSnapshot(GetLatestSnapshot());
	bmw_store_active_snapshot(now);
	if (known->xmax != 0)
	{
		ended[0] = ended_datum(known, now, &ended_length);
		if (ended_length > 0)
			rows = hand_out(bmw_statement_run(&of_ended, ended), fn, context);
		rows += hand_out(bmw_statement_run(&of_begun, begun), fn, context);
	}
	PopActiveSnapshot();
	return rows;
}

bool
bmw_store_forget_changes(uint64 *from, int limit)
{
	Datum values[3] = {FullTransactionIdGetDatum(FullTransactionIdFromU64(*from)), (Datum) 0,
					   Int64GetDatum(limit)};
	BmwSqlRow row;
	uint64 to;

	if (!bmw_statement_lock(bmw_statement_table("cursor"), AccessShareLock) ||
		bmw_statement_run(&horizon, NULL) == 0)
		return false;
	row = (BmwSqlRow){SPI_tuptable->vals[0], SPI_tuptable->tupdesc};
	to = bmw_sql_xid8(&row, 1);
	values[1] = FullTransactionIdGetDatum(FullTransactionIdFromU64(to));
	if (bmw_statement_run(&forget, values) >= limit)
		return true;
	*from = to;
	return false;
}

char *
bmw_store_triggers(void)
{
	BmwSqlColumn tables;
	Datum value;
	BmwSqlRow row;

	bmw_sql_column_init(&tables, OIDOID, lengthof(watched));
	for (size_t i = 0; i < lengthof(watched); i++)
		bmw_sql_column_add(&tables, ObjectIdGetDatum(bmw_statement_table(watched[i])));
	value = bmw_sql_column_array(&tables);
	bmw_statement_run(&triggers, &value);
	row = (BmwSqlRow){SPI_tuptable->vals[0], SPI_tuptable->tupdesc};
	return SPI_getvalue(row.tuple, row.descriptor, 1);
}

static Datum
ended_datum(const BmwSnapshot *known, const BmwSnapshot *now, int *length)
{
	uint64 *xids = palloc(sizeof(*xids) * (known->xip_length + 1));
	BmwSqlColumn column;

	*length = bmw_snapshot_ended(known, now, xids);
	bmw_sql_column_init(&column, XID8OID, *length + 1);
	for (int i = 0; i < *length; i++)
		bmw_sql_column_add(&column, FullTransactionIdGetDatum(FullTransactionIdFromU64(xids[i])));
	return bmw_sql_column_array(&column);
}

static int
hand_out(int rows, BmwChangeFn fn, void *context)
{
	for (int i = 0; i < rows; i++)
	{
		BmwSqlRow row = {SPI_tuptable->vals[i], SPI_tuptable->tupdesc};
		BmwChange change = {.endpoint_id = bmw_sql_int64(&row, 1),
							.application = bmw_sql_text(&row, 2, NULL),
							.is_endpoint = bmw_sql_bool(&row, 3)};

		fn(&change, context);
	}
	SPI_freetuptable(SPI_tuptable);
	return rows;
}
