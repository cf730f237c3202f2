/*
 * pg/capture/message_map.c - a row of a watched table of messages becomes a message.
 *
 * Columns of the common types are read directly, others by the output function
 * of their type and never by a cast: that may be a function of the type's
 * owner. An empty text counts as none.
 */
#include "pg/capture/message_map.h"

#include "catalog/pg_type.h"
#include "core/template.h"
#include "pg/capture/plan.h"
#include "pg/capture/message_rules.h"
#include "pg/capture/status_map.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"

/* How a column is read. */
typedef enum Reader
{
	READ_NOTHING,
	READ_TEXT,	 /* text, and what is written as text is */
	READ_OUTPUT, /* of the type */
	READ_INTEGER,
	READ_JSONB,
	READ_JSON,
} Reader;

typedef struct Source
{
	const BmwMessageField *field;
	const char *constant; /* NULL: a column */
	int index;			  /* of the column, from 0 */
	Oid type;			  /* under domains */
	Reader reader;
	FmgrInfo output;
} Source;

struct BmwMessageMap
{
	const BmwMessageType *inbound_type; /* NULL: outbound, by the status */
	bool has_foreign_types;				/* whose output functions may do anything */
	bool has_json;
	int length;
	Source sources[BMW_MESSAGE_FIELDS];
};

static void forget_others(BmwMessage *message);
static Source compile(const BmwMessageField *field, const char *text, Relation relation,
					  TupleDesc desc);
static void compile_constant(Source *source, const char *text);
static void compile_column(Source *source, const char *name, Relation relation, TupleDesc desc);
static int find_column(const char *field, const char *name, Relation relation, TupleDesc desc);
static Reader choose_reader(const BmwMessageField *field, Oid type);
static bool is_text(Oid type);
static bool is_integer(Oid type);
static const char *type_hint(const BmwMessageField *field);
static void read_source(Source *source, TupleTableSlot *slot, BmwMessageValue *value);
static const char *read_text(Source *source, Datum datum);
static int64 read_integer(const Source *source, Datum datum);
static Jsonb *read_jsonb(const Source *source, Datum datum);
static void set_text(BmwMessageValue *value, const char *text);
static const BmwEventFault *find_type(const BmwMessageMap *map, const BmwMessage *message,
									  BmwNewEvent *event, const BmwMessageType **type);

BmwMessageMap *
bmw_message_map_create(const char *direction, const char *const *mapping, Relation relation,
					   TupleDesc desc)
{
	BmwMessageMap *map = palloc0(sizeof(BmwMessageMap));

	if (strcmp(direction, "inbound") == 0)
		map->inbound_type = &bmw_message_types[BMW_MESSAGE_RECEIVED];
	else if (strcmp(direction, "outbound") != 0)
		ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("unknown direction \"%s\" of a capture trigger", direction),
				errhint("Use bm_webhook.watch_messages() or watch_replies()."));
	for (int i = 0; i < BMW_MESSAGE_FIELDS; i++)
	{
		if (mapping[i] == NULL)
			continue;

		Source *source = &map->sources[map->length++];

		*source = compile(&bmw_message_fields[i], mapping[i], relation, desc);
		map->has_json |= source->reader == READ_JSON;
		map->has_foreign_types |=
			source->reader == READ_OUTPUT && source->output.fn_oid >= FirstNormalObjectId;
	}
	return map;
}

bool
bmw_message_map_can_raise(const BmwMessageMap *map, TupleTableSlot *slot)
{
	if (map->has_foreign_types || !map->has_json)
		return map->has_foreign_types;
	for (int i = 0; i < map->length; i++)
	{
		const Source *source = &map->sources[i];

		if (source->reader != READ_JSON || slot->tts_isnull[source->index])
			continue;

		text *json = DatumGetTextPP(slot->tts_values[source->index]);

		if (!bmw_rule_is_plain_json(VARDATA_ANY(json), VARSIZE_ANY_EXHDR(json)))
			return true;
	}
	return false;
}

bool
bmw_message_map_is_without_status(const BmwMessageMap *map, TupleTableSlot *slot)
{
	for (int i = 0; i < map->length; i++)
		if (map->sources[i].field->id == BMW_FIELD_STATUS && map->sources[i].constant == NULL)
			return slot->tts_isnull[map->sources[i].index];
	return false;
}

const BmwEventFault *
bmw_message_map_read(BmwMessageMap *map, TupleTableSlot *slot, BmwNewEvent *event)
{
	BmwMessage message = {0};
	StringInfoData data;

	for (int i = 0; i < map->length; i++)
		read_source(&map->sources[i], slot, &message.values[map->sources[i].field->id]);
	set_text(&message.values[BMW_FIELD_CHANNEL], event->channel);
	set_text(&message.values[BMW_FIELD_MESSAGE_ID], event->message_id);
	if (!event->has_occurred_at)
		event->occurred_at = GetCurrentTimestamp();
	event->has_occurred_at = true;
	message.values[BMW_FIELD_OCCURRED_AT] =
		(BmwMessageValue){.is_set = true, .number = event->occurred_at};

	const BmwEventFault *fault = find_type(map, &message, event, &message.type);

	if (fault != NULL)
		return fault;
	forget_others(&message);
	fault = bmw_message_check(&message);
	if (fault != NULL)
		return fault;
	initStringInfo(&data);
	fault = bmw_message_write(&message, &data);
	event->data = data.data;
	return fault;
}

/* What other types have, such as the error of an earlier status. */
static void
forget_others(BmwMessage *message)
{
	for (int i = 0; i < BMW_MESSAGE_FIELDS; i++)
		if (!(bmw_message_fields[i].allowed & BMW_MESSAGE_BIT(message->type->id)))
			message->values[i].is_set = false;
}

static Source
compile(const BmwMessageField *field, const char *text, Relation relation, TupleDesc desc)
{
	Source source = {.field = field};
	BmwTemplate parsed;
	BmwStatus status = bmw_template_parse(text, &parsed);
	bool is_single = status == BMW_OK && parsed.length == 1;
	bool is_column = is_single && parsed.parts[0].is_column;
	const char *part = is_single ? pstrdup(parsed.parts[0].text) : NULL;

	if (status == BMW_OK)
		bmw_template_free(&parsed);
	if (is_column)
		compile_column(&source, part, relation, desc);
	else if (is_single && field->may_be_constant)
		compile_constant(&source, part);
	else
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg(field->may_be_constant ? "\"%s\" must be a column or a constant"
											  : "\"%s\" must be a column",
					   field->name),
				errhint("Write it as %s => '{column}'.", field->name));
	return source;
}

static void
compile_constant(Source *source, const char *text)
{
	BmwMessage message = {.type = &bmw_message_types[BMW_MESSAGE_SENT]};

	set_text(&message.values[source->field->id], text);
	source->constant = text;

	const BmwEventFault *fault = bmw_message_check_value(&message, source->field);

	if (fault != NULL)
		ereport(ERROR, errcode(fault->sqlstate), errmsg("%s", fault->message),
				errhint("%s", fault->hint));
}

static void
compile_column(Source *source, const char *name, Relation relation, TupleDesc desc)
{
	Oid output;
	bool is_varlena;

	source->index = find_column(source->field->name, name, relation, desc);
	source->type = getBaseType(TupleDescAttr(desc, source->index)->atttypid);
	source->reader = choose_reader(source->field, source->type);
	if (source->reader == READ_NOTHING)
		ereport(ERROR, errcode(ERRCODE_DATATYPE_MISMATCH),
				errmsg("\"%s\": column \"%s\" has type %s", source->field->name, name,
					   format_type_be(source->type)),
				errhint("%s Or leave it out: omit => '{%s}'.", type_hint(source->field), name));
	getTypeOutputInfo(source->type, &output, &is_varlena);
	fmgr_info_cxt(output, &source->output, CurrentMemoryContext);
	if (source->reader == READ_OUTPUT &&
		(source->output.fn_addr == textout || source->output.fn_addr == varcharout))
		source->reader = READ_TEXT;
}

const char *
bmw_message_map_relation_name(Relation relation)
{
	return quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)),
									  RelationGetRelationName(relation));
}

/* bmw_capture_column() with the name of the field in the error. */
static int
find_column(const char *field, const char *name, Relation relation, TupleDesc desc)
{
	for (int i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped &&
			strcmp(NameStr(TupleDescAttr(desc, i)->attname), name) == 0)
			return bmw_capture_column(relation, desc, name);
	ereport(ERROR, errcode(ERRCODE_UNDEFINED_COLUMN),
			errmsg("\"%s\": column \"%s\" of relation \"%s\" does not exist", field, name,
				   bmw_message_map_relation_name(relation)),
			errhint("Name a column of the relation: %s => '{column}'.", field));
}

static Reader
choose_reader(const BmwMessageField *field, Oid type)
{
	bool is_object = field->kind == BMW_KIND_OBJECT || field->kind == BMW_KIND_STRINGS;

	if (is_object && (type == JSONBOID || type == JSONOID))
		return type == JSONBOID ? READ_JSONB : READ_JSON;
	if (field->kind == BMW_KIND_INTEGER)
		return is_integer(type) ? READ_INTEGER : READ_NOTHING;
	if (is_object && field->short_form == NULL)
		return READ_NOTHING;
	/* a number is an id, and not what somebody has written */
	if (is_integer(type) && field->variants == NULL)
		return READ_OUTPUT;
	return is_text(type) ? READ_OUTPUT : READ_NOTHING;
}

static bool
is_text(Oid type)
{
	char category;
	bool is_preferred;

	get_type_category_preferred(type, &category, &is_preferred);
	return category == TYPCATEGORY_STRING || type_is_enum(type) || type == UUIDOID;
}

static bool
is_integer(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

static const char *
type_hint(const BmwMessageField *field)
{
	if (field->kind == BMW_KIND_INTEGER)
		return "Use a column of an integer type.";
	if (field->short_form != NULL)
		return "Use a column of type jsonb, json or text.";
	if (field->kind == BMW_KIND_OBJECT || field->kind == BMW_KIND_STRINGS)
		return "Use a column of type jsonb or json; it may be a generated one, made by jsonb_object().";
	return "Use a column of a text, enum, integer or uuid type.";
}

static void
read_source(Source *source, TupleTableSlot *slot, BmwMessageValue *value)
{
	if (source->constant != NULL)
	{
		set_text(value, source->constant);
		return;
	}
	if (slot->tts_isnull[source->index])
		return;

	Datum datum = slot->tts_values[source->index];
	JsonbValue scalar;

	switch (source->reader)
	{
		case READ_TEXT:
		case READ_OUTPUT:
			set_text(value, read_text(source, datum));
			return;
		case READ_INTEGER:
			*value = (BmwMessageValue){.is_set = true, .number = read_integer(source, datum)};
			return;
		case READ_JSONB:
		case READ_JSON:
			*value = (BmwMessageValue){.is_set = true, .object = read_jsonb(source, datum)};
			value->is_json_null =
				JsonbExtractScalar(&value->object->root, &scalar) && scalar.type == jbvNull;
			return;
		case READ_NOTHING:
			return;
	}
}

static const char *
read_text(Source *source, Datum datum)
{
	if (source->reader == READ_TEXT)
		return TextDatumGetCString(datum);

	char *text = OutputFunctionCall(&source->output, datum);

	/* char(n) is padded; a cast to text would drop the blanks as well */
	if (source->type == BPCHAROID)
		text[bpchartruelen(text, strlen(text))] = '\0';
	return text;
}

static int64
read_integer(const Source *source, Datum datum)
{
	return source->type == INT2OID	 ? DatumGetInt16(datum)
		   : source->type == INT4OID ? DatumGetInt32(datum)
									 : DatumGetInt64(datum);
}

static Jsonb *
read_jsonb(const Source *source, Datum datum)
{
	if (source->reader == READ_JSON)
		datum = DirectFunctionCall1(jsonb_in, CStringGetDatum(TextDatumGetCString(datum)));
	return DatumGetJsonbP(datum);
}

static void
set_text(BmwMessageValue *value, const char *text)
{
	*value = (BmwMessageValue){.is_set = text != NULL && text[0] != '\0', .text = text};
}

static const BmwEventFault *
find_type(const BmwMessageMap *map, const BmwMessage *message, BmwNewEvent *event,
		  const BmwMessageType **type)
{
	const char *provider = message->values[BMW_FIELD_PROVIDER].is_set
							   ? message->values[BMW_FIELD_PROVIDER].text
							   : NULL;
	const char *status =
		message->values[BMW_FIELD_STATUS].is_set ? message->values[BMW_FIELD_STATUS].text : NULL;
	const BmwEventFault *fault = NULL;

	*type = map->inbound_type;
	if (*type == NULL)
		fault = bmw_status_map_find(provider, status, type);
	if (*type != NULL)
		event->type = (*type)->event_type;
	else
		event->type = provider == NULL && status != NULL
						  ? psprintf(BMW_MESSAGE_TYPE_PREFIX "%s", status)
						  : NULL;
	return fault;
}
