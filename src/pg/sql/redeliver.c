/*
 * pg/sql/redeliver.c - the SQL function redeliver_one().
 *
 * It says whose endpoint it is; what it then does is done by redeliver(event, endpoint), as the owner of the log.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "pg/sql/call.h"
#include "pg/sql/identity.h"
#include "pg/sql/insert.h"
#include "pg/sql/ownership.h"
#include "pg/sql/statement.h"

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
	BmwIdentity before;
	Datum arguments[ARGUMENTS];
	int32 made_due;
	bool is_null;

	bmw_call_require(fcinfo, EVENT, "event", WHAT_TO_NAME);
	bmw_call_require(fcinfo, ENDPOINT, "endpoint", WHAT_TO_NAME);
	arguments[0] = PG_GETARG_DATUM(ENDPOINT);
	arguments[1] = caller.role;
	arguments[2] = caller.is_unbound;
	arguments[3] = PG_GETARG_DATUM(EVENT);
	before = bmw_identity_become(bmw_event_store_owner());
	SPI_connect();
	if (bmw_statement_run_with(&redeliver, arguments, NULL, 0) == 0)
		bmw_ownership_refuse(PG_GETARG_INT64(ENDPOINT));
	made_due =
		DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
	SPI_finish();
	bmw_identity_return(before);
	PG_RETURN_INT32(made_due);
}
