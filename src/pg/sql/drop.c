/*
 * pg/sql/drop.c - the SQL function drop_before().
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "pg/server/notify.h"
#include "pg/sql/as_owner.h"
#include "pg/sql/call.h"
#include "pg/sql/ownership.h"
#include "utils/timestamp.h"

#define HINT                                                                                       \
	"Partitions of the log that end before this time are dropped; bm_webhook.partition_list has "  \
	"them."

PG_FUNCTION_INFO_V1(bm_webhook_drop_before);

static BmwStatement begin_drop = {
	"SELECT operation, matched FROM bm_webhook_internal.begin_drop($1, $2, $3, $4)",
	4,
	{TIMESTAMPTZOID, BOOLOID, BOOLOID, NAMEOID}};

static void check(FunctionCallInfo fcinfo);

/* drop_before(before, with_waiting, dry_run) */
Datum
bm_webhook_drop_before(PG_FUNCTION_ARGS)
{
	Datum values[4] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), PG_GETARG_DATUM(2),
					   bmw_ownership_caller_name()};
	Datum columns[2];
	bool nulls[2];

	check(fcinfo);
	(void) bmw_as_owner_run(&begin_drop, values, NULL, columns, nulls);
	bmw_notify_operation();
	return bmw_call_row(fcinfo, columns, nulls);
}

static void
check(FunctionCallInfo fcinfo)
{
	bmw_call_require(fcinfo, 0, "before", HINT);
	bmw_call_require(fcinfo, 1, "with_waiting", "It says whether what waits is dropped, too.");
	bmw_call_require(fcinfo, 2, "dry_run", "Leave it out to drop.");
	if (PG_GETARG_TIMESTAMPTZ(0) > GetCurrentTimestamp())
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("\"before\" must not lie in the future"), errhint(HINT));
	bmw_ownership_require_administrator("drop what the log has");
}
