/*
 * pg/sql/set_aside.c - the SQL functions set_aside() and put_back().
 *
 * They say whose delivery it is, as the owner of the log. What waits may be in a dispatcher's
 * memory: so that sets it aside, and only what was set aside is put back here.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "pg/server/notify.h"
#include "pg/sql/as_owner.h"
#include "pg/sql/call.h"
#include "pg/sql/ownership.h"

PG_FUNCTION_INFO_V1(bm_webhook_set_aside);
PG_FUNCTION_INFO_V1(bm_webhook_put_back);

#define EVENT 0
#define ENDPOINT 1
#define REASON 2
#define ARGUMENTS 6
#define WHAT_TO_NAME "Name an event and an endpoint."

#define TYPES                                                                                      \
	{                                                                                              \
		INT8OID, OIDOID, BOOLOID, UUIDOID, TEXTOID, NAMEOID                                        \
	}

/* Nothing comes back when the endpoint does not exist, or is not the caller's. */
static BmwStatement set_aside = {
	"SELECT a.operation, a.matched FROM (SELECT e.id" BMW_ENDPOINT_OF_CALLER
	") e CROSS JOIN LATERAL bm_webhook_internal.begin_set_aside(e.id, $4, $5, $6) a",
	ARGUMENTS, TYPES};
static BmwStatement put_back = {
	"SELECT bm_webhook_internal.put_back(e.id, $4, $5, $6)" BMW_ENDPOINT_OF_CALLER, ARGUMENTS,
	TYPES};

static void run(FunctionCallInfo fcinfo, BmwStatement *statement, Datum *values, bool *nulls);

/* set_aside(event, endpoint, reason) */
Datum
bm_webhook_set_aside(PG_FUNCTION_ARGS)
{
	Datum values[2];
	bool nulls[2];

	run(fcinfo, &set_aside, values, nulls);
	bmw_notify_operation();
	return bmw_call_row(fcinfo, values, nulls);
}

/* put_back(event, endpoint, reason) */
Datum
bm_webhook_put_back(PG_FUNCTION_ARGS)
{
	Datum values[2];
	bool nulls[2];

	run(fcinfo, &put_back, values, nulls);
	return values[0];
}

/* The columns of its one row are numbers. */
static void
run(FunctionCallInfo fcinfo, BmwStatement *statement, Datum *values, bool *nulls)
{
	BmwCaller caller = bmw_ownership_caller();
	Datum arguments[ARGUMENTS];
	char null_flags[ARGUMENTS + 1] = "      ";

	bmw_call_require(fcinfo, EVENT, "event", WHAT_TO_NAME);
	bmw_call_require(fcinfo, ENDPOINT, "endpoint", WHAT_TO_NAME);
	bmw_call_limit(fcinfo, REASON, "reason", BMW_REASON_MAX_BYTES);
	arguments[0] = PG_GETARG_DATUM(ENDPOINT);
	arguments[1] = caller.role;
	arguments[2] = caller.is_unbound;
	arguments[3] = PG_GETARG_DATUM(EVENT);
	arguments[4] = PG_GETARG_DATUM(REASON);
	arguments[5] = bmw_ownership_caller_name();
	null_flags[4] = PG_ARGISNULL(REASON) ? 'n' : ' ';
	if (bmw_as_owner_run(statement, arguments, null_flags, values, nulls) == 0)
		bmw_ownership_refuse(PG_GETARG_INT64(ENDPOINT));
}
