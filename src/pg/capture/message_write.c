/*
 * pg/capture/message_write.c - the data of a message, as JSON.
 *
 * Written member by member into one buffer, in the order and with the blanks
 * of jsonb's text form, so that a row and a call of message_status() give the
 * same bytes. An object of a user is cut off as soon as it is too large: a
 * number of a few bytes may have a text of 100 kB.
 */
#include "pg/capture/message.h"

#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

static const int *order_of_keys(void);
static int compare_keys(const void *a, const void *b);
static bool is_written(const BmwMessage *message, const BmwMessageField *field);
static const BmwEventFault *append_value(StringInfo out, const BmwMessage *message,
										 const BmwMessageField *field);
static void append_party(StringInfo out, const BmwMessageValue *address,
						 const BmwMessageValue *name);
static void append_time(StringInfo out, TimestampTz at);
static const BmwEventFault *append_object(StringInfo out, const BmwMessageField *field,
										  const BmwMessageValue *value);
static void append_short_form(StringInfo out, const BmwMessageField *field, const char *text);
static void append_jsonb(StringInfo out, JsonbContainer *root, int end);
static void append_key(StringInfo out, const JsonbValue *key, bool is_first);
static void append_scalar(StringInfo out, const JsonbValue *value);

const BmwEventFault *
bmw_message_write(const BmwMessage *message, StringInfo out)
{
	const int *order = order_of_keys();
	const BmwEventFault *fault = NULL;
	char separator = '{';

	for (int i = 0; order[i] >= 0 && fault == NULL; i++)
	{
		const BmwMessageField *field = &bmw_message_fields[order[i]];

		if (!is_written(message, field))
			continue;
		appendStringInfoChar(out, separator);
		if (separator == ',')
			appendStringInfoChar(out, ' ');
		appendStringInfo(out, "\"%s\": ", field->key);
		fault = append_value(out, message, field);
		separator = ',';
	}
	appendStringInfoChar(out, '}');
	return fault;
}

/* The fields that are written, in the order of their keys; ended by -1. Made once. */
static const int *
order_of_keys(void)
{
	static int order[BMW_MESSAGE_FIELDS + 1];
	static int length = 0;

	if (length > 0)
		return order;
	for (int i = 0; i < BMW_MESSAGE_FIELDS; i++)
		if (bmw_message_fields[i].key != NULL)
			order[length++] = i;
	qsort(order, length, sizeof(int), compare_keys);
	order[length] = -1;
	return order;
}

/* As jsonb does: by length, then by bytes. */
static int
compare_keys(const void *a, const void *b)
{
	const char *one = bmw_message_fields[*(const int *) a].key;
	const char *other = bmw_message_fields[*(const int *) b].key;
	int difference = (int) strlen(one) - (int) strlen(other);

	return difference != 0 ? difference : strcmp(one, other);
}

static bool
is_written(const BmwMessage *message, const BmwMessageField *field)
{
	const BmwMessageValue *value = &message->values[field->id];

	if (field->kind == BMW_KIND_STATUS || field->kind == BMW_KIND_DIRECTION)
		return field->needed & BMW_MESSAGE_BIT(message->type->id);
	if (field->kind == BMW_KIND_STRINGS && value->object != NULL &&
		JB_ROOT_COUNT(value->object) == 0)
		return false;
	return value->is_set && !value->is_json_null;
}

static const BmwEventFault *
append_value(StringInfo out, const BmwMessage *message, const BmwMessageField *field)
{
	const BmwMessageValue *value = &message->values[field->id];

	switch (field->kind)
	{
		case BMW_KIND_STATUS:
			appendStringInfo(out, "\"%s\"", message->type->name);
			return NULL;
		case BMW_KIND_DIRECTION:
			appendStringInfo(out, "\"%s\"", bmw_message_direction(message->type));
			return NULL;
		case BMW_KIND_TIME:
			append_time(out, value->number);
			return NULL;
		case BMW_KIND_ADDRESS:
			append_party(
				out, value,
				&message->values[field->id == BMW_FIELD_SENDER ? BMW_FIELD_SENDER_NAME
															   : BMW_FIELD_RECIPIENT_NAME]);
			return NULL;
		case BMW_KIND_TEXT:
			escape_json(out, value->text);
			return NULL;
		case BMW_KIND_INTEGER:
			appendStringInfo(out, INT64_FORMAT, value->number);
			return NULL;
		case BMW_KIND_OBJECT:
		case BMW_KIND_STRINGS:
			return append_object(out, field, value);
		case BMW_KIND_ENVELOPE:
		case BMW_KIND_PROVIDER:
		case BMW_KIND_NAME:
			break;
	}
	return NULL;
}

static void
append_party(StringInfo out, const BmwMessageValue *address, const BmwMessageValue *name)
{
	appendStringInfoChar(out, '{');
	if (name->is_set)
	{
		appendStringInfoString(out, "\"name\": ");
		escape_json(out, name->text);
		appendStringInfoString(out, ", ");
	}
	appendStringInfoString(out, "\"address\": ");
	escape_json(out, address->text);
	appendStringInfoChar(out, '}');
}

/* RFC 3339 in UTC, without zeros at the end of the fraction. */
static void
append_time(StringInfo out, TimestampTz at)
{
	struct pg_tm tm;
	fsec_t microseconds;
	char fraction[sizeof(".123456")] = "";

	/* cannot fail within the years that were checked */
	timestamp2tm(at, NULL, &tm, &microseconds, NULL, NULL);
	if (microseconds != 0)
	{
		snprintf(fraction, sizeof(fraction), ".%06d", microseconds % 1000000);
		for (char *last = fraction + strlen(fraction) - 1; *last == '0'; last--)
			*last = '\0';
	}
	appendStringInfo(out, "\"%04d-%02d-%02dT%02d:%02d:%02d%sZ\"", tm.tm_year, tm.tm_mon, tm.tm_mday,
					 tm.tm_hour, tm.tm_min, tm.tm_sec, fraction);
}

static const BmwEventFault *
append_object(StringInfo out, const BmwMessageField *field, const BmwMessageValue *value)
{
	int end = field->max > 0 ? out->len + field->max : PG_INT32_MAX;

	if (value->text != NULL)
		append_short_form(out, field, value->text);
	else
		append_jsonb(out, &value->object->root, end);
	if (out->len <= end)
		return NULL;
	return bmw_message_fault(ERRCODE_PROGRAM_LIMIT_EXCEEDED,
							 field->id == BMW_FIELD_CONTENT ? "Send less, or a link to it as media."
															: field->hint,
							 "\"%s\" is larger than %d bytes", field->name, field->max);
}

/* What check_short_form() has let pass: {"text": ..., "type": "text"}, or one member alone. */
static void
append_short_form(StringInfo out, const BmwMessageField *field, const char *text)
{
	appendStringInfo(out, "{\"%s\": ", field->short_form);
	escape_json(out, text);
	if (field->variants != NULL)
		appendStringInfo(out, ", \"type\": \"%s\"", field->short_form);
	appendStringInfoChar(out, '}');
}

/* Without members that are null. Stops when the text has grown beyond `end`. */
static void
append_jsonb(StringInfo out, JsonbContainer *root, int end)
{
	JsonbIterator *it = JsonbIteratorInit(root);
	JsonbIteratorToken token;
	JsonbValue value, key = {.type = jbvNull};
	bool is_first = true;

	while (out->len <= end && (token = JsonbIteratorNext(&it, &value, false)) != WJB_DONE)
	{
		bool begins = token == WJB_BEGIN_OBJECT || token == WJB_BEGIN_ARRAY;
		bool ends = token == WJB_END_OBJECT || token == WJB_END_ARRAY;

		if (token == WJB_KEY)
			key = value;
		if (token == WJB_KEY || (token == WJB_VALUE && value.type == jbvNull))
			continue;
		if (!ends)
			append_key(out, &key, is_first);
		key.type = jbvNull;
		if (begins || ends)
			appendStringInfoChar(out, token == WJB_BEGIN_OBJECT	 ? '{'
									  : token == WJB_END_OBJECT	 ? '}'
									  : token == WJB_BEGIN_ARRAY ? '['
																 : ']');
		else
			append_scalar(out, &value);
		is_first = begins;
	}
}

/* What separates a value from the one before it, and its name if it is a member. */
static void
append_key(StringInfo out, const JsonbValue *key, bool is_first)
{
	if (!is_first)
		appendStringInfoString(out, ", ");
	if (key->type == jbvNull)
		return;
	append_scalar(out, key);
	appendStringInfoString(out, ": ");
}

static void
append_scalar(StringInfo out, const JsonbValue *value)
{
	if (value->type == jbvString)
		escape_json(out, pnstrdup(value->val.string.val, value->val.string.len));
	else if (value->type == jbvNumeric)
		appendStringInfoString(out, DatumGetCString(DirectFunctionCall1(
										numeric_out, NumericGetDatum(value->val.numeric))));
	else if (value->type == jbvBool)
		appendStringInfoString(out, value->val.boolean ? "true" : "false");
	else
		appendStringInfoString(out, "null");
}
