/*
 * pg/sql/refuse.c - errors of SQL functions that call others, without their inside.
 */
#include "postgres.h"

#include "pg/sql/refuse.h"

#include "fmgr.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(bm_webhook_refuse);

static int sqlstate_of(const char *text);

/* refuse(problem text, hint text, state text) */
Datum
bm_webhook_refuse(PG_FUNCTION_ARGS)
{
	char *problem = PG_ARGISNULL(0) ? "refused" : text_to_cstring(PG_GETARG_TEXT_PP(0));
	char *hint = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	char *state = PG_ARGISNULL(2) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(2));

	bmw_refuse_without_context();
	ereport(ERROR, errcode(sqlstate_of(state)), errmsg("%s", problem),
			hint != NULL ? errhint("%s", hint) : 0);
	PG_RETURN_VOID();
}

ErrorContextCallback *
bmw_refuse_without_context(void)
{
	ErrorContextCallback *before = error_context_stack;

	error_context_stack = NULL;
	return before;
}

/* What is no state of an error is an invalid argument. */
static int
sqlstate_of(const char *text)
{
	if (strlen(text) != 5 || strspn(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 5 ||
		(text[0] == '0' && text[1] <= '2'))
		return ERRCODE_INVALID_PARAMETER_VALUE;
	return MAKE_SQLSTATE(text[0], text[1], text[2], text[3], text[4]);
}
