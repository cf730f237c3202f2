/*
 * pg/sql/library.c - which version of the library the server has loaded.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(bm_webhook_library_version);

Datum
bm_webhook_library_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(BMW_VERSION));
}
