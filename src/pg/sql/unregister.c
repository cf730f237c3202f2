/*
 * pg/sql/unregister.c - the SQL functions delete_endpoint() and delete_secret().
 *
 * They take the place of DELETE for roles that own an application: with the
 * right to DELETE a role could also LOCK TABLE, and stop everybody. The row goes
 * if row-level security would show it to the caller; an endpoint with a log is marked instead, so
 * that its id comes back to nobody and its owner still finds it; what belongs to somebody
 * else is as unknown as what does not exist.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "pg/sql/audit.h"
#include "pg/sql/call.h"
#include "pg/sql/insert.h"
#include "pg/sql/identity.h"
#include "pg/sql/ownership.h"
#include "pg/sql/statement.h"

PG_FUNCTION_INFO_V1(bm_webhook_delete_endpoint);
PG_FUNCTION_INFO_V1(bm_webhook_delete_secret);

#define THE_ENDPOINT "e.id OPERATOR(pg_catalog.=) $1 AND e.deleted_at IS NULL AND " BMW_OWNERSHIP

/*
 * The trigger check_endpoint erases the rest of the row. CASE keeps the order: nobody learns by how long it
 * takes what the log has of an endpoint that is not his.
 */
static BmwStatement mark_endpoint = {
	"WITH marked AS (UPDATE bm_webhook.endpoint e SET deleted_at = pg_catalog.clock_timestamp()"
	" WHERE CASE WHEN " THE_ENDPOINT " THEN bm_webhook_internal.has_log(e) ELSE false END"
	" AND e.id OPERATOR(pg_catalog.=) $1 RETURNING e.id, e.application)"
	", secrets AS (DELETE FROM bm_webhook.endpoint_secret s USING marked m"
	" WHERE s.endpoint_id OPERATOR(pg_catalog.=) m.id)"
	" SELECT id, application FROM marked",
	3,
	{INT8OID, OIDOID, BOOLOID}};

static BmwStatement delete_endpoint = {"DELETE FROM bm_webhook.endpoint e WHERE " THE_ENDPOINT
									   " RETURNING e.id, e.application",
									   3,
									   {INT8OID, OIDOID, BOOLOID}};

static BmwStatement delete_secret = {
	"DELETE FROM bm_webhook.endpoint_secret s USING bm_webhook.endpoint e"
	" WHERE s.id OPERATOR(pg_catalog.=) $1 AND e.id OPERATOR(pg_catalog.=) s.endpoint_id AND " BMW_OWNERSHIP
	" RETURNING e.id, e.application",
	3,
	{INT8OID, OIDOID, BOOLOID}};

static bool run(BmwStatement *statement, int64 id, const char *subject);

/* delete_endpoint(endpoint bigint) */
Datum
bm_webhook_delete_endpoint(PG_FUNCTION_ARGS)
{
	bmw_call_require(fcinfo, 0, "endpoint", "Name an id.");
	if (!run(&mark_endpoint, PG_GETARG_INT64(0), "endpoint") &&
		!run(&delete_endpoint, PG_GETARG_INT64(0), "endpoint"))
		bmw_ownership_refuse(PG_GETARG_INT64(0));
	PG_RETURN_VOID();
}

/* delete_secret(secret bigint) */
Datum
bm_webhook_delete_secret(PG_FUNCTION_ARGS)
{
	bmw_call_require(fcinfo, 0, "secret", "Name an id.");
	if (!run(&delete_secret, PG_GETARG_INT64(0), "secret"))
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("secret " INT64_FORMAT " does not exist", PG_GETARG_INT64(0)),
				errhint("Secrets are the rows of bm_webhook.endpoint_secret."));
	PG_RETURN_VOID();
}

/* False when there is no such row that the caller may see. That he has deleted it is recorded. */
static bool
run(BmwStatement *statement, int64 id, const char *subject)
{
	BmwCaller caller = bmw_ownership_caller();
	Datum acting_as = bmw_ownership_caller_name();
	Datum values[3] = {Int64GetDatum(id), caller.role, caller.is_unbound};
	BmwIdentity before = bmw_identity_become(bmw_event_store_owner());

	SPI_connect();

	bool is_done = bmw_statement_run(statement, values) > 0;

	if (is_done)
		bmw_audit_deletion(subject, &(BmwSqlRow){SPI_tuptable->vals[0], SPI_tuptable->tupdesc},
						   acting_as);
	SPI_finish();
	bmw_identity_return(before);
	return is_done;
}
