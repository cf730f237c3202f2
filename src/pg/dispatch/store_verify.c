/*
 * pg/dispatch/store_verify.c - the statements about the proof of an endpoint's URL.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "pg/dispatch/store.h"
#include "pg/sql/interval.h"
#include "pg/sql/sql_row.h"
#include "pg/sql/statement.h"

/* Only of the state that it is for: its URL may be another one by now. A row that a user has locked is left. */
#define FREE                                                                                       \
	"WITH free AS (SELECT s.endpoint_id FROM bm_webhook.endpoint_state s"                          \
	" WHERE s.endpoint_id = $1 AND s.unverified_since = $2 FOR NO KEY UPDATE SKIP LOCKED)"

static BmwStatement verified = {
	FREE " UPDATE bm_webhook.endpoint_state s SET unverified_since = NULL,"
		 " verified_at = pg_catalog.clock_timestamp(), verification_error = NULL"
		 " FROM free WHERE s.endpoint_id = free.endpoint_id",
	2,
	{INT8OID, TIMESTAMPTZOID}};

static BmwStatement failed = {FREE " UPDATE bm_webhook.endpoint_state s SET verification_error = $3"
								   " FROM free WHERE s.endpoint_id = free.endpoint_id",
							  3,
							  {INT8OID, TIMESTAMPTZOID, TEXTOID}};

bool
bmw_store_verification(int64 endpoint_id, int64 unverified_us, const char *error)
{
	Datum values[3] = {Int64GetDatum(endpoint_id),
					   TimestampTzGetDatum(bmw_from_unix_us(unverified_us))};

	if (!bmw_store_can_read_endpoints() ||
		!bmw_statement_lock(bmw_statement_table("endpoint_state"), RowExclusiveLock))
		return false;
	if (error != NULL)
		values[2] = bmw_sql_from_utf8(error);
	return bmw_statement_run(error != NULL ? &failed : &verified, values) > 0;
}
