/*
 * pg/sql/endpoint_headers.c - how the headers of an endpoint are stored: as they are, or encrypted.
 */
#include "postgres.h"

#include "pg/sql/endpoint_headers.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "pg/sql/sealed.h"
#include "pg/sql/sealed_headers.h"
#include "pg/sql/sql_row.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

#define MASK "********"

static bool is_copy(const BmwRow *row);
static BmwSealedHeaders read_new(const BmwRow *row);
static BmwSealedHeaders read_old(const BmwRow *row);
static BmwSealedHeaders read_object(Datum object);
static const char *find(const BmwSealedHeaders *headers, const char *name);
static void store(BmwRow *row, const BmwSealedHeaders *headers, const char *key_id);
static Datum as_object(const BmwSealedHeaders *headers, bool is_masked);

void
bmw_endpoint_headers_keep(BmwRow *row)
{
	BmwSealedHeaders headers;

	if (!bmw_row_has_column(row, "credentials") || is_copy(row) ||
		!bmw_row_has_changed(row, "headers"))
		return;
	headers = read_new(row);
	store(row, &headers, headers.length > 0 ? bmw_sealed_key_id() : NULL);
}

bool
bmw_endpoint_headers_rekey(BmwRow *row)
{
	BmwSealedHeaders headers;

	if (!bmw_row_has_column(row, "credentials") || !bmw_row_is_update(row) ||
		!bmw_row_has_changed(row, "credentials_key_id") ||
		bmw_row_has_changed(row, "credentials") || bmw_row_has_changed(row, "headers"))
		return false;
	headers = read_old(row);
	store(row, &headers,
		  headers.length > 0 && !bmw_row_is_null(row, "credentials_key_id") ? bmw_sealed_key_id()
																			: NULL);
	return true;
}

void
bmw_endpoint_headers_erase(BmwRow *row)
{
	if (!bmw_row_has_column(row, "credentials"))
		return;
	bmw_row_set_null(row, "credentials");
	bmw_row_set_null(row, "credentials_key_id");
}

/* What is encrypted already can only come from a copy of the table. */
static bool
is_copy(const BmwRow *row)
{
	const bool is_written = bmw_row_is_update(row) ? bmw_row_has_changed(row, "credentials")
												   : !bmw_row_is_null(row, "credentials");

	if (is_written && !bmw_row_may_choose(row))
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("\"credentials\" cannot be chosen"),
				errhint("Write \"headers\": the extension encrypts their values."));
	return is_written;
}

/* With the values that the mask stands for. */
static BmwSealedHeaders
read_new(const BmwRow *row)
{
	BmwSealedHeaders headers = read_object(bmw_row_value(row, "headers"));
	BmwSealedHeaders before = {0};

	if (!bmw_row_is_update(row) || !bmw_row_was_set(row, "credentials"))
		return headers;
	for (int i = 0; i < headers.length; i++)
	{
		if (strcmp(headers.items[i].value, MASK) != 0)
			continue;
		if (before.length == 0)
			before = read_old(row);
		headers.items[i].value = find(&before, headers.items[i].name);
		if (headers.items[i].value == NULL)
			bmw_row_refuse("invalid header",
						   "A new header has the value that is shown in the place of others.",
						   "Write its value.");
	}
	return headers;
}

static BmwSealedHeaders
read_old(const BmwRow *row)
{
	const int64 id = DatumGetInt64(bmw_row_value(row, "id"));
	BmwSealedHeaders headers;

	if (!bmw_row_was_set(row, "credentials"))
		return read_object(bmw_row_old_value(row, "headers"));
	if (!bmw_sealed_headers_open(
			id, TextDatumGetCString(bmw_row_old_value(row, "credentials")),
			bmw_row_was_set(row, "credentials_key_id")
				? TextDatumGetCString(bmw_row_old_value(row, "credentials_key_id"))
				: NULL,
			&headers))
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("the headers of endpoint " INT64_FORMAT " cannot be decrypted", id),
				errhint("Write them all anew, or put their key into the file that "
						"bm_webhook.secret_key_file names."));
	return headers;
}

/* In UTF-8. */
static BmwSealedHeaders
read_object(Datum object)
{
	Jsonb *headers = DatumGetJsonbP(object);
	JsonbIterator *iterator = JsonbIteratorInit(&headers->root);
	BmwSealedHeaders read = {.items = palloc(sizeof(BmwHttpHeader) * (JB_ROOT_COUNT(headers) + 1))};
	JsonbIteratorToken token;
	JsonbValue name;
	JsonbValue value;

	while ((token = JsonbIteratorNext(&iterator, &name, true)) != WJB_DONE)
	{
		const char *text;

		if (token != WJB_KEY)
			continue;
		JsonbIteratorNext(&iterator, &value, true);
		if (value.type != jbvString)
			continue;
		text = pnstrdup(value.val.string.val, value.val.string.len);
		read.items[read.length++] =
			(BmwHttpHeader){pnstrdup(name.val.string.val, name.val.string.len),
							pg_server_to_any(text, strlen(text), PG_UTF8)};
	}
	return read;
}

static const char *
find(const BmwSealedHeaders *headers, const char *name)
{
	for (int i = 0; i < headers->length; i++)
		if (pg_strcasecmp(headers->items[i].name, name) == 0)
			return headers->items[i].value;
	return NULL;
}

/* key_id NULL: as they are. */
static void
store(BmwRow *row, const BmwSealedHeaders *headers, const char *key_id)
{
	const int64 id = DatumGetInt64(bmw_row_value(row, "id"));

	bmw_row_set(row, "headers", as_object(headers, key_id != NULL));
	if (key_id == NULL)
	{
		bmw_endpoint_headers_erase(row);
		return;
	}
	bmw_row_set(row, "credentials", CStringGetTextDatum(bmw_sealed_headers_close(id, headers)));
	bmw_row_set(row, "credentials_key_id", CStringGetTextDatum(key_id));
}

static Datum
as_object(const BmwSealedHeaders *headers, bool is_masked)
{
	BmwSqlColumn names;
	BmwSqlColumn values;

	bmw_sql_column_init(&names, TEXTOID, headers->length);
	bmw_sql_column_init(&values, TEXTOID, headers->length);
	for (int i = 0; i < headers->length; i++)
	{
		const char *value = headers->items[i].value;

		bmw_sql_column_add_string(&names, headers->items[i].name);
		bmw_sql_column_add_string(
			&values, is_masked ? MASK : pg_any_to_server(value, strlen(value), PG_UTF8));
	}
	return DirectFunctionCall2(jsonb_object_two_arg, bmw_sql_column_array(&names),
							   bmw_sql_column_array(&values));
}
