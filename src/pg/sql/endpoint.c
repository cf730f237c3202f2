/*
 * pg/sql/endpoint.c - the triggers that check and normalize applications and endpoints.
 *
 * A value is judged when it changes, and not at every update of its row:
 * settings or rules may have changed since it was written, and the dispatcher must
 * still be able to disable the endpoint. No message has a value in it that could
 * be a credential.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "core/backoff.h"
#include "core/certificate.h"
#include "core/header.h"
#include "core/pattern.h"
#include "fmgr.h"
#include "core/name.h"
#include "pg/sql/interval.h"
#include "pg/sql/limits.h"
#include "pg/sql/endpoint_filter.h"
#include "pg/sql/endpoint_headers.h"
#include "pg/sql/endpoint_notes.h"
#include "pg/sql/endpoint_pace.h"
#include "pg/sql/endpoint_payload.h"
#include "pg/sql/endpoint_signature.h"
#include "pg/sql/endpoint_url.h"
#include "pg/sql/row.h"
#include "pg/sql/sql_row.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(bm_webhook_check_application);
PG_FUNCTION_INFO_V1(bm_webhook_check_endpoint);

#define MAX_HEADERS 64
#define MAX_HEADERS_BYTES 8192

typedef void (*Check)(BmwRow *row, const char *column);

static const char pattern_hint[] =
	"A pattern is a type such as message.sent, a prefix such as message.*, or * for everything.";

static void check_changed(BmwRow *row, const char *column, Check check);
static void check_rate(BmwRow *row);
static void check_name(BmwRow *row, const char *column);
static void check_owner(BmwRow *row, const char *column);
static void check_patterns(BmwRow *row, const char *column);
static void check_channel(BmwRow *row, const char *column);
static void check_event_types(BmwRow *row, const char *column);
static void check_headers(BmwRow *row, const char *column);
static int check_header(JsonbValue *name, JsonbValue *text);
static int utf8_length(const JsonbValue *text);
static void refuse_duplicates(char **names, int length);
static void check_timeout(BmwRow *row, const char *column);
static void check_ttl(BmwRow *row, const char *column);
static void check_ordering(BmwRow *row, const char *column);
static void check_retry_delays(BmwRow *row, const char *column);
static void check_ca_certificates(BmwRow *row, const char *column);
static bool was_deleted(const BmwRow *row);
static void erase(BmwRow *row);
static void keep_times(BmwRow *row);

Datum
bm_webhook_check_application(PG_FUNCTION_ARGS)
{
	static const char *const required[] = {"name", "owner", "muted_event_types"};
	BmwRow row = bmw_row_begin(fcinfo, "application");

	bmw_row_require(&row, required, lengthof(required));
	bmw_row_refuse_change(&row, "name", "Events and endpoints refer to it: make a new row.");
	if (was_deleted(&row))
		bmw_row_refuse_change(&row, "owner", "The application is deleted: its log is its owner's.");
	check_changed(&row, "name", check_name);
	check_changed(&row, "owner", check_owner);
	check_changed(&row, "muted_event_types", check_patterns);
	if (bmw_row_has_column(&row, "rate_limit"))
		check_rate(&row);
	bmw_limits_check_application(&row);
	bmw_row_keep_created_at(&row);
	return bmw_row_end(&row);
}

Datum
bm_webhook_check_endpoint(PG_FUNCTION_ARGS)
{
	static const char *const required[] = {"url",		   "event_types", "enabled",
										   "headers",	   "timeout",	  "max_in_flight",
										   "retry_delays", "ordering",	  "metadata"};
	static BmwLastId last;
	BmwRow row = bmw_row_begin(fcinfo, "endpoint");

	/* who changes all his endpoints does not mean this one */
	if (was_deleted(&row))
		return PointerGetDatum(NULL);
	bmw_row_check_id(&row, &last);
	if (!bmw_row_is_null(&row, "deleted_at"))
	{
		erase(&row);
		return bmw_row_end(&row);
	}
	if (bmw_endpoint_headers_rekey(&row))
		return bmw_row_end(&row);
	bmw_row_require(&row, required, lengthof(required));
	check_changed(&row, "url", bmw_endpoint_url_check);
	check_changed(&row, "channel", check_channel);
	check_changed(&row, "event_types", check_event_types);
	check_changed(&row, "headers", check_headers);
	bmw_endpoint_headers_keep(&row);
	check_changed(&row, "timeout", check_timeout);
	check_changed(&row, "max_in_flight", bmw_endpoint_pace_check_max_in_flight);
	if (bmw_row_has_column(&row, "rate_limit"))
		check_rate(&row);
	check_changed(&row, "ordering", check_ordering);
	check_changed(&row, "retry_delays", check_retry_delays);
	check_changed(&row, "description", bmw_endpoint_notes_check_description);
	check_changed(&row, "metadata", bmw_endpoint_notes_check_metadata);
	check_changed(&row, "ttl", check_ttl);
	check_changed(&row, "filter", bmw_endpoint_filter_check);
	check_changed(&row, "payload", bmw_endpoint_payload_check);
	bmw_endpoint_signature_check(&row);
	check_changed(&row, "ca_certificates", check_ca_certificates);
	bmw_limits_check_endpoint(&row);
	keep_times(&row);
	return bmw_row_end(&row);
}

static void
check_changed(BmwRow *row, const char *column, Check check)
{
	if (bmw_row_has_changed(row, column))
		check(row, column);
}

static void
check_rate(BmwRow *row)
{
	check_changed(row, "rate_limit", bmw_endpoint_pace_check_rate_limit);
	bmw_endpoint_pace_check_rate_burst(row, "rate_burst");
}

static void
check_name(BmwRow *row, const char *column)
{
	if (!bmw_name_is_valid(TextDatumGetCString(bmw_row_value(row, column))))
		bmw_row_refuse("invalid name of an application",
					   "A name is 1 to 128 bytes without control characters.",
					   "Events carry it as \"application\".");
}

/* A role that is gone has left its number in a dump, which is that of no role here: then it is nobody's. */
static void
check_owner(BmwRow *row, const char *column)
{
	Oid owner = DatumGetObjectId(bmw_row_value(row, column));

	if (!bmw_row_has_type(row, column, REGROLEOID) || !OidIsValid(owner) ||
		SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(owner)))
		return;
	if (bmw_row_is_update(row))
		bmw_row_refuse("invalid owner of an application", "There is no such role.",
					   "Create the role first.");
	ereport(WARNING, errcode(ERRCODE_WARNING), errmsg("the owner of an application does not exist"),
			errhint("It belongs to nobody now: bm_webhook.grant_owner() gives it to a role."));
	bmw_row_set(row, column, ObjectIdGetDatum(InvalidOid));
}

static void
check_channel(BmwRow *row, const char *column)
{
	if (!bmw_row_is_null(row, column) &&
		!bmw_name_is_channel(TextDatumGetCString(bmw_row_value(row, column))))
		bmw_row_refuse(
			"invalid channel",
			"A channel begins with a-z and has a-z, 0-9, _ and - only; at most 32 bytes.",
			"Use a name such as sms, or null for all channels.");
}

static void
check_event_types(BmwRow *row, const char *column)
{
	if (ArrayGetNItems(ARR_NDIM(DatumGetArrayTypeP(bmw_row_value(row, column))),
					   ARR_DIMS(DatumGetArrayTypeP(bmw_row_value(row, column)))) == 0)
		bmw_row_refuse("\"event_types\" must not be empty",
					   "An endpoint without a pattern would get nothing.", pattern_hint);
	check_patterns(row, column);
}

/* Each is tried on each event, so their number is limited. */
static void
check_patterns(BmwRow *row, const char *column)
{
	Datum *patterns;
	bool *nulls;
	int length;

	deconstruct_array(DatumGetArrayTypeP(bmw_row_value(row, column)), TEXTOID, -1, false,
					  TYPALIGN_INT, &patterns, &nulls, &length);
	if (length > BMW_MAX_PATTERNS)
		ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				errmsg("\"%s\" has too many patterns", column),
				errhint("At most %d are allowed; a prefix such as message.* stands for many types.",
						BMW_MAX_PATTERNS));
	for (int i = 0; i < length; i++)
	{
		char *pattern = nulls[i] ? NULL : TextDatumGetCString(patterns[i]);

		if (pattern == NULL || !bmw_pattern_is_valid(pattern, strlen(pattern)))
			bmw_row_refuse(
				psprintf("invalid pattern in \"%s\"", column),
				psprintf("Element %d is %s.", i + 1, pattern == NULL ? "null" : "not a pattern"),
				pattern_hint);
	}
}

static void
check_headers(BmwRow *row, const char *column)
{
	Jsonb *headers = DatumGetJsonbP(bmw_row_value(row, column));
	JsonbIterator *iterator = JsonbIteratorInit(&headers->root);
	JsonbIteratorToken token;
	JsonbValue name;
	JsonbValue text;
	char *names[MAX_HEADERS];
	int length = 0;
	int bytes = 0;

	if (!JB_ROOT_IS_OBJECT(headers))
		bmw_row_refuse("\"headers\" must be an object", "It has another JSON type.",
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
		bmw_row_refuse("invalid header", "The value of a header must be a string.",
					   "Write {\"name\": \"value\"}.");

	BmwStatus status = bmw_header_check(name->val.string.val, name->val.string.len,
										text->val.string.val, text->val.string.len);

	if (status != BMW_OK)
		bmw_row_refuse("invalid header", bmw_status_text(status),
					   "Headers of HTTP itself and webhook-* are set by the extension.");
	return name->val.string.len + utf8_length(text) + 4;
}

/* As it is sent: in another encoding of the database it may be shorter. */
static int
utf8_length(const JsonbValue *text)
{
	return (int) bmw_sql_utf8_length(
		PointerGetDatum(cstring_to_text_with_len(text->val.string.val, text->val.string.len)));
}

static void
refuse_duplicates(char **names, int length)
{
	for (int i = 0; i < length; i++)
		for (int k = 0; k < i; k++)
			if (pg_strcasecmp(names[i], names[k]) == 0)
				bmw_row_refuse("duplicate header",
							   "Two headers have names that differ only in case.",
							   "Join their values with a comma.");
}

/* It is stored as microseconds alone, so that nobody can read it in another way. */
static void
check_timeout(BmwRow *row, const char *column)
{
	int64 us;

	if (!bmw_interval_timeout(DatumGetIntervalP(bmw_row_value(row, column)), &us))
		bmw_row_refuse("\"timeout\" is out of range",
					   "It must be between 10 milliseconds and 5 minutes.",
					   "The default is 15 seconds.");
	bmw_row_set(row, column, bmw_interval_datum(us));
}

/* Stored as the timeout is. */
static void
check_ttl(BmwRow *row, const char *column)
{
	int64 us;

	if (bmw_row_is_null(row, column))
		return;
	if (!bmw_interval_ttl(DatumGetIntervalP(bmw_row_value(row, column)), &us))
		bmw_row_refuse("\"ttl\" is out of range", "It must be between 1 second and 366 days.",
					   "NULL, the default, is no limit.");
	bmw_row_set(row, column, bmw_interval_datum(us));
}

static void
check_ordering(BmwRow *row, const char *column)
{
	char *ordering = TextDatumGetCString(bmw_row_value(row, column));

	if (strcmp(ordering, "none") != 0 && strcmp(ordering, "by_message") != 0)
		bmw_row_refuse("invalid \"ordering\"", "It must be \"none\" or \"by_message\".",
					   "The default is none.");
}

/* Stored as the timeout is. */
static void
check_retry_delays(BmwRow *row, const char *column)
{
	static const char hint[] =
		"Use bm_webhook.exponential_backoff() to make a schedule, or {} for no retry.";
	ArrayType *array = DatumGetArrayTypeP(bmw_row_value(row, column));
	Datum *delays;
	bool *nulls;
	int length;

	deconstruct_array(array, INTERVALOID, sizeof(Interval), false, TYPALIGN_DOUBLE, &delays, &nulls,
					  &length);
	if (ARR_NDIM(array) > 1 || length > BMW_BACKOFF_MAX_DELAYS)
		bmw_row_refuse("invalid \"retry_delays\"",
					   "It must be an array of one dimension with at most 100 delays.", hint);
	for (int i = 0; i < length; i++)
	{
		int64 us;

		if (nulls[i] || !bmw_interval_delay(DatumGetIntervalP(delays[i]), &us))
			bmw_row_refuse("invalid \"retry_delays\"",
						   psprintf("Delay %d is null, negative or longer than 30 days.", i + 1),
						   hint);
		delays[i] = bmw_interval_datum(us);
	}
	bmw_row_set(row, column,
				PointerGetDatum(construct_array(delays, length, INTERVALOID, sizeof(Interval),
												false, TYPALIGN_DOUBLE)));
}

static void
check_ca_certificates(BmwRow *row, const char *column)
{
	text *pem;
	BmwStatus status;

	if (bmw_row_is_null(row, column))
		return;
	pem = DatumGetTextPP(bmw_row_value(row, column));
	status = bmw_certificate_check_authorities(VARDATA_ANY(pem), VARSIZE_ANY_EXHDR(pem));
	if (status != BMW_OK)
		bmw_row_refuse("invalid \"ca_certificates\"", bmw_status_text(status),
					   "Write the certificates of the authorities, as PEM.");
}

static bool
was_deleted(const BmwRow *row)
{
	return bmw_row_is_update(row) && bmw_row_was_set(row, "deleted_at");
}

/* What could be secret or personal, and what would send. */
static void
erase(BmwRow *row)
{
	bmw_row_set_null(row, "url");
	if (bmw_row_has_column(row, "filter"))
		bmw_row_set_null(row, "filter");
	bmw_row_set(row, "headers", DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")));
	bmw_endpoint_headers_erase(row);
	bmw_row_set(row, "enabled", BoolGetDatum(false));
	bmw_row_keep_created_at(row);
}

static void
keep_times(BmwRow *row)
{
	bmw_row_keep_created_at(row);
	if (bmw_row_is_update(row) || bmw_row_is_null(row, "updated_at"))
		bmw_row_set(row, "updated_at", TimestampTzGetDatum(GetCurrentTimestamp()));
}
