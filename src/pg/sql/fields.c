/*
 * pg/sql/fields.c - the columns of a table, named once: texts of statements are made from them.
 */
#include "postgres.h"

#include "pg/sql/fields.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"

static const BmwField event_fields[] = {
	[BMW_EVENT_ID] = {"id", UUIDOID, .is_key = true},
	[BMW_EVENT_TYPE] = {"type", TEXTOID},
	[BMW_EVENT_APPLICATION] = {"application", TEXTOID},
	[BMW_EVENT_CHANNEL] = {"channel", TEXTOID},
	[BMW_EVENT_MESSAGE_ID] = {"message_id", TEXTOID},
	[BMW_EVENT_REPLY_TO] = {"reply_to", TEXTOID},
	[BMW_EVENT_ENDPOINT_ID] = {"endpoint_id", INT8OID},
	[BMW_EVENT_OCCURRED_AT] = {"occurred_at", TIMESTAMPTZOID},
	[BMW_EVENT_DATA] = {"data", JSONOID},
	[BMW_EVENT_XID] = {"xid", XID8OID, .is_constant = true},
	[BMW_EVENT_CREATED_AT] = {"created_at", TIMESTAMPTZOID, .is_constant = true},
	[BMW_EVENT_EXPIRES_AT] = {"expires_at", TIMESTAMPTZOID},
};

/* What both tables say of a delivery. */
#define OUTCOME_FIELDS                                                                             \
	[BMW_DELIVERY_EVENT_ID] = {"event_id", UUIDOID, .is_key = true},                               \
	[BMW_DELIVERY_ENDPOINT_ID] = {"endpoint_id", INT8OID, .is_key = true},                         \
	[BMW_DELIVERY_STATUS] = {"status", TEXTOID}, [BMW_DELIVERY_ATTEMPTS] = {"attempts", INT4OID},  \
	[BMW_DELIVERY_NEXT_ATTEMPT_AT] = {"next_attempt_at", TIMESTAMPTZOID},                          \
	[BMW_DELIVERY_FIRST_ATTEMPT_AT] = {"first_attempt_at", TIMESTAMPTZOID},                        \
	[BMW_DELIVERY_LAST_ATTEMPT_AT] = {"last_attempt_at", TIMESTAMPTZOID, .is_kept = true},         \
	[BMW_DELIVERY_HTTP_STATUS] = {"http_status", INT4OID},                                         \
	[BMW_DELIVERY_ERROR_CLASS] = {"error_class", TEXTOID},                                         \
	[BMW_DELIVERY_ERROR] = {"error", TEXTOID}, [BMW_DELIVERY_DURATION] = {"duration", INTERVALOID}

static const BmwField delivery_fields[] = {
	OUTCOME_FIELDS,
	[BMW_DELIVERY_NAME_US] = {"name_us", INT4OID},
	[BMW_DELIVERY_CONNECT_US] = {"connect_us", INT4OID},
	[BMW_DELIVERY_TLS_US] = {"tls_us", INT4OID},
	[BMW_DELIVERY_FIRST_BYTE_US] = {"first_byte_us", INT4OID},
};

static const BmwField aside_fields[] = {
	OUTCOME_FIELDS,
	[BMW_ASIDE_NAME_TIME] = {"name_time", INTERVALOID},
	[BMW_ASIDE_CONNECT_TIME] = {"connect_time", INTERVALOID},
	[BMW_ASIDE_TLS_TIME] = {"tls_time", INTERVALOID},
	[BMW_ASIDE_FIRST_BYTE_TIME] = {"first_byte_time", INTERVALOID},
	[BMW_ASIDE_RESPONSE] = {"response", TEXTOID},
	[BMW_ASIDE_IS_FAILED_ATTEMPT] = {"is_failed_attempt", BOOLOID},
	[BMW_ASIDE_IS_EXHAUSTED] = {"is_exhausted", BOOLOID},
	[BMW_ASIDE_CAUSE] = {"cause", TEXTOID},
	[BMW_ASIDE_SQLSTATE] = {"sqlstate", TEXTOID},
};

static const BmwField attempt_fields[] = {
	[BMW_ATTEMPT_EVENT_ID] = {"event_id", UUIDOID, .is_key = true},
	[BMW_ATTEMPT_ENDPOINT_ID] = {"endpoint_id", INT8OID, .is_key = true},
	[BMW_ATTEMPT_ATTEMPT] = {"attempt", INT4OID},
	[BMW_ATTEMPT_ATTEMPTED_AT] = {"attempted_at", TIMESTAMPTZOID},
	[BMW_ATTEMPT_ERROR_CLASS] = {"error_class", TEXTOID},
	[BMW_ATTEMPT_HTTP_STATUS] = {"http_status", INT4OID},
	[BMW_ATTEMPT_ERROR] = {"error", TEXTOID},
	[BMW_ATTEMPT_NAME_TIME] = {"name_time", INTERVALOID},
	[BMW_ATTEMPT_CONNECT_TIME] = {"connect_time", INTERVALOID},
	[BMW_ATTEMPT_TLS_TIME] = {"tls_time", INTERVALOID},
	[BMW_ATTEMPT_FIRST_BYTE_TIME] = {"first_byte_time", INTERVALOID},
	[BMW_ATTEMPT_TOTAL_TIME] = {"total_time", INTERVALOID},
	[BMW_ATTEMPT_RESPONSE] = {"response", TEXTOID},
};

const BmwFields bmw_event_fields = {event_fields, BMW_EVENT_FIELDS};
const BmwFields bmw_event_all_fields = {event_fields, BMW_EVENT_ALL_FIELDS};
const BmwFields bmw_delivery_fields = {delivery_fields, BMW_DELIVERY_FIELDS};
const BmwFields bmw_delivery_keys = {delivery_fields, BMW_DELIVERY_STATUS};
const BmwFields bmw_aside_fields = {aside_fields, BMW_ASIDE_FIELDS};
const BmwFields bmw_attempt_fields = {attempt_fields, BMW_ATTEMPT_FIELDS};

static void put_name(StringInfo text, const BmwField *field, int number);
static void put_value(StringInfo text, const BmwField *field, int number);
static void put_unnested(StringInfo text, const BmwField *field, int number);
static void put_change(StringInfo text, const BmwField *field, int number);
static void put_range(StringInfo text, const BmwFields *fields);

typedef struct Placeholder
{
	const char *text;
	void (*put)(StringInfo text, const BmwField *field, int number);
	bool skips_keys;
	void (*put_once)(StringInfo text, const BmwFields *fields); /* instead */
} Placeholder;

static const Placeholder placeholders[] = {
	{"{names}", put_name},
	{"{values}", put_value},
	{"{unnested}", put_unnested},
	{"{changes}", put_change, .skips_keys = true},
	{BMW_FIELDS_RANGE, .put_once = put_range},
};

static const Placeholder *placeholder_at(const char *sql);
static void put_all(StringInfo text, const BmwFields *fields, const Placeholder *placeholder);

char *
bmw_fields_expand(const BmwFields *fields, const char *sql)
{
	StringInfoData text;

	initStringInfo(&text);
	while (*sql != '\0')
	{
		const Placeholder *placeholder = placeholder_at(sql);

		if (placeholder == NULL)
		{
			appendStringInfoChar(&text, *sql++);
			continue;
		}
		if (placeholder->put_once != NULL)
			placeholder->put_once(&text, fields);
		else
			put_all(&text, fields, placeholder);
		sql += strlen(placeholder->text);
	}
	return text.data;
}

/* There are other braces in SQL. */
static const Placeholder *
placeholder_at(const char *sql)
{
	for (size_t i = 0; *sql == '{' && i < lengthof(placeholders); i++)
		if (strncmp(sql, placeholders[i].text, strlen(placeholders[i].text)) == 0)
			return &placeholders[i];
	return NULL;
}

static void
put_all(StringInfo text, const BmwFields *fields, const Placeholder *placeholder)
{
	const char *separator = "";

	for (int i = 0; i < fields->length; i++)
	{
		if (placeholder->skips_keys && fields->items[i].is_key)
			continue;
		appendStringInfoString(text, separator);
		placeholder->put(text, &fields->items[i], i + 1);
		separator = ", ";
	}
}

static void
put_name(StringInfo text, const BmwField *field, int number)
{
	appendStringInfoString(text, field->name);
}

static void
put_value(StringInfo text, const BmwField *field, int number)
{
	appendStringInfo(text, "$%d", number);
}

static void
put_unnested(StringInfo text, const BmwField *field, int number)
{
	appendStringInfo(text, field->is_constant ? "$%d" : "pg_catalog.unnest($%d)", number);
}

static void
put_change(StringInfo text, const BmwField *field, int number)
{
	appendStringInfo(
		text, field->is_kept ? "%1$s = coalesce(excluded.%1$s, d.%1$s)" : "%1$s = excluded.%1$s",
		field->name);
}

static void
put_range(StringInfo text, const BmwFields *fields)
{
	appendStringInfo(text, "d.%1$s >= $%2$d AND d.%1$s <= $%3$d", fields->items[0].name,
					 fields->length + 1, fields->length + 2);
}
