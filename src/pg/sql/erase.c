/*
 * pg/sql/erase.c - the SQL function erase(): a person's data leaves the log.
 *
 * What is erased is in SQL (sql/parts); here is only who may ask for it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "pg/sql/as_owner.h"
#include "pg/sql/call.h"
#include "pg/sql/ownership.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(bm_webhook_erase);

#define COLUMNS 5

static BmwStatement erase = {
	"SELECT operation, events, responses, set_aside, is_complete FROM bm_webhook_internal.erase($1, $2, $3, $4, $5, $6)",
	6,
	{TEXTOID, TEXTOID, TEXTOID, OIDOID, BOOLOID, NAMEOID}};

static Datum run(FunctionCallInfo fcinfo);

/* erase(message_id, recipient, application) */
Datum
bm_webhook_erase(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0) && PG_ARGISNULL(1))
		ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("nothing says whose data is to be erased"),
				errhint("Name a message_id, or a recipient."));
	return run(fcinfo);
}

/* As the owner of the log. */
static Datum
run(FunctionCallInfo fcinfo)
{
	BmwCaller caller = bmw_ownership_caller();
	Datum values[6] = {0};
	Datum columns[COLUMNS];
	char nulls[] = "      ";
	bool is_null[COLUMNS];

	for (int i = 0; i < 3; i++)
		if (PG_ARGISNULL(i))
			nulls[i] = 'n';
		else
			values[i] = PG_GETARG_DATUM(i);
	values[3] = caller.role;
	values[4] = caller.is_unbound;
	values[5] = bmw_ownership_caller_name();
	(void) bmw_as_owner_run(&erase, values, nulls, columns, is_null);
	return bmw_call_row(fcinfo, columns, is_null);
}
