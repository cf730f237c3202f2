/*
 * pg/dispatch/store_application.c - the statements about applications, and about what keeps all of them waiting.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "pg/dispatch/store.h"
#include "pg/sql/sql_row.h"
#include "pg/sql/statement.h"

/* With a new snapshot: what was announced since the transaction began is not announced again. */
static BmwStatement is_paused = {"SELECT FROM bm_webhook.paused"};
static BmwStatement why_not_adopted = {
	"SELECT coalesce(w, ''), w NOT LIKE 'adopt() drops %' FROM bm_webhook_internal.why_not_adopted() w"};

static BmwStatement muted = {
	"SELECT name, muted_event_types FROM bm_webhook.application WHERE muted_event_types <> '{}'"};

static BmwStatement muted_by = {
	"SELECT name, muted_event_types FROM bm_webhook.application WHERE name = $1", 1, {TEXTOID}};

static BmwStatement ids_of = {
	"SELECT id FROM bm_webhook.endpoint WHERE application = $1 AND deleted_at IS NULL LIMIT $2",
	2,
	{TEXTOID, INT8OID}};

bool
bmw_store_is_paused(void)
{
	return bmw_statement_run(&is_paused, NULL) > 0;
}

const char *
bmw_store_why_not_adopted(bool *waits)
{
	BmwSqlRow row;

	bmw_statement_run(&why_not_adopted, NULL);
	row = (BmwSqlRow){SPI_tuptable->vals[0], SPI_tuptable->tupdesc};
	*waits = bmw_sql_bool(&row, 2);
	return pstrdup(bmw_sql_text(&row, 1, NULL));
}

int
bmw_store_endpoint_ids_of(const char *application, int limit, int64 *ids)
{
	Datum values[2] = {bmw_sql_from_utf8(application), Int64GetDatum(limit)};
	int rows = bmw_statement_run(&ids_of, values);

	for (int i = 0; i < rows; i++)
		ids[i] = bmw_sql_int64(&(BmwSqlRow){SPI_tuptable->vals[i], SPI_tuptable->tupdesc}, 1);
	SPI_freetuptable(SPI_tuptable);
	return rows;
}

void
bmw_store_muted(const char *application, BmwMutedFn fn, void *context)
{
	Datum name = application != NULL ? bmw_sql_from_utf8(application) : (Datum) 0;
	int rows =
		application != NULL ? bmw_statement_run(&muted_by, &name) : bmw_statement_run(&muted, NULL);

	for (int i = 0; i < rows; i++)
	{
		BmwSqlRow row = {SPI_tuptable->vals[i], SPI_tuptable->tupdesc};
		int length;
		const char **patterns = bmw_store_read_patterns(&row, 2, &length);

		fn(bmw_sql_text(&row, 1, NULL), patterns, length, context);
	}
}
