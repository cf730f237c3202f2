/*
 * pg/sql/endpoint_notes.c - what users write to an endpoint for themselves: description and metadata.
 *
 * Nothing is sent of it, but whoever sees all endpoints reads it: lists, searches and dumps must not
 * become slow, or fail, because of what one owner has written.
 */
#include "postgres.h"

#include "pg/sql/endpoint_notes.h"

#include "access/detoast.h"
#include "utils/jsonb.h"

#define MAX_DESCRIPTION 4096
#define MAX_METADATA 65536 /* as it is stored */

static void check_size(const BmwRow *row, const char *column, Size most);

void
bmw_endpoint_notes_check_description(BmwRow *row, const char *column)
{
	if (!bmw_row_is_null(row, column))
		check_size(row, column, MAX_DESCRIPTION);
}

void
bmw_endpoint_notes_check_metadata(BmwRow *row, const char *column)
{
	check_size(row, column, MAX_METADATA);
	if (!JB_ROOT_IS_OBJECT(DatumGetJsonbP(bmw_row_value(row, column))))
		bmw_row_refuse("\"metadata\" must be an object", "It has another JSON type.",
					   "Write {\"key\": \"value\"}.");
}

/* What is too large is not even read. A dump is restored with what was allowed when it was made. */
static void
check_size(const BmwRow *row, const char *column, Size most)
{
	if (!row->is_restored && toast_raw_datum_size(bmw_row_value(row, column)) - VARHDRSZ > most)
		ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				errmsg("\"%s\" is too large", column),
				errhint("At most %zu bytes are allowed.", most));
}
