/*
 * pg/dispatch/store_secret.c - the statement that reads secrets.
 */
#include "postgres.h"

#include "pg/dispatch/store_secret.h"

#include "catalog/pg_type.h"
#include "core/secret.h"
#include "pg/sql/sealed.h"
#include "pg/sql/statement.h"

static BmwStatement secrets = {
	"SELECT endpoint_id, secret, CASE WHEN isfinite(expires_at) THEN expires_at END, id, kind, key_id FROM bm_webhook.endpoint_secret"
	" WHERE endpoint_id = ANY ($1) AND coalesce(expires_at > pg_catalog.clock_timestamp(), true) ORDER BY endpoint_id, id",
	1,
	{INT8ARRAYOID},
	.is_stable = true};

void
bmw_store_run_secrets(Datum endpoint_ids)
{
	bmw_statement_run(&secrets, &endpoint_ids);
}

void
bmw_store_begin_secrets(BmwEndpointRow *endpoint)
{
	endpoint->is_sealed = false;
	endpoint->secrets_length = 0;
	endpoint->secrets = palloc(sizeof(char *) * BMW_MAX_SECRETS);
	endpoint->secrets_expire_us = palloc(sizeof(int64) * BMW_MAX_SECRETS);
}

void
bmw_store_add_secret(const BmwSqlRow *row, BmwEndpointRow *endpoint)
{
	char *context =
		bmw_sealed_secret_context(endpoint->id, bmw_sql_int64(row, 4), bmw_sql_text(row, 5, NULL));
	const char *text =
		bmw_sealed_open(bmw_sql_text(row, 2, NULL), bmw_sql_text(row, 6, NULL), context);

	if (text == NULL)
	{
		endpoint->is_sealed = true;
		return;
	}
	endpoint->secrets_expire_us[endpoint->secrets_length] = bmw_sql_time(row, 3);
	endpoint->secrets[endpoint->secrets_length++] = text;
}
