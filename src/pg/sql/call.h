/*
 * pg/sql/call.h - what a C function that SQL calls is given, and what it returns.
 */
#ifndef BMW_PG_SQL_CALL_H
#define BMW_PG_SQL_CALL_H

#include "postgres.h"

#include "fmgr.h"

#define BMW_REASON_MAX_BYTES 1024 /* which others read in lists */

/* 22004 when the argument is null. */
extern void bmw_call_require(FunctionCallInfo fcinfo, int argument, const char *name,
							 const char *hint);
/* 54000 when the argument, which may be null, has more bytes. */
extern void bmw_call_limit(FunctionCallInfo fcinfo, int argument, const char *name, int bytes);
/* In the database's encoding; NULL for null. */
extern const char *bmw_call_text(FunctionCallInfo fcinfo, int argument);
/* The row that is returned; 0A000 where none can be. */
extern Datum bmw_call_row(FunctionCallInfo fcinfo, Datum *values, bool *nulls);

#endif
