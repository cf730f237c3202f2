/*
 * pg/sql/operation.c - the SQL functions that ask for a change of many deliveries.
 *
 * They only write down what is to be done, as the owner of the log, once they
 * have seen that the endpoint is the caller's. A dispatcher does it after the commit.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pg/server/notify.h"
#include "pg/sql/identity.h"
#include "pg/sql/insert.h"
#include "pg/sql/ownership.h"
#include "pg/sql/statement.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#define ARGUMENTS 9 /* of begin_operation() */

PG_FUNCTION_INFO_V1(bm_webhook_redeliver);

/* What begin_operation() is called with. */
typedef struct Asked
{
	Datum values[ARGUMENTS];
	char nulls[ARGUMENTS + 1]; /* as SPI wants them */
} Asked;

/* What it returns. */
typedef struct Begun
{
	Datum values[2];
	bool nulls[2];
} Begun;

static BmwStatement begin_operation = {
	"SELECT operation, matched FROM bm_webhook_internal.begin_operation($1, $2, $3, $4, $5, $6, $7, $8, $9)",
	ARGUMENTS,
	{TEXTOID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTARRAYOID, TEXTARRAYOID, INT8OID, BOOLOID,
	 NAMEOID}};

static Asked take_arguments(FunctionCallInfo fcinfo, const char *kind);
static void check_period(FunctionCallInfo fcinfo);
static void check_statuses(FunctionCallInfo fcinfo);
static void require(FunctionCallInfo fcinfo, int argument, const char *name);
static Begun begin(Asked *asked);
static Datum as_row(FunctionCallInfo fcinfo, Begun *begun);

/* redeliver(endpoint, since, until, status, error_class, max_rows, dry_run) */
Datum
bm_webhook_redeliver(PG_FUNCTION_ARGS)
{
	Asked asked;
	Begun begun;

	require(fcinfo, 0, "endpoint");
	check_period(fcinfo);
	check_statuses(fcinfo);
	if (!PG_ARGISNULL(5) && PG_GETARG_INT64(5) < 1)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("\"max_rows\" must be at least 1"), errhint("Leave it out for no limit."));
	bmw_ownership_require(PG_GETARG_INT64(0));
	asked = take_arguments(fcinfo, "redeliver");
	begun = begin(&asked);
	return as_row(fcinfo, &begun);
}

/* The caller's are those from the second on. */
static Asked
take_arguments(FunctionCallInfo fcinfo, const char *kind)
{
	Asked asked;

	memset(asked.nulls, ' ', ARGUMENTS);
	asked.nulls[ARGUMENTS] = '\0';
	asked.values[0] = CStringGetTextDatum(kind);
	for (int i = 0; i < PG_NARGS(); i++)
	{
		asked.values[i + 1] = PG_GETARG_DATUM(i);
		if (PG_ARGISNULL(i))
			asked.nulls[i + 1] = 'n';
	}
	asked.values[ARGUMENTS - 1] =
		DirectFunctionCall1(namein, CStringGetDatum(GetUserNameFromId(GetUserId(), false)));
	return asked;
}

static void
check_period(FunctionCallInfo fcinfo)
{
	require(fcinfo, 1, "since");
	if (!PG_ARGISNULL(2) && PG_GETARG_TIMESTAMPTZ(2) <= PG_GETARG_TIMESTAMPTZ(1))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("\"until\" must be later than \"since\""),
				errhint("They say when the events were captured; without \"until\" it is now."));
}

static void
check_statuses(FunctionCallInfo fcinfo)
{
	Datum *elements;
	bool *nulls;
	int length;

	require(fcinfo, 3, "status");
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(3), TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls,
					  &length);
	for (int i = 0; i < length; i++)
	{
		const char *status = nulls[i] ? "" : TextDatumGetCString(elements[i]);

		if (strcmp(status, "pending") != 0 && strcmp(status, "delivered") != 0 &&
			strcmp(status, "failed") != 0 && strcmp(status, "canceled") != 0)
			ereport(
				ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("\"%s\" is not a status of a delivery", status),
				errhint(
					"The statuses are \"pending\", \"delivered\", \"failed\" and \"canceled\"."));
	}
}

static void
require(FunctionCallInfo fcinfo, int argument, const char *name)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("\"%s\" must not be null", name),
				errhint("Name an endpoint, and when the period begins."));
}

/* As the owner of the log. */
static Begun
begin(Asked *asked)
{
	BmwIdentity before = bmw_identity_become(bmw_event_store_owner());
	Begun begun;

	SPI_connect();
	(void) bmw_statement_run_with(&begin_operation, asked->values, asked->nulls, 0);
	for (int i = 0; i < 2; i++)
		begun.values[i] =
			SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, i + 1, &begun.nulls[i]);
	SPI_finish();
	bmw_identity_return(before);
	if (!begun.nulls[0])
		bmw_notify_operation();
	return begun;
}

static Datum
as_row(FunctionCallInfo fcinfo, Begun *begun)
{
	TupleDesc desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("a row is returned where none can be"));
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), begun->values, begun->nulls));
}
