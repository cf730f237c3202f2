/*
 * pg/sql/operation.c - the SQL functions that ask for a change of many deliveries.
 *
 * They only write down what is to be done, as the owner of the log, once they
 * have seen that the endpoint is the caller's. A dispatcher does it after the commit.
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
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#define ARGUMENTS 12
#define COLUMNS 3
#define WHAT_TO_NAME "Name an endpoint, and when the period begins."
#define MAX_CLASSES_SIZE 8192 /* bytes: they are compared at each step, in which nothing is sent */

PG_FUNCTION_INFO_V1(bm_webhook_redeliver);
PG_FUNCTION_INFO_V1(bm_webhook_cancel);
PG_FUNCTION_INFO_V1(bm_webhook_recover);

typedef struct Asked
{
	Datum values[ARGUMENTS];
	char nulls[ARGUMENTS + 1]; /* as SPI wants them */
} Asked;

/* What became of it at one endpoint: operation, endpoint, matched. */
typedef struct BegunRow
{
	Datum values[COLUMNS];
	bool nulls[COLUMNS];
} BegunRow;

typedef struct Begun
{
	BegunRow *rows;
	int length;
} Begun;

/*
 * For each of the caller's endpoints, or for the one that is named; the others are arguments
 * of begin_operation(). Of many endpoints only those that it is for.
 */
static BmwStatement begin_operations = {
	"SELECT b.operation, e.id, b.matched FROM bm_webhook.endpoint e CROSS JOIN LATERAL"
	" bm_webhook_internal.begin_operation($4, e.id, $5, $6, $7, $8, $9, $10, $11, $12) b"
	" WHERE e.deleted_at IS NULL AND ($1 IS NULL OR e.id OPERATOR(pg_catalog.=) $1) AND " BMW_OWNERSHIP
	" AND ($1 IS NOT NULL OR b.matched OPERATOR(pg_catalog.>) 0)",
	ARGUMENTS,
	{INT8OID, OIDOID, BOOLOID, TEXTOID, UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTARRAYOID,
	 TEXTARRAYOID, INT8OID, BOOLOID, NAMEOID}};

/* Their places in the statement. */
enum
{
	ENDPOINT,
	USER,
	IS_UNBOUND,
	KIND,
	EVENT,
	SINCE,
	UNTIL,
	STATUS,
	ERROR_CLASS,
	MAX_ROWS,
	DRY_RUN,
	ACTING_AS
};

static Asked ask(const char *kind);
static void take(Asked *asked, int place, FunctionCallInfo fcinfo, int argument);
static void set(Asked *asked, int place, Datum value);
static void check_period(FunctionCallInfo fcinfo);
static void check_statuses(FunctionCallInfo fcinfo);
static void check_error_classes(FunctionCallInfo fcinfo);
static Begun begin(Asked *asked);
static BegunRow read_row(HeapTuple tuple, TupleDesc desc);
static Datum as_row(FunctionCallInfo fcinfo, Begun begun);
static void put_rows(FunctionCallInfo fcinfo, Begun begun);

/* redeliver(endpoint, since, until, status, error_class, max_rows, dry_run) */
Datum
bm_webhook_redeliver(PG_FUNCTION_ARGS)
{
	static const int places[] = {ENDPOINT, SINCE, UNTIL, STATUS, ERROR_CLASS, MAX_ROWS, DRY_RUN};
	Asked asked = ask("redeliver");

	bmw_call_require(fcinfo, 0, "endpoint", WHAT_TO_NAME);
	check_period(fcinfo);
	check_statuses(fcinfo);
	check_error_classes(fcinfo);
	if (!PG_ARGISNULL(5) && PG_GETARG_INT64(5) < 1)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("\"max_rows\" must be at least 1"), errhint("Leave it out for no limit."));
	for (size_t i = 0; i < lengthof(places); i++)
		take(&asked, places[i], fcinfo, i);
	return as_row(fcinfo, begin(&asked));
}

/* cancel(event, endpoint, before, everything, dry_run) */
Datum
bm_webhook_cancel(PG_FUNCTION_ARGS)
{
	Asked asked = ask("cancel");

	if (PG_ARGISNULL(0) && PG_ARGISNULL(1) && PG_ARGISNULL(2) &&
		(PG_ARGISNULL(3) || !PG_GETARG_BOOL(3)))
		ereport(
			ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			errmsg("nothing says what is to be canceled"),
			errhint("Name an event, an endpoint, or a time before which it was captured, or say "
					"everything => true."));
	take(&asked, EVENT, fcinfo, 0);
	take(&asked, ENDPOINT, fcinfo, 1);
	take(&asked, UNTIL, fcinfo, 2);
	take(&asked, DRY_RUN, fcinfo, 4);
	put_rows(fcinfo, begin(&asked));
	return (Datum) 0;
}

/* recover(endpoint, since, until, dry_run) */
Datum
bm_webhook_recover(PG_FUNCTION_ARGS)
{
	Asked asked = ask("recover");

	bmw_call_require(fcinfo, 0, "endpoint", WHAT_TO_NAME);
	check_period(fcinfo);
	take(&asked, ENDPOINT, fcinfo, 0);
	take(&asked, SINCE, fcinfo, 1);
	take(&asked, UNTIL, fcinfo, 2);
	take(&asked, DRY_RUN, fcinfo, 3);
	return as_row(fcinfo, begin(&asked));
}

/* By the caller. */
static Asked
ask(const char *kind)
{
	BmwCaller caller = bmw_ownership_caller();
	Asked asked;

	memset(asked.nulls, 'n', ARGUMENTS);
	asked.nulls[ARGUMENTS] = '\0';
	set(&asked, USER, caller.role);
	set(&asked, IS_UNBOUND, caller.is_unbound);
	set(&asked, KIND, CStringGetTextDatum(kind));
	set(&asked, ACTING_AS, bmw_ownership_caller_name());
	return asked;
}

static void
take(Asked *asked, int place, FunctionCallInfo fcinfo, int argument)
{
	if (!PG_ARGISNULL(argument))
		set(asked, place, PG_GETARG_DATUM(argument));
}

static void
set(Asked *asked, int place, Datum value)
{
	asked->values[place] = value;
	asked->nulls[place] = ' ';
}

static void
check_period(FunctionCallInfo fcinfo)
{
	bmw_call_require(fcinfo, 1, "since", WHAT_TO_NAME);
	if (TIMESTAMP_IS_NOEND(PG_GETARG_TIMESTAMPTZ(1)))
		ereport(ERROR, errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				errmsg("\"since\" must not be infinity"),
				errhint("It says when the period begins; -infinity is always."));
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

	bmw_call_require(fcinfo, 3, "status", WHAT_TO_NAME);
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
check_error_classes(FunctionCallInfo fcinfo)
{
	if (!PG_ARGISNULL(4) && VARSIZE(PG_GETARG_ARRAYTYPE_P(4)) > MAX_CLASSES_SIZE)
		ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				errmsg("\"error_class\" must not be larger than %d bytes", MAX_CLASSES_SIZE),
				errhint("The classes of errors are those of bm_webhook.delivery."));
}

/*
 * As the owner of the log. The rows stay valid until the memory context of the caller
 * goes. 42704 when the endpoint that is named does not exist or is not the caller's.
 */
static Begun
begin(Asked *asked)
{
	MemoryContext caller = CurrentMemoryContext;
	BmwIdentity before = bmw_identity_become(bmw_event_store_owner());
	Begun begun;

	SPI_connect();
	begun.length = bmw_statement_run_with(&begin_operations, asked->values, asked->nulls, 0);
	MemoryContextSwitchTo(caller);
	begun.rows = palloc(sizeof(*begun.rows) * Max(begun.length, 1));
	for (int i = 0; i < begun.length; i++)
		begun.rows[i] = read_row(SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
	SPI_finish();
	bmw_identity_return(before);
	if (begun.length == 0 && asked->nulls[ENDPOINT] == ' ')
		bmw_ownership_refuse(DatumGetInt64(asked->values[ENDPOINT]));
	bmw_notify_operation();
	return begun;
}

static BegunRow
read_row(HeapTuple tuple, TupleDesc desc)
{
	BegunRow row;

	for (int i = 0; i < COLUMNS; i++)
		row.values[i] = SPI_getbinval(tuple, desc, i + 1, &row.nulls[i]);
	return row;
}

/* (operation, matched) */
static Datum
as_row(FunctionCallInfo fcinfo, Begun begun)
{
	BegunRow *row = &begun.rows[0];

	row->values[1] = row->values[2];
	return bmw_call_row(fcinfo, row->values, row->nulls);
}

/* (operation, endpoint, matched) for each */
static void
put_rows(FunctionCallInfo fcinfo, Begun begun)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < begun.length; i++)
		tuplestore_putvalues(result->setResult, result->setDesc, begun.rows[i].values,
							 begun.rows[i].nulls);
}
