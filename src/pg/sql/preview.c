/*
 * pg/sql/preview.c - the SQL function preview(): the next request for an event, not sent.
 *
 * Read as the owner of the log, once the endpoint is the caller's, and made by the
 * functions that the dispatcher sends with.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "core/event.h"
#include "core/header.h"
#include "core/request.h"
#include "fmgr.h"
#include "pg/sql/call.h"
#include "pg/sql/identity.h"
#include "pg/sql/insert.h"
#include "pg/sql/interval.h"
#include "pg/sql/key.h"
#include "pg/sql/ownership.h"
#include "pg/sql/signer.h"
#include "pg/sql/statement.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/uuid.h"

PG_FUNCTION_INFO_V1(bm_webhook_preview);

/* An event of another application is as unknown as one that does not exist. */
static BmwStatement find = {
	"SELECT e.url, h.names, h.texts, s.secrets,"
	" v.id, v.type, v.application, v.channel, v.message_id, v.occurred_at, v.data::text,"
	" coalesce((SELECT d.attempts FROM bm_webhook.delivery d"
	"  WHERE d.event_id = v.id AND d.endpoint_id = e.id), 0) + 1, e.payload = 'thin', s.ids, s.kinds, s.key_ids,"
	" e.signature_header, e.signature_scheme"
	" FROM bm_webhook.endpoint e CROSS JOIN LATERAL"
	" (SELECT array_agg(j.key) AS names, array_agg(j.value) AS texts"
	"  FROM jsonb_each_text(CASE jsonb_typeof(e.headers) WHEN 'object' THEN e.headers ELSE '{}' END) j) h"
	" CROSS JOIN LATERAL (SELECT array_agg(k.secret) AS secrets, array_agg(k.id::text) AS ids, array_agg(k.kind) AS kinds,"
	"  array_agg(k.key_id) AS key_ids FROM (SELECT * FROM bm_webhook.endpoint_secret s WHERE s.endpoint_id = e.id"
	"  AND s.kind <> '" BMW_CLIENT_CERTIFICATE "' AND " BMW_SECRET_LASTS
	" ORDER BY s.id DESC LIMIT 16) k) s"
	" LEFT JOIN bm_webhook.event v ON v.id = $4"
	" AND (v.endpoint_id = e.id OR e.application IS NULL OR e.application = v.application)"
	" WHERE e.id = $1 AND e.deleted_at IS NULL AND " BMW_OWNERSHIP,
	4,
	{INT8OID, OIDOID, BOOLOID, UUIDOID}};

static Datum preview(FunctionCallInfo fcinfo);
static BmwEvent *read_event(const BmwSqlRow *row);
static void read_headers(const BmwSqlRow *row, BmwRequestSource *source);
static void read_secrets(const BmwSqlRow *row, int64 endpoint_id, BmwRequestSource *source);
static void read_scheme(const BmwSqlRow *row, BmwRequestSource *source);
static Datum as_row(FunctionCallInfo fcinfo, const char *url, const BmwRequestHeaders *headers,
					const BmwBody *body);
static Datum as_object(const BmwRequestHeaders *headers);

/* preview(event uuid, endpoint bigint) */
Datum
bm_webhook_preview(PG_FUNCTION_ARGS)
{
	BmwCaller caller = bmw_ownership_caller();
	BmwIdentity before;
	Datum values[4];
	Datum result;

	bmw_call_require(fcinfo, 0, "event", "Name an event and an endpoint.");
	bmw_call_require(fcinfo, 1, "endpoint", "Name an event and an endpoint.");
	values[0] = PG_GETARG_DATUM(1);
	values[1] = caller.role;
	values[2] = caller.is_unbound;
	values[3] = PG_GETARG_DATUM(0);
	before = bmw_identity_become(bmw_event_store_owner());
	SPI_connect();
	if (bmw_statement_run(&find, values) == 0)
		bmw_ownership_refuse(PG_GETARG_INT64(1));
	result = SPI_datumTransfer(preview(fcinfo), false, -1);
	SPI_finish();
	bmw_identity_return(before);
	return result;
}

static Datum
preview(FunctionCallInfo fcinfo)
{
	BmwSqlRow row = {SPI_tuptable->vals[0], SPI_tuptable->tupdesc};
	BmwRequestSource source = {.now_us = bmw_unix_us(GetCurrentTimestamp()),
							   .attempt = bmw_sql_int32(&row, 12)};
	BmwRequestHeaders headers;
	const char *url = bmw_sql_text(&row, 1, NULL);
	BmwEvent *event;
	Datum result = (Datum) 0;

	read_headers(&row, &source);
	read_secrets(&row, PG_GETARG_INT64(1), &source);
	read_scheme(&row, &source);
	event = read_event(&row);
	source.event_id = event->id_text;
	PG_TRY();
	{
		if (!bmw_event_body(event, bmw_sql_bool(&row, 13), &source.body))
			ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"));
		if (!bmw_request_headers(bmw_signer_of_session(), &source, &headers))
			ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("endpoint " INT64_FORMAT " has no usable secret: nothing is sent to it",
						   PG_GETARG_INT64(1)),
					errhint("Insert one into bm_webhook.endpoint_secret."));
		bmw_request_add_libcurls(&headers, url, BMW_USER_AGENT, source.body.length);
		result = as_row(fcinfo, url, &headers, &source.body);
	}
	PG_FINALLY();
	{
		bmw_event_release(event);
	}
	PG_END_TRY();
	return result;
}

static BmwEvent *
read_event(const BmwSqlRow *row)
{
	BmwEventSource source = {.type = bmw_sql_text(row, 6, NULL),
							 .application = bmw_sql_text(row, 7, NULL),
							 .channel = bmw_sql_text(row, 8, NULL),
							 .message_id = bmw_sql_text(row, 9, NULL),
							 .timestamp_us = bmw_sql_time(row, 10)};
	BmwEvent *event;

	if (source.type == NULL)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("there is no such event"),
				errhint("Events are the rows of bm_webhook.event; it must be of the application "
						"of the endpoint."));
	source.id = bmw_sql_uuid(row, 5);
	source.data = bmw_sql_text(row, 11, &source.data_len);
	event = bmw_event_create(&source);
	if (event == NULL)
		ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"));
	return event;
}

static void
read_headers(const BmwSqlRow *row, BmwRequestSource *source)
{
	int length;
	const char **names = bmw_sql_texts(row, 2, &length);
	const char **values = bmw_sql_texts(row, 3, &length);
	BmwHttpHeader *headers = palloc(sizeof(*headers) * Max(length, 1));

	for (int i = 0; i < length; i++)
		if (bmw_header_can_be_sent(names[i], values[i]))
			headers[source->headers_length++] = (BmwHttpHeader){names[i], values[i]};
	source->headers = headers;
}

/* What cannot be decrypted keeps the endpoint from being sent anything. */
static void
read_secrets(const BmwSqlRow *row, int64 endpoint_id, BmwRequestSource *source)
{
	int length;
	const char **texts = bmw_sql_texts(row, 4, &length);
	const char **ids = bmw_sql_texts(row, 14, &length);
	const char **kinds = bmw_sql_texts(row, 15, &length);
	const char **key_ids = bmw_sql_texts(row, 16, &length);
	BmwSecret *secrets = palloc(sizeof(*secrets) * Max(length, 1));

	for (int i = 0; i < length; i++)
	{
		const BmwStoredKey stored = {endpoint_id, strtoll(ids[i], NULL, 10), kinds[i], texts[i],
									 key_ids[i]};

		if (bmw_key_open(&stored, &secrets[source->secrets_length]))
			source->secrets_length++;
		else if (stored.key_id != NULL)
			bmw_key_refuse(&stored);
	}
	source->secrets = secrets;
}

static void
read_scheme(const BmwSqlRow *row, BmwRequestSource *source)
{
	const char *scheme = bmw_sql_text(row, 18, NULL);

	source->scheme_header = bmw_sql_text(row, 17, NULL);
	if (scheme == NULL || source->scheme_header == NULL ||
		!bmw_scheme_find(scheme, &source->scheme))
		source->scheme = BMW_SCHEME_NONE;
}

static Datum
as_row(FunctionCallInfo fcinfo, const char *url, const BmwRequestHeaders *headers,
	   const BmwBody *body)
{
	Datum values[4] = {CStringGetTextDatum("POST"), bmw_sql_from_utf8(url), as_object(headers),
					   bmw_sql_from_utf8(body->bytes)};
	bool nulls[4] = {0};

	return bmw_call_row(fcinfo, values, nulls);
}

static Datum
as_object(const BmwRequestHeaders *headers)
{
	BmwSqlColumn names;
	BmwSqlColumn values;

	bmw_sql_column_init(&names, TEXTOID, headers->length);
	bmw_sql_column_init(&values, TEXTOID, headers->length);
	for (int i = 0; i < headers->length; i++)
	{
		bmw_sql_column_add_text(&names, headers->items[i].name);
		bmw_sql_column_add_text(&values, headers->items[i].value);
	}
	return DirectFunctionCall2(jsonb_object_two_arg, bmw_sql_column_array(&names),
							   bmw_sql_column_array(&values));
}
