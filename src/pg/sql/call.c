#include "postgres.h"

#include "pg/sql/call.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/builtins.h"

void
bmw_call_require(FunctionCallInfo fcinfo, int argument, const char *name, const char *hint)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("\"%s\" must not be null", name), errhint("%s", hint));
}

void
bmw_call_limit(FunctionCallInfo fcinfo, int argument, const char *name, int bytes)
{
	if (!PG_ARGISNULL(argument) &&
		toast_raw_datum_size(PG_GETARG_DATUM(argument)) > (Size) bytes + VARHDRSZ)
		ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				errmsg("\"%s\" must not be longer than %d bytes", name, bytes));
}

const char *
bmw_call_text(FunctionCallInfo fcinfo, int argument)
{
	return PG_ARGISNULL(argument) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(argument));
}

Datum
bmw_call_row(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	TupleDesc desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("a row is returned where none can be"));
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}
