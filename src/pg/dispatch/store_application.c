/*
 * pg/dispatch/store_application.c - the statements about applications, and about the pause of everything.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "pg/dispatch/store.h"
#include "pg/sql/sql_row.h"
#include "pg/sql/statement.h"

static BmwStatement is_paused = {"SELECT FROM bm_webhook.paused", .is_stable = true};

static BmwStatement muted = {
	"SELECT name, muted_event_types FROM bm_webhook.application WHERE muted_event_types <> '{}'"};

static BmwStatement muted_by = {
	"SELECT name, muted_event_types FROM bm_webhook.application WHERE name = $1", 1, {TEXTOID}};

bool
bmw_store_is_paused(void)
{
	return bmw_statement_run(&is_paused, NULL) > 0;
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
