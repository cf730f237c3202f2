/*
 * pg/capture/message.c - the SQL functions of messages.
 *
 * message_status(), message_received() and message_clicked() find out by the
 * names of their arguments which field each of them is, so that the script may
 * order them as it likes. EXECUTE is all that a caller needs.
 */
#include "pg/capture/message.h"

#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "fmgr.h"
#include "funcapi.h"
#include "pg/capture/emit.h"
#include "pg/capture/status_map.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(bm_webhook_message_status);
PG_FUNCTION_INFO_V1(bm_webhook_message_received);
PG_FUNCTION_INFO_V1(bm_webhook_message_clicked);
PG_FUNCTION_INFO_V1(bm_webhook_message_schema);
PG_FUNCTION_INFO_V1(bm_webhook_message_types);
PG_FUNCTION_INFO_V1(bm_webhook_message_rank);
PG_FUNCTION_INFO_V1(bm_webhook_message_state);

#define BUTTON BMW_MESSAGE_FIELDS /* an argument that is no field but a member of content */
#define IDEMPOTENCY_KEY (BUTTON + 1)
#define EXPIRES_AT (BUTTON + 2)

static BmwMessage read_arguments(FunctionCallInfo fcinfo);
static const int *argument_fields(FmgrInfo *function);
static int field_of(const char *argument);
static void set_value(BmwMessage *message, int field, Datum value);
static void set_button(BmwMessageValue *content, Jsonb *button);
static JsonbValue json_string(const char *text);
static void set_object(BmwMessageValue *value, Jsonb *object);
static void raise(const BmwEventFault *fault);
static Datum emit(BmwMessage *message);
static const char *what_it_says(const BmwMessage *message, const StringInfoData *data);
static const BmwMessageType *outbound_type(const text *event_type);

/* message_status(status, application, channel, message_id, sender, recipient, ...) */
Datum
bm_webhook_message_status(PG_FUNCTION_ARGS)
{
	BmwMessage message = read_arguments(fcinfo);

	raise(bmw_status_map_find(message.values[BMW_FIELD_PROVIDER].text,
							  message.values[BMW_FIELD_STATUS].text, &message.type));
	return emit(&message);
}

/* message_received(content, application, channel, message_id, sender, recipient, ...) */
Datum
bm_webhook_message_received(PG_FUNCTION_ARGS)
{
	BmwMessage message = read_arguments(fcinfo);

	message.type = &bmw_message_types[BMW_MESSAGE_RECEIVED];
	return emit(&message);
}

/* message_clicked(button, application, channel, message_id, sender, recipient, ...) */
Datum
bm_webhook_message_clicked(PG_FUNCTION_ARGS)
{
	BmwMessage message = read_arguments(fcinfo);

	message.type = &bmw_message_types[BMW_MESSAGE_CLICKED];
	if (!message.values[BMW_FIELD_CONTENT].is_set)
		ereport(ERROR, errcode(ERRCODE_NOT_NULL_VIOLATION), errmsg("\"button\" must not be null"),
				errhint("Write {\"id\": ...}, and \"text\" where known."));
	return emit(&message);
}

/* message_schema(name text): the schema of the data of message.<name>, and its definitions */
Datum
bm_webhook_message_schema(PG_FUNCTION_ARGS)
{
	const BmwMessageType *type = bmw_message_type_find(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	StringInfoData json;

	if (type == NULL)
		PG_RETURN_NULL();
	initStringInfo(&json);
	bmw_message_write_schema(type, &json);
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
}

/* message_types(): the event types of the statuses of outbound messages */
Datum
bm_webhook_message_types(PG_FUNCTION_ARGS)
{
	Datum types[BMW_MESSAGE_TYPES];
	int length = 0;

	for (int i = 0; i < BMW_MESSAGE_TYPES; i++)
		if (bmw_message_types[i].rank > 0)
			types[length++] = CStringGetTextDatum(bmw_message_types[i].event_type);
	PG_RETURN_ARRAYTYPE_P(construct_array(types, length, TEXTOID, -1, false, TYPALIGN_INT));
}

/* message_rank(event_type text): of the status; NULL when it is none of an outbound message */
Datum
bm_webhook_message_rank(PG_FUNCTION_ARGS)
{
	const BmwMessageType *type = outbound_type(PG_GETARG_TEXT_PP(0));

	if (type == NULL)
		PG_RETURN_NULL();
	PG_RETURN_INT32(type->rank);
}

/* message_state(rank integer): the status that has the rank */
Datum
bm_webhook_message_state(PG_FUNCTION_ARGS)
{
	int rank = PG_GETARG_INT32(0);

	for (int i = 0; i < BMW_MESSAGE_TYPES; i++)
		if (rank > 0 && bmw_message_types[i].rank == rank)
			PG_RETURN_TEXT_P(cstring_to_text(bmw_message_types[i].name));
	PG_RETURN_NULL();
}

static BmwMessage
read_arguments(FunctionCallInfo fcinfo)
{
	const int *fields = argument_fields(fcinfo->flinfo);
	BmwMessage message = {.expires_at = DT_NOEND};

	for (int i = 0; i < PG_NARGS(); i++)
		if (!PG_ARGISNULL(i))
			set_value(&message, fields[i], PG_GETARG_DATUM(i));
	message.has_time_of_call = !message.values[BMW_FIELD_OCCURRED_AT].is_set;
	if (message.has_time_of_call)
		set_value(&message, BMW_FIELD_OCCURRED_AT, TimestampTzGetDatum(GetCurrentTimestamp()));
	return message;
}

/* The field of each argument; kept as long as the function's caller keeps what it knows of it. */
static const int *
argument_fields(FmgrInfo *function)
{
	if (function->fn_extra != NULL)
		return function->fn_extra;

	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function->fn_oid));
	Oid *types;
	char **names = NULL;
	char *modes;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_FUNCTION),
				errmsg("function with OID %u does not exist", function->fn_oid));

	int length = get_func_arg_info(tuple, &types, &names, &modes);
	int *fields = MemoryContextAlloc(function->fn_mcxt, sizeof(int) * Max(length, 1));

	ReleaseSysCache(tuple);
	for (int i = 0; i < length; i++)
		fields[i] = field_of(names == NULL ? "" : names[i]);
	function->fn_extra = fields;
	return fields;
}

static int
field_of(const char *argument)
{
	const BmwMessageField *field = bmw_message_field_find(argument);

	if (strcmp(argument, "idempotency_key") == 0)
		return IDEMPOTENCY_KEY;
	if (strcmp(argument, "expires_at") == 0)
		return EXPIRES_AT;
	if (field == NULL && strcmp(argument, "button") != 0)
		ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR),
				errmsg("argument \"%s\" is no field of a message", argument));
	return field == NULL ? BUTTON : (int) field->id;
}

static void
set_value(BmwMessage *message, int field, Datum value)
{
	if (field == BUTTON)
		set_button(&message->values[BMW_FIELD_CONTENT], DatumGetJsonbP(value));
	if (field == IDEMPOTENCY_KEY)
		message->idempotency_key = TextDatumGetCString(value);
	if (field == EXPIRES_AT)
		message->expires_at = DatumGetTimestampTz(value);
	if (field >= BMW_MESSAGE_FIELDS)
		return;

	BmwMessageValue *to = &message->values[field];

	switch (bmw_message_fields[field].kind)
	{
		case BMW_KIND_OBJECT:
		case BMW_KIND_STRINGS:
			set_object(to, DatumGetJsonbP(value));
			break;
		case BMW_KIND_INTEGER:
			to->number = DatumGetInt32(value);
			break;
		case BMW_KIND_TIME:
			to->number = DatumGetTimestampTz(value);
			break;
		case BMW_KIND_ENVELOPE:
		case BMW_KIND_PROVIDER:
		case BMW_KIND_STATUS:
		case BMW_KIND_DIRECTION:
		case BMW_KIND_ADDRESS:
		case BMW_KIND_NAME:
		case BMW_KIND_TEXT:
			to->text = TextDatumGetCString(value);
			break;
	}
	to->is_set = true;
}

/* {"type": "button", "button": ...} */
static void
set_button(BmwMessageValue *content, Jsonb *button)
{
	JsonbParseState *state = NULL;
	JsonbValue type = json_string("type");
	JsonbValue name = json_string("button");
	JsonbValue value;

	JsonbToJsonbValue(button, &value);
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	pushJsonbValue(&state, WJB_KEY, &type);
	pushJsonbValue(&state, WJB_VALUE, &name);
	pushJsonbValue(&state, WJB_KEY, &name);
	pushJsonbValue(&state, WJB_VALUE, &value);
	content->object = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	content->is_set = true;
}

static JsonbValue
json_string(const char *text)
{
	JsonbValue value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, text);
	value.val.string.len = strlen(text);
	return value;
}

static void
set_object(BmwMessageValue *value, Jsonb *object)
{
	JsonbValue scalar;

	value->object = object;
	value->is_json_null = JsonbExtractScalar(&object->root, &scalar) && scalar.type == jbvNull;
}

static void
raise(const BmwEventFault *fault)
{
	if (fault != NULL)
		ereport(ERROR, errcode(fault->sqlstate), errmsg("%s", fault->message),
				errhint("%s", fault->hint));
}

static Datum
emit(BmwMessage *message)
{
	StringInfoData data;

	raise(bmw_message_check(message));
	initStringInfo(&data);
	raise(bmw_message_write(message, &data));

	BmwNewEvent event = {
		.type = message->type->event_type,
		.application = message->values[BMW_FIELD_APPLICATION].text,
		.channel = message->values[BMW_FIELD_CHANNEL].text,
		.message_id = message->values[BMW_FIELD_MESSAGE_ID].text,
		.has_occurred_at = message->values[BMW_FIELD_OCCURRED_AT].is_set,
		.occurred_at = message->values[BMW_FIELD_OCCURRED_AT].number,
		.data = data.data,
	};

	bmw_emit_set_expiry(&event, message->expires_at);
	return bmw_emit_event(&event, message->idempotency_key, what_it_says(message, &data));
}

/* Its data, but for the time of the call: a call that is made again has another one. */
static const char *
what_it_says(const BmwMessage *message, const StringInfoData *data)
{
	BmwMessage timeless = *message;
	StringInfoData says;

	if (message->idempotency_key == NULL || !message->has_time_of_call)
		return data->data;
	timeless.values[BMW_FIELD_OCCURRED_AT].number = 0;
	initStringInfo(&says);
	raise(bmw_message_write(&timeless, &says));
	return says.data;
}

static const BmwMessageType *
outbound_type(const text *event_type)
{
	const char *name = VARDATA_ANY(event_type);
	size_t len = VARSIZE_ANY_EXHDR(event_type);

	for (int i = 0; i < BMW_MESSAGE_TYPES; i++)
		if (bmw_message_types[i].rank > 0 && strlen(bmw_message_types[i].event_type) == len &&
			memcmp(bmw_message_types[i].event_type, name, len) == 0)
			return &bmw_message_types[i];
	return NULL;
}
