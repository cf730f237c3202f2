/*
 * pg/sql/as_owner.c - one statement of ours as the owner of the log, for who has shown that he may.
 */
#include "postgres.h"

#include "pg/sql/as_owner.h"

#include "pg/sql/identity.h"
#include "pg/sql/insert.h"

int
bmw_as_owner_run(BmwStatement *statement, Datum *arguments, const char *nulls, Datum *values,
				 bool *are_null)
{
	BmwIdentity before = bmw_identity_become(bmw_event_store_owner());
	int rows;

	SPI_connect();
	rows = bmw_statement_run_with(statement, arguments, nulls, 0);
	for (int i = 0; rows > 0 && i < SPI_tuptable->tupdesc->natts; i++)
		values[i] =
			SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, i + 1, &are_null[i]);
	SPI_finish();
	bmw_identity_return(before);
	return rows;
}
