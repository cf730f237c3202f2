/*
 * pg/sql/secret.c - the SQL function rotate_secret().
 *
 * What it does is written in SQL, and run as the owner of the log once the endpoint is the
 * caller's: so an owner needs no right to the table of secrets.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "pg/sql/call.h"
#include "pg/sql/identity.h"
#include "pg/sql/insert.h"
#include "pg/sql/interval.h"
#include "pg/sql/ownership.h"
#include "pg/sql/statement.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(bm_webhook_rotate_secret);

#define MAX_OVERLAP_US (366 * USECS_PER_DAY)
#define ENDPOINT_OF_CALLER                                                                         \
	" FROM bm_webhook.endpoint e WHERE e.id OPERATOR(pg_catalog.=) $1 AND e.deleted_at IS NULL"    \
	" AND " BMW_OWNERSHIP

static BmwStatement rotate = {
	"SELECT bm_webhook_internal.rotate_secret(e.id, $4, $5)" ENDPOINT_OF_CALLER,
	5,
	{INT8OID, OIDOID, BOOLOID, INTERVALOID, NAMEOID}};

static Datum overlap(FunctionCallInfo fcinfo);
static Datum run(BmwStatement *statement, Datum *values);

/* rotate_secret(endpoint bigint, overlap interval) */
Datum
bm_webhook_rotate_secret(PG_FUNCTION_ARGS)
{
	BmwCaller caller = bmw_ownership_caller();

	bmw_call_require(fcinfo, 0, "endpoint", "Name an id.");
	bmw_call_require(fcinfo, 1, "overlap", "Leave it out for 24 hours.");
	return run(&rotate, (Datum[]){PG_GETARG_DATUM(0), caller.role, caller.is_unbound,
								  overlap(fcinfo), bmw_ownership_caller_name()});
}

/* As microseconds alone, so that it is the same time whatever day it is. */
static Datum
overlap(FunctionCallInfo fcinfo)
{
	int64 us;

	if (!bmw_interval_us(PG_GETARG_INTERVAL_P(1), &us) || us < 0 || us > MAX_OVERLAP_US)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("\"overlap\" is out of range"),
				errdetail("It must be between 0 and 366 days."),
				errhint("With 0 the secrets before sign no more at once."));
	return bmw_interval_datum(us);
}

/* A text of the endpoint $1; 42704 when it is not the caller's. */
static Datum
run(BmwStatement *statement, Datum *values)
{
	BmwIdentity before = bmw_identity_become(bmw_event_store_owner());
	const char *text;
	Datum result;

	SPI_connect();
	if (bmw_statement_run(statement, values) == 0)
		bmw_ownership_refuse(DatumGetInt64(values[0]));
	text = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	result = SPI_datumTransfer(CStringGetTextDatum(text), false, -1);
	SPI_finish();
	bmw_identity_return(before);
	return result;
}
