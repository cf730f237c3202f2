/*
 * pg/sql/adopt.c - the SQL function adopt(), and what SQL asks about the server's start.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "pg/server/backup.h"
#include "pg/server/notify.h"
#include "pg/sql/as_owner.h"
#include "pg/sql/call.h"
#include "pg/sql/ownership.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(bm_webhook_adopt);
PG_FUNCTION_INFO_V1(bm_webhook_backup_start);

static BmwStatement adopt = {"SELECT bm_webhook_internal.adopt($1, $2)", 2, {BOOLOID, NAMEOID}};

/* adopt(drop boolean) */
Datum
bm_webhook_adopt(PG_FUNCTION_ARGS)
{
	Datum values[2] = {PG_GETARG_DATUM(0), bmw_ownership_caller_name()};
	Datum dropped;
	bool is_null;

	bmw_call_require(fcinfo, 0, "drop", "Say whether what waits is to be dropped.");
	bmw_ownership_require_administrator("let a copy of a database send");
	(void) bmw_as_owner_run(&adopt, values, NULL, &dropped, &is_null);
	bmw_notify_operation();
	bmw_notify_adopted();
	return dropped;
}

/* backup_start(): null for none */
Datum
bm_webhook_backup_start(PG_FUNCTION_ARGS)
{
	const char *start = bmw_backup_start();

	if (start == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(start));
}
