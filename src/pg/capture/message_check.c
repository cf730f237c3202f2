/*
 * pg/capture/message_check.c - is this a valid message?
 *
 * Nothing here raises an error, for the reason that check.c gives; only
 * functions of PostgreSQL that cannot fail are called.
 */
#include "pg/capture/message.h"

#include "mb/pg_wchar.h"
#include "pg/capture/message_object.h"
#include "pg/capture/message_rules.h"

typedef const BmwEventFault *(*Check)(const BmwMessage *message, const BmwMessageField *field);

static void strip_channel(BmwMessage *message, int address);
static const BmwEventFault *check_missing(const BmwMessage *message);
static const BmwEventFault *check_presence(const BmwMessage *message, const BmwMessageField *field);
static bool is_present(const BmwMessageValue *value);
static const BmwEventFault *check_time(const BmwMessage *message, const BmwMessageField *field);
static const BmwEventFault *check_address(const BmwMessage *message, const BmwMessageField *field);
static const BmwEventFault *check_text(const BmwMessage *message, const BmwMessageField *field);
static const BmwEventFault *check_integer(const BmwMessage *message, const BmwMessageField *field);
static const BmwEventFault *check_strings(const BmwMessage *message, const BmwMessageField *field);

static const Check checks[] = {
	[BMW_KIND_TIME] = check_time,		[BMW_KIND_ADDRESS] = check_address,
	[BMW_KIND_NAME] = check_text,		[BMW_KIND_TEXT] = check_text,
	[BMW_KIND_INTEGER] = check_integer, [BMW_KIND_OBJECT] = bmw_message_object_check,
	[BMW_KIND_STRINGS] = check_strings,
};

const BmwEventFault *
bmw_message_check(BmwMessage *message)
{
	const BmwEventFault *fault = check_missing(message);

	strip_channel(message, BMW_FIELD_SENDER);
	strip_channel(message, BMW_FIELD_RECIPIENT);

	for (int i = 0; i < BMW_MESSAGE_FIELDS && fault == NULL; i++)
		fault = bmw_message_check_value(message, &bmw_message_fields[i]);
	return fault;
}

/* Some providers write whatsapp:+33612345678; the channel is a field of its own. */
static void
strip_channel(BmwMessage *message, int address)
{
	const BmwMessageValue *channel = &message->values[BMW_FIELD_CHANNEL];
	BmwMessageValue *value = &message->values[address];

	if (!channel->is_set || channel->text == NULL || !value->is_set || value->text == NULL)
		return;

	size_t len = strlen(channel->text);

	if (strncmp(value->text, channel->text, len) == 0 && value->text[len] == ':')
		value->text += len + 1;
}

const BmwEventFault *
bmw_message_check_value(const BmwMessage *message, const BmwMessageField *field)
{
	const BmwEventFault *fault = check_presence(message, field);

	if (fault != NULL || checks[field->kind] == NULL || !is_present(&message->values[field->id]))
		return fault;
	return checks[field->kind](message, field);
}

const BmwEventFault *
bmw_message_missing(const char *name)
{
	return bmw_message_fault(
		ERRCODE_NOT_NULL_VIOLATION,
		"A message has a channel, an id, a sender and a recipient; an outbound one has a status, an inbound one content.",
		"\"%s\" must not be null", name);
}

const BmwEventFault *
bmw_message_fault(int sqlstate, const char *hint, const char *format, ...)
{
	BmwEventFault *fault = palloc(sizeof(BmwEventFault));
	StringInfoData message;
	va_list arguments;
	int needed;

	initStringInfo(&message);
	do
	{
		va_start(arguments, format);
		needed = appendStringInfoVA(&message, format, arguments);
		va_end(arguments);
		if (needed > 0)
			enlargeStringInfo(&message, needed);
	} while (needed > 0);
	*fault = (BmwEventFault){sqlstate, message.data, hint};
	return fault;
}

/* What every message of its direction has. */
static const BmwEventFault *
check_missing(const BmwMessage *message)
{
	uint32 direction = BMW_MESSAGE_BIT(message->type->id) & BMW_MESSAGE_OUTBOUND
						   ? BMW_MESSAGE_OUTBOUND
						   : BMW_MESSAGE_INBOUND;

	for (int i = 0; i < BMW_MESSAGE_FIELDS; i++)
	{
		const BmwMessageField *field = &bmw_message_fields[i];

		if (field->kind != BMW_KIND_STATUS && field->kind != BMW_KIND_DIRECTION &&
			bmw_message_always_needs(field, direction) && !message->values[i].is_set)
			return bmw_message_missing(field->name);
	}
	return NULL;
}

/* Does the type allow or need it? */
static const BmwEventFault *
check_presence(const BmwMessage *message, const BmwMessageField *field)
{
	uint32 type = BMW_MESSAGE_BIT(message->type->id);
	bool present = is_present(&message->values[field->id]);

	if (field->kind != BMW_KIND_OBJECT)
		return NULL;
	if (present && !(field->allowed & type))
		return bmw_message_fault(ERRCODE_INVALID_PARAMETER_VALUE,
								 psprintf("Leave it out: it is for messages that are %s.",
										  bmw_message_type_names(field->allowed)),
								 "status \"%s\" has no \"%s\"", message->type->name, field->name);
	if (present || !(field->needed & type))
		return NULL;
	if (message->values[field->id].is_set)
		return bmw_message_fault(ERRCODE_INVALID_PARAMETER_VALUE, field->hint,
								 "\"%s\" must be an object", field->name);
	return bmw_message_fault(ERRCODE_INVALID_PARAMETER_VALUE, field->hint,
							 "status \"%s\" needs \"%s\"", message->type->name, field->name);
}

/* A JSON null is as good as nothing. */
static bool
is_present(const BmwMessageValue *value)
{
	return value->is_set && !value->is_json_null;
}

static const BmwEventFault *
check_time(const BmwMessage *message, const BmwMessageField *field)
{
	if (bmw_event_time_is_valid(message->values[field->id].number))
		return NULL;
	return bmw_message_fault(ERRCODE_INVALID_PARAMETER_VALUE, field->hint, "\"%s\" is out of range",
							 field->name);
}

static const BmwEventFault *
check_address(const BmwMessage *message, const BmwMessageField *field)
{
	if (bmw_message_is_address(message->values[field->id].text))
		return NULL;
	return bmw_message_fault(ERRCODE_INVALID_PARAMETER_VALUE, field->hint,
							 "\"%s\" is no phone number and no agent id", field->name);
}

static const BmwEventFault *
check_text(const BmwMessage *message, const BmwMessageField *field)
{
	const char *text = message->values[field->id].text;
	int len = strlen(text);

	if (len > 0 && (len <= field->max || pg_mbstrlen_with_len(text, len) <= field->max) &&
		!bmw_rule_has_control(text, len))
		return NULL;
	return bmw_message_fault(ERRCODE_INVALID_PARAMETER_VALUE, field->hint, "invalid \"%s\"",
							 field->name);
}

static const BmwEventFault *
check_integer(const BmwMessage *message, const BmwMessageField *field)
{
	int64 number = message->values[field->id].number;

	if (number >= 1 && number <= PG_INT32_MAX)
		return NULL;
	return bmw_message_fault(ERRCODE_INVALID_PARAMETER_VALUE, field->hint, "\"%s\" must be %s",
							 field->name, number < 1 ? "positive" : "smaller");
}

static const BmwEventFault *
check_strings(const BmwMessage *message, const BmwMessageField *field)
{
	Jsonb *object = message->values[field->id].object;
	JsonbIterator *it = JsonbIteratorInit(&object->root);
	JsonbValue value;
	JsonbIteratorToken token;
	bool all_strings = JB_ROOT_IS_OBJECT(object);

	while (all_strings && (token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
		all_strings = token != WJB_VALUE || value.type == jbvString;
	if (!all_strings)
		return bmw_message_fault(ERRCODE_INVALID_PARAMETER_VALUE,
								 "Such as {\"campaign\": \"spring\"}.",
								 "\"%s\" must be an object of strings", field->name);
	if (JB_ROOT_COUNT(object) > BMW_METADATA_MAX_KEYS)
		return bmw_message_fault(ERRCODE_PROGRAM_LIMIT_EXCEEDED, field->hint,
								 "\"%s\" has more than %d keys", field->name,
								 BMW_METADATA_MAX_KEYS);
	return NULL;
}
