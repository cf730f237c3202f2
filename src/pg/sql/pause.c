/*
 * pg/sql/pause.c - the SQL functions pause() and resume().
 *
 * Exactly one of the arguments says what is meant. The owner of an application may pause it and its
 * endpoints; everything, only who is not bound by row-level security.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "pg/sql/as_owner.h"
#include "pg/sql/call.h"
#include "pg/sql/ownership.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(bm_webhook_pause);
PG_FUNCTION_INFO_V1(bm_webhook_resume);

#define ENDPOINT 0
#define APPLICATION 1
#define EVERYTHING 2
#define REASON 3

/* Nothing comes back when the endpoint or the application does not exist, or is not the caller's. */
static BmwStatement set_paused = {
	"SELECT bm_webhook_internal.set_paused($4, $1, $5, $6, $7) WHERE CASE"
	" WHEN $1 IS NOT NULL THEN EXISTS (SELECT FROM bm_webhook.endpoint e"
	"  WHERE e.id OPERATOR(pg_catalog.=) $1 AND e.deleted_at IS NULL AND " BMW_OWNERSHIP ")"
	" WHEN $5 IS NOT NULL THEN EXISTS (SELECT FROM (SELECT a.name AS application FROM bm_webhook.application a"
	"  WHERE a.name OPERATOR(pg_catalog.=) $5 AND a.deleted_at IS NULL) e WHERE " BMW_OWNERSHIP ")"
	" ELSE $3 END",
	7,
	{INT8OID, OIDOID, BOOLOID, BOOLOID, TEXTOID, TEXTOID, NAMEOID}};

static Datum change(FunctionCallInfo fcinfo, bool is_paused);
static void check_arguments(FunctionCallInfo fcinfo);
static void refuse(FunctionCallInfo fcinfo);

/* pause(endpoint, application, everything, reason) */
Datum
bm_webhook_pause(PG_FUNCTION_ARGS)
{
	return change(fcinfo, true);
}

/* resume(endpoint, application, everything, reason) */
Datum
bm_webhook_resume(PG_FUNCTION_ARGS)
{
	return change(fcinfo, false);
}

static Datum
change(FunctionCallInfo fcinfo, bool is_paused)
{
	BmwCaller caller = bmw_ownership_caller();
	Datum values[7] = {PG_GETARG_DATUM(ENDPOINT),
					   caller.role,
					   caller.is_unbound,
					   BoolGetDatum(is_paused),
					   PG_GETARG_DATUM(APPLICATION),
					   PG_GETARG_DATUM(REASON),
					   bmw_ownership_caller_name()};
	char nulls[8] = "       ";
	Datum changed;
	bool is_null;

	check_arguments(fcinfo);
	nulls[0] = PG_ARGISNULL(ENDPOINT) ? 'n' : ' ';
	nulls[4] = PG_ARGISNULL(APPLICATION) ? 'n' : ' ';
	nulls[5] = PG_ARGISNULL(REASON) ? 'n' : ' ';
	if (bmw_as_owner_run(&set_paused, values, nulls, &changed, &is_null) == 0)
		refuse(fcinfo);
	return changed;
}

static void
check_arguments(FunctionCallInfo fcinfo)
{
	bool is_everything = !PG_ARGISNULL(EVERYTHING) && PG_GETARG_BOOL(EVERYTHING);
	int length = !PG_ARGISNULL(ENDPOINT) + !PG_ARGISNULL(APPLICATION) + is_everything;

	bmw_call_limit(fcinfo, REASON, "reason", BMW_REASON_MAX_BYTES);
	if (length == 0)
		ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("nothing says what is to be paused or resumed"),
				errhint("Name an endpoint or an application, or say everything => true."));
	if (length > 1)
		ereport(
			ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("more than one of \"endpoint\", \"application\" and \"everything\" is given"),
			errhint("Each is paused and resumed by itself."));
}

static void
refuse(FunctionCallInfo fcinfo)
{
	if (!PG_ARGISNULL(ENDPOINT))
		bmw_ownership_refuse(PG_GETARG_INT64(ENDPOINT));
	if (!PG_ARGISNULL(APPLICATION))
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("application \"%s\" does not exist",
					   text_to_cstring(PG_GETARG_TEXT_PP(APPLICATION))),
				errhint("Applications are the rows of bm_webhook.application."));
	ereport(
		ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
		errmsg("only an administrator can pause everything"),
		errhint("It takes a role with BYPASSRLS. Owners pause their applications and endpoints."));
}
