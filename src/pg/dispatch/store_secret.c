/*
 * pg/dispatch/store_secret.c - the statement that reads secrets, and what else is encrypted.
 */
#include "postgres.h"

#include "pg/dispatch/store_secret.h"

#include "catalog/pg_type.h"
#include "core/header.h"
#include "core/secret.h"
#include "pg/sql/key.h"
#include "pg/sql/sealed.h"
#include "pg/sql/sealed_headers.h"
#include "pg/sql/statement.h"

static BmwStatement secrets = {
	"SELECT endpoint_id, secret, CASE WHEN isfinite(expires_at) THEN expires_at END, id, kind, key_id"
	" FROM bm_webhook.endpoint_secret s WHERE endpoint_id = ANY ($1) AND " BMW_SECRET_LASTS
	" ORDER BY endpoint_id, id",
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
	endpoint->client = NULL;
	endpoint->secrets_length = 0;
	endpoint->secrets = palloc(sizeof(char *) * BMW_MAX_SECRETS);
	endpoint->secrets_expire_us = palloc(sizeof(int64) * BMW_MAX_SECRETS);
}

void
bmw_store_add_secret(const BmwSqlRow *row, BmwEndpointRow *endpoint)
{
	const char *kind = bmw_sql_text(row, 5, NULL);
	char *context = bmw_sealed_secret_context(endpoint->id, bmw_sql_int64(row, 4), kind);
	const char *text =
		bmw_sealed_open(bmw_sql_text(row, 2, NULL), bmw_sql_text(row, 6, NULL), context);

	if (text == NULL)
	{
		endpoint->is_sealed = true;
		return;
	}
	if (strcmp(kind, BMW_CLIENT_CERTIFICATE) == 0)
	{
		endpoint->client = endpoint->client == NULL ? text : endpoint->client;
		return;
	}
	endpoint->secrets_expire_us[endpoint->secrets_length] = bmw_sql_time(row, 3);
	endpoint->secrets[endpoint->secrets_length++] = text;
}

void
bmw_store_open_headers(const BmwSqlRow *row, int column, BmwEndpointRow *endpoint)
{
	BmwSealedHeaders headers;

	if (!bmw_sealed_headers_open(endpoint->id, bmw_sql_text(row, column, NULL),
								 bmw_sql_text(row, column + 1, NULL), &headers))
		endpoint->is_sealed = true;
	endpoint->header_names = palloc(sizeof(char *) * Max(headers.length, 1));
	endpoint->header_values = palloc(sizeof(char *) * Max(headers.length, 1));
	endpoint->headers_length = 0;
	for (int i = 0; i < headers.length; i++)
	{
		const BmwHttpHeader *header = &headers.items[i];

		if (!bmw_header_can_be_sent(header->name, header->value))
			continue;
		endpoint->header_names[endpoint->headers_length] = header->name;
		endpoint->header_values[endpoint->headers_length++] = header->value;
	}
}
