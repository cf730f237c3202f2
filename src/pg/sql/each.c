/*
 * pg/sql/each.c - the SQL functions redeliver_each() and cancel_each().
 *
 * They say which of the endpoints are the caller's, as the owner of the log. What can be done
 * is then written down for the dispatcher, and for each delivery that cannot, why not.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "pg/server/notify.h"
#include "pg/sql/call.h"
#include "pg/sql/identity.h"
#include "pg/sql/insert.h"
#include "pg/sql/ownership.h"
#include "pg/sql/statement.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(bm_webhook_redeliver_each);
PG_FUNCTION_INFO_V1(bm_webhook_cancel_each);

#define EVENTS 0
#define ENDPOINTS 1
#define MAX_ROWS 2
#define DRY_RUN 3
#define ARGUMENTS 8
#define WHAT_TO_NAME "Name the event and the endpoint of each delivery, in two arrays."

static BmwStatement begin_each = {
	"SELECT b.event_id, b.endpoint_id, b.operation, b.problem FROM bm_webhook_internal.begin_each($4, $5, $1,"
	" ARRAY(SELECT e.id FROM bm_webhook.endpoint e WHERE e.id OPERATOR(pg_catalog.=) ANY ($1)"
	" AND " BMW_OWNERSHIP "), $6, $7, $8) b",
	ARGUMENTS,
	{INT8ARRAYOID, OIDOID, BOOLOID, TEXTOID, UUIDARRAYOID, INT8OID, BOOLOID, NAMEOID}};

static Datum ask(FunctionCallInfo fcinfo, const char *kind);

/* redeliver_each(events, endpoints, max_rows, dry_run) */
Datum
bm_webhook_redeliver_each(PG_FUNCTION_ARGS)
{
	return ask(fcinfo, "redeliver");
}

/* cancel_each(events, endpoints, max_rows, dry_run) */
Datum
bm_webhook_cancel_each(PG_FUNCTION_ARGS)
{
	return ask(fcinfo, "cancel");
}

static Datum
ask(FunctionCallInfo fcinfo, const char *kind)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	BmwCaller caller = bmw_ownership_caller();
	Datum arguments[ARGUMENTS] = {PG_GETARG_DATUM(ENDPOINTS), caller.role,
								  caller.is_unbound,		  CStringGetTextDatum(kind),
								  PG_GETARG_DATUM(EVENTS),	  PG_GETARG_DATUM(MAX_ROWS),
								  PG_GETARG_DATUM(DRY_RUN),	  bmw_ownership_caller_name()};
	char nulls[] = "        ";
	BmwIdentity before;
	int rows;

	bmw_call_require(fcinfo, EVENTS, "events", WHAT_TO_NAME);
	bmw_call_require(fcinfo, ENDPOINTS, "endpoints", WHAT_TO_NAME);
	nulls[5] = PG_ARGISNULL(MAX_ROWS) ? 'n' : ' ';
	nulls[6] = PG_ARGISNULL(DRY_RUN) ? 'n' : ' ';
	InitMaterializedSRF(fcinfo, 0);
	before = bmw_identity_become(bmw_event_store_owner());
	SPI_connect();
	rows = bmw_statement_run_with(&begin_each, arguments, nulls, 0);
	for (int i = 0; i < rows; i++)
		tuplestore_puttuple(result->setResult, SPI_tuptable->vals[i]);
	SPI_finish();
	bmw_identity_return(before);
	bmw_notify_operation();
	return (Datum) 0;
}
