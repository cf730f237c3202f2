/*
 * pg/sql/endpoint_payload.c - how much of an event an endpoint gets: what may be in this column.
 */
#include "postgres.h"

#include "pg/sql/endpoint_payload.h"

#include "utils/builtins.h"

void
bmw_endpoint_payload_check(BmwRow *row, const char *column)
{
	const char *payload;

	bmw_row_require(row, &column, 1);
	payload = TextDatumGetCString(bmw_row_value(row, column));
	if (strcmp(payload, "full") != 0 && strcmp(payload, "thin") != 0)
		bmw_row_refuse("invalid \"payload\"", "It must be \"full\" or \"thin\".",
					   "The default is full; thin is without \"data\".");
}
