/*
 * pg/server/prepared.c - prepared transactions: may this one be committed here, by us?
 *
 * Asked of the function behind pg_prepared_xacts itself, not by SQL: a user who
 * may not execute it may still commit what he has prepared.
 */
#include "postgres.h"

#include "pg/server/prepared.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"

/* Columns of pg_prepared_xact(). */
#define NAME 2
#define OWNER 4
#define DATABASE 5

static bool fetch(FunctionCallInfo call, HeapTupleHeader *row);
static bool is_meant(HeapTupleHeader row, const char *name);

bool
bmw_prepared_is_there(const char *name)
{
	LOCAL_FCINFO(call, 0);
	FmgrInfo function;
	ReturnSetInfo result = {.type = T_ReturnSetInfo, .allowedModes = SFRM_ValuePerCall};
	HeapTupleHeader row;
	bool is_there = false;

	result.econtext = CreateStandaloneExprContext();
	fmgr_info(F_PG_PREPARED_XACT, &function);
	InitFunctionCallInfoData(*call, &function, 0, InvalidOid, NULL, (Node *) &result);
	while (fetch(call, &row))
		is_there |= is_meant(row, name);
	FreeExprContext(result.econtext, true);
	return is_there;
}

/* False: there are no more. */
static bool
fetch(FunctionCallInfo call, HeapTupleHeader *row)
{
	ReturnSetInfo *result = (ReturnSetInfo *) call->resultinfo;
	Datum value;

	call->isnull = false;
	result->isDone = ExprSingleResult;
	value = FunctionCallInvoke(call);
	if (result->isDone == ExprEndResult)
		return false;
	*row = DatumGetHeapTupleHeader(value);
	return true;
}

static bool
is_meant(HeapTupleHeader row, const char *name)
{
	bool is_null;
	Oid owner = DatumGetObjectId(GetAttributeByNum(row, OWNER, &is_null));

	return DatumGetObjectId(GetAttributeByNum(row, DATABASE, &is_null)) == MyDatabaseId &&
		   (owner == GetUserId() || superuser()) &&
		   strcmp(text_to_cstring(DatumGetTextPP(GetAttributeByNum(row, NAME, &is_null))), name) ==
			   0;
}
