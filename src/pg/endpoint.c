/*
 * pg/endpoint.c - the triggers that check and normalize endpoints and their secrets.
 *
 * They run before the table's own NOT NULL and CHECK constraints, so that these
 * never fail: their message would show the whole row, with secrets and headers.
 * A URL is judged only when it changes: settings may have changed since, and
 * the dispatcher must still be able to disable the endpoint. No message has a
 * value in it that could be a credential.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "catalog/namespace.h"
#include "commands/trigger.h"
#include "core/backoff.h"
#include "core/header.h"
#include "core/pattern.h"
#include "core/sign.h"
#include "core/url.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "pg/compat.h"
#include "pg/event_check.h"
#include "pg/guc.h"
#include "pg/interval.h"
#include "pg/notify.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(bm_webhook_check_endpoint);
PG_FUNCTION_INFO_V1(bm_webhook_check_endpoint_secret);
PG_FUNCTION_INFO_V1(bm_webhook_endpoint_changed);

#define MAX_HEADERS 64
#define MAX_HEADERS_BYTES 8192
#define MIN_TIMEOUT_US INT64CONST(10000)
#define MAX_TIMEOUT_US (5 * USECS_PER_MINUTE)
#define MAX_IN_FLIGHT 1000

/* A row on its way into the table, taken apart. */
typedef struct Row
{
	TupleDesc desc;
	Datum *values;
	bool *nulls;
} Row;

static bool is_for_row(FunctionCallInfo fcinfo);
static TriggerData *trigger_data(FunctionCallInfo fcinfo, TriggerEvent timing, const char *table);
static Row take_apart(HeapTuple tuple, TupleDesc desc);
static HeapTuple put_together(const Row *row);
static int column(const Row *row, const char *name);
static bool is_null(const Row *row, const char *name);
static Datum value(const Row *row, const char *name);
static void set(Row *row, const char *name, Datum new_value);
static void set_null(Row *row, const char *name);
static bool is_same(const Row *a, const Row *b, const char *name);
static void require(const Row *row, const char *const *names, size_t length);
static void refuse_new_id(const Row *row, const Row *old);
static void check_url(Row *row);
static void check_channel(const Row *row);
static void check_event_types(const Row *row);
static void check_headers(const Row *row);
static int check_header(JsonbValue *name, JsonbValue *text);
static void refuse_duplicates(char **names, int length);
static void check_limits(const Row *row);
static void check_retry_delays(const Row *row);
static void check_metadata(const Row *row);
static void keep_times(Row *row, const Row *old);
pg_noreturn static void refuse(const char *message, const char *detail, const char *hint);

Datum
bm_webhook_check_endpoint(PG_FUNCTION_ARGS)
{
	static const char *const required[] = {"url",	  "event_types",   "enabled",	   "headers",
										   "timeout", "max_in_flight", "retry_delays", "metadata"};
	TriggerData *trigger =
		trigger_data(fcinfo, TRIGGER_EVENT_BEFORE | TRIGGER_EVENT_ROW, "endpoint");
	TupleDesc desc = RelationGetDescr(trigger->tg_relation);
	bool is_update = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event);
	Row row = take_apart(is_update ? trigger->tg_newtuple : trigger->tg_trigtuple, desc);
	Row old = is_update ? take_apart(trigger->tg_trigtuple, desc) : (Row){0};

	require(&row, required, lengthof(required));
	if (is_update)
		refuse_new_id(&row, &old);
	if (!is_update || !is_same(&row, &old, "url"))
		check_url(&row);
	check_channel(&row);
	check_event_types(&row);
	check_headers(&row);
	check_limits(&row);
	check_retry_delays(&row);
	check_metadata(&row);
	keep_times(&row, is_update ? &old : NULL);
	return PointerGetDatum(put_together(&row));
}

Datum
bm_webhook_check_endpoint_secret(PG_FUNCTION_ARGS)
{
	static const char *const required[] = {"endpoint_id", "secret"};
	TriggerData *trigger =
		trigger_data(fcinfo, TRIGGER_EVENT_BEFORE | TRIGGER_EVENT_ROW, "endpoint_secret");
	TupleDesc desc = RelationGetDescr(trigger->tg_relation);
	bool is_update = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event);
	Row row = take_apart(is_update ? trigger->tg_newtuple : trigger->tg_trigtuple, desc);
	BmwSecret secret;

	require(&row, required, lengthof(required));
	if (is_update)
	{
		Row old = take_apart(trigger->tg_trigtuple, desc);

		refuse_new_id(&row, &old);
		set(&row, "created_at", value(&old, "created_at"));
	}
	else if (is_null(&row, "created_at"))
		set(&row, "created_at", TimestampTzGetDatum(GetCurrentTimestamp()));

	text *written = DatumGetTextPP(value(&row, "secret"));
	BmwStatus status = bmw_secret_parse(VARDATA_ANY(written), VARSIZE_ANY_EXHDR(written), &secret);

	explicit_bzero(&secret, sizeof(secret));
	if (status != BMW_OK)
		refuse("invalid secret", bmw_status_text(status),
			   "A secret is whsec_ followed by the base64 of 24 to 64 bytes.");
	return PointerGetDatum(put_together(&row));
}

Datum
bm_webhook_endpoint_changed(PG_FUNCTION_ARGS)
{
	trigger_data(fcinfo, TRIGGER_EVENT_AFTER | (is_for_row(fcinfo) ? TRIGGER_EVENT_ROW : 0), NULL);
	bmw_notify_endpoint();
	return PointerGetDatum(NULL);
}

static bool
is_for_row(FunctionCallInfo fcinfo)
{
	return CALLED_AS_TRIGGER(fcinfo) &&
		   TRIGGER_FIRED_FOR_ROW(((TriggerData *) fcinfo->context)->tg_event);
}

/* Columns are read by number: so only on the extension's table of this name, or on any of them. */
static TriggerData *
trigger_data(FunctionCallInfo fcinfo, TriggerEvent timing, const char *table)
{
	TriggerData *trigger = CALLED_AS_TRIGGER(fcinfo) ? (TriggerData *) fcinfo->context : NULL;

	if (trigger == NULL ||
		(trigger->tg_event & (TRIGGER_EVENT_TIMINGMASK | TRIGGER_EVENT_ROW)) != timing ||
		RelationGetNamespace(trigger->tg_relation) != get_namespace_oid("bm_webhook", true) ||
		(table != NULL && strcmp(RelationGetRelationName(trigger->tg_relation), table) != 0))
		ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("a trigger function of bm_webhook was called in another way"));
	return trigger;
}

static Row
take_apart(HeapTuple tuple, TupleDesc desc)
{
	Row row = {
		.desc = desc,
		.values = palloc(sizeof(Datum) * desc->natts),
		.nulls = palloc(sizeof(bool) * desc->natts),
	};

	heap_deform_tuple(tuple, desc, row.values, row.nulls);
	return row;
}

static HeapTuple
put_together(const Row *row)
{
	return heap_form_tuple(row->desc, row->values, row->nulls);
}

static int
column(const Row *row, const char *name)
{
	int number = SPI_fnumber(row->desc, name);

	if (number <= 0)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_COLUMN),
				errmsg("column \"%s\" does not exist", name));
	return number - 1;
}

static bool
is_null(const Row *row, const char *name)
{
	return row->nulls[column(row, name)];
}

static Datum
value(const Row *row, const char *name)
{
	return row->values[column(row, name)];
}

static void
set(Row *row, const char *name, Datum new_value)
{
	row->values[column(row, name)] = new_value;
	row->nulls[column(row, name)] = false;
}

static void
set_null(Row *row, const char *name)
{
	row->nulls[column(row, name)] = true;
}

/* For columns that are not null. */
static bool
is_same(const Row *a, const Row *b, const char *name)
{
	return strcmp(TextDatumGetCString(value(a, name)), TextDatumGetCString(value(b, name))) == 0;
}

static void
require(const Row *row, const char *const *names, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (is_null(row, names[i]))
			ereport(ERROR, errcode(ERRCODE_NOT_NULL_VIOLATION),
					errmsg("\"%s\" must not be null", names[i]),
					errhint("Leave a column out to get its default."));
}

static void
refuse_new_id(const Row *row, const Row *old)
{
	if (DatumGetInt64(value(row, "id")) != DatumGetInt64(value(old, "id")))
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("\"id\" cannot be changed"),
				errhint("Deliveries refer to it: make a new row."));
}

static void
check_url(Row *row)
{
	text *url = DatumGetTextPP(value(row, "url"));
	char normal[BMW_URL_MAX_BYTES + 1];
	BmwAddressPolicy policy;

	bmw_guc_address_policy(&policy);

	BmwStatus status =
		bmw_url_check(VARDATA_ANY(url), VARSIZE_ANY_EXHDR(url), bmw_require_https, &policy, normal);

	bmw_address_policy_free(&policy);
	if (status == BMW_ERROR_ADDRESS_DENIED || status == BMW_ERROR_PORT_DENIED)
		ereport(
			ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("URL is not allowed"),
			errdetail("%s", bmw_status_text(status)),
			errhint(
				"An administrator can open networks with bm_webhook.allowed_networks, and ports with bm_webhook.allowed_ports."));
	if (status != BMW_OK)
		refuse("invalid URL", bmw_status_text(status),
			   "Use a URL such as https://hooks.example.com/path.");
	set(row, "url", CStringGetTextDatum(normal));
}

static void
check_channel(const Row *row)
{
	if (!is_null(row, "channel") &&
		!bmw_channel_is_valid(TextDatumGetCString(value(row, "channel"))))
		refuse("invalid channel",
			   "A channel begins with a-z and has a-z, 0-9, _ and - only; at most 32 bytes.",
			   "Use a name such as sms, or null for all channels.");
}

static void
check_event_types(const Row *row)
{
	static const char hint[] =
		"A pattern is a type such as message.sent, a prefix such as message.*, or * for everything.";
	Datum *patterns;
	bool *nulls;
	int length;

	deconstruct_array(DatumGetArrayTypeP(value(row, "event_types")), TEXTOID, -1, false,
					  TYPALIGN_INT, &patterns, &nulls, &length);
	if (length == 0)
		refuse("\"event_types\" must not be empty",
			   "An endpoint without a pattern would get nothing.", hint);
	for (int i = 0; i < length; i++)
	{
		char *pattern = nulls[i] ? NULL : TextDatumGetCString(patterns[i]);

		if (pattern == NULL || !bmw_pattern_is_valid(pattern, strlen(pattern)))
			refuse("invalid pattern in \"event_types\"",
				   psprintf("Element %d is %s.", i + 1, pattern == NULL ? "null" : "not a pattern"),
				   hint);
	}
}

static void
check_headers(const Row *row)
{
	Jsonb *headers = DatumGetJsonbP(value(row, "headers"));
	JsonbIterator *iterator = JsonbIteratorInit(&headers->root);
	JsonbIteratorToken token;
	JsonbValue name;
	JsonbValue text;
	char *names[MAX_HEADERS];
	int length = 0;
	int bytes = 0;

	if (!JB_ROOT_IS_OBJECT(headers))
		refuse("\"headers\" must be an object", "It has another JSON type.",
			   "Write {\"name\": \"value\"}.");
	while ((token = JsonbIteratorNext(&iterator, &name, true)) != WJB_DONE)
	{
		if (token != WJB_KEY)
			continue;
		JsonbIteratorNext(&iterator, &text, true);
		bytes += check_header(&name, &text);
		if (length == MAX_HEADERS || bytes > MAX_HEADERS_BYTES)
			ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					errmsg("\"headers\" is too large"),
					errhint("At most %d headers and %d bytes are allowed.", MAX_HEADERS,
							MAX_HEADERS_BYTES));
		names[length++] = pnstrdup(name.val.string.val, name.val.string.len);
	}
	refuse_duplicates(names, length);
}

/* Its size in a request: name, colon, blank, value, CR, LF. */
static int
check_header(JsonbValue *name, JsonbValue *text)
{
	if (text->type != jbvString)
		refuse("invalid header", "The value of a header must be a string.",
			   "Write {\"name\": \"value\"}.");

	BmwStatus status = bmw_header_check(name->val.string.val, name->val.string.len,
										text->val.string.val, text->val.string.len);

	if (status != BMW_OK)
		refuse("invalid header", bmw_status_text(status),
			   "Headers of HTTP itself and webhook-* are set by the extension.");
	return name->val.string.len + text->val.string.len + 4;
}

static void
refuse_duplicates(char **names, int length)
{
	for (int i = 0; i < length; i++)
		for (int k = 0; k < i; k++)
			if (pg_strcasecmp(names[i], names[k]) == 0)
				refuse("duplicate header", "Two headers have names that differ only in case.",
					   "Join their values with a comma.");
}

static void
check_limits(const Row *row)
{
	int64 timeout;
	int32 max_in_flight = DatumGetInt32(value(row, "max_in_flight"));

	if (!bmw_interval_us(DatumGetIntervalP(value(row, "timeout")), &timeout) ||
		timeout < MIN_TIMEOUT_US || timeout > MAX_TIMEOUT_US)
		refuse("\"timeout\" is out of range", "It must be between 10 milliseconds and 5 minutes.",
			   "The default is 15 seconds.");
	if (max_in_flight < 1 || max_in_flight > MAX_IN_FLIGHT)
		refuse("\"max_in_flight\" is out of range", "It must be between 1 and 1000.",
			   "The default is 32.");
}

static void
check_retry_delays(const Row *row)
{
	static const char hint[] =
		"Use bm_webhook.exponential_backoff() to make a schedule, or {} for no retry.";
	ArrayType *array = DatumGetArrayTypeP(value(row, "retry_delays"));
	Datum *delays;
	bool *nulls;
	int length;

	deconstruct_array(array, INTERVALOID, sizeof(Interval), false, TYPALIGN_DOUBLE, &delays, &nulls,
					  &length);
	if (ARR_NDIM(array) > 1 || length > BMW_BACKOFF_MAX_DELAYS)
		refuse("invalid \"retry_delays\"",
			   "It must be an array of one dimension with at most 100 delays.", hint);
	for (int i = 0; i < length; i++)
	{
		int64 us;

		if (nulls[i] || !bmw_interval_us(DatumGetIntervalP(delays[i]), &us) || us < 0 ||
			us > BMW_BACKOFF_MAX_DELAY_US)
			refuse("invalid \"retry_delays\"",
				   psprintf("Delay %d is null, negative or longer than 30 days.", i + 1), hint);
	}
}

static void
check_metadata(const Row *row)
{
	if (!JB_ROOT_IS_OBJECT(DatumGetJsonbP(value(row, "metadata"))))
		refuse("\"metadata\" must be an object", "It has another JSON type.",
			   "Write {\"key\": \"value\"}.");
}

/* old: NULL for an INSERT. */
static void
keep_times(Row *row, const Row *old)
{
	Datum now = TimestampTzGetDatum(GetCurrentTimestamp());
	bool is_enabled = DatumGetBool(value(row, "enabled"));
	bool was_enabled = old == NULL || DatumGetBool(value(old, "enabled"));

	if (old != NULL)
		set(row, "created_at", value(old, "created_at"));
	else if (is_null(row, "created_at"))
		set(row, "created_at", now);
	if (old != NULL || is_null(row, "updated_at"))
		set(row, "updated_at", now);
	if (was_enabled && !is_enabled)
		set(row, "disabled_at", now);
	if (!was_enabled && is_enabled)
	{
		set_null(row, "disabled_at");
		set_null(row, "disabled_reason");
		set_null(row, "failing_since");
	}
}

static void
refuse(const char *message, const char *detail, const char *hint)
{
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", message),
			errdetail("%s", detail), errhint("%s", hint));
}
