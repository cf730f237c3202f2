/*
 * pg/sql/verify_endpoint.c - the SQL functions verify_endpoint(), mark_verified() and verifies().
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "pg/server/settings.h"
#include "pg/sql/as_owner.h"
#include "pg/sql/call.h"
#include "pg/sql/ownership.h"

PG_FUNCTION_INFO_V1(bm_webhook_verify_endpoint);
PG_FUNCTION_INFO_V1(bm_webhook_mark_verified);
PG_FUNCTION_INFO_V1(bm_webhook_verifies);

static BmwStatement set_verified = {
	"SELECT bm_webhook_internal.set_verified($4, $1, $5)" BMW_ENDPOINT_OF_CALLER,
	5,
	{INT8OID, OIDOID, BOOLOID, BOOLOID, NAMEOID}};

static void change(FunctionCallInfo fcinfo, bool is_verified);

/* verify_endpoint(endpoint bigint) */
Datum
bm_webhook_verify_endpoint(PG_FUNCTION_ARGS)
{
	if (!bmw_verify_endpoints)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("no endpoint has to prove its URL while bm_webhook.verify_endpoints is off"),
				errhint("Ask an administrator to turn it on."));
	change(fcinfo, false);
	PG_RETURN_VOID();
}

/* mark_verified(endpoint bigint) */
Datum
bm_webhook_mark_verified(PG_FUNCTION_ARGS)
{
	bmw_ownership_require_administrator("take a URL for proved");
	change(fcinfo, true);
	PG_RETURN_VOID();
}

/* verifies() */
Datum
bm_webhook_verifies(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(bmw_verify_endpoints);
}

static void
change(FunctionCallInfo fcinfo, bool is_verified)
{
	BmwCaller caller = bmw_ownership_caller();
	Datum values[5] = {PG_GETARG_DATUM(0), caller.role, caller.is_unbound,
					   BoolGetDatum(is_verified), bmw_ownership_caller_name()};
	Datum nothing;
	bool is_null;

	bmw_call_require(fcinfo, 0, "endpoint", "Name the id of an endpoint.");
	if (bmw_as_owner_run(&set_verified, values, NULL, &nothing, &is_null) == 0)
		bmw_ownership_refuse(PG_GETARG_INT64(0));
}
