/*
 * pg/sql/redeliver.c - the SQL function redeliver_one().
 *
 * It says whose endpoint it is; what it then does is done by redeliver(event, endpoint), as the owner of the log.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "pg/sql/as_owner.h"
#include "pg/sql/call.h"
#include "pg/sql/ownership.h"

PG_FUNCTION_INFO_V1(bm_webhook_redeliver_one);

#define EVENT 0
#define ENDPOINT 1
#define ARGUMENTS 4
#define WHAT_TO_NAME "Name an event and an endpoint."

static BmwStatement redeliver = {"SELECT bm_webhook.redeliver($4, e.id)" BMW_ENDPOINT_OF_CALLER,
								 ARGUMENTS,
								 {INT8OID, OIDOID, BOOLOID, UUIDOID}};

/* redeliver_one(event, endpoint) */
Datum
bm_webhook_redeliver_one(PG_FUNCTION_ARGS)
{
	BmwCaller caller = bmw_ownership_caller();
	Datum arguments[ARGUMENTS];
	Datum made_due;
	bool is_null;

	bmw_call_require(fcinfo, EVENT, "event", WHAT_TO_NAME);
	bmw_call_require(fcinfo, ENDPOINT, "endpoint", WHAT_TO_NAME);
	arguments[0] = PG_GETARG_DATUM(ENDPOINT);
	arguments[1] = caller.role;
	arguments[2] = caller.is_unbound;
	arguments[3] = PG_GETARG_DATUM(EVENT);
	if (bmw_as_owner_run(&redeliver, arguments, NULL, &made_due, &is_null) == 0)
		bmw_ownership_refuse(PG_GETARG_INT64(ENDPOINT));
	return made_due;
}
