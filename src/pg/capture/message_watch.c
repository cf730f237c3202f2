/*
 * pg/capture/message_watch.c - the mapping of watch_messages() and watch_replies().
 *
 * Turns what the user has given into the arguments of a capture trigger: a
 * field that was not given comes from the column of its own name. That the
 * columns exist and fit is judged like the arguments of any capture trigger.
 */
#include "pg/capture/message_map.h"

#include "access/relation.h"
#include "access/sysattr.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "core/template.h"
#include "fmgr.h"
#include "pg/server/compat.h"
#include "pg/capture/status_map.h"
#include "pg/sql/refuse.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(bm_webhook_message_arguments);

/* Texts that may be NULL. */
typedef struct Texts
{
	const char **values;
	int length;
} Texts;

static Texts read_texts(ArrayType *array);
static void check_omitted(Relation relation, const Texts *omit);
static bool has_column(Relation relation, const char *name);
static bool is_omitted(const Texts *omit, const char *name);
static const BmwMessageField *require_field(const char *name);
static const char *map_field(Relation relation, const BmwMessageField *field, uint32 direction,
							 const char *given, const Texts *omit);
pg_noreturn static void refuse_missing(Relation relation, const BmwMessageField *field);
static const char *default_column(Relation relation, const BmwMessageField *field,
								  const Texts *omit);
static const char *primary_key(Relation relation);
static bool is_needed(const BmwMessageField *field, uint32 direction);
static void check_columns(Relation relation, const BmwMessageField *field, const char *given,
						  const Texts *omit);
static void check_provider(const char *given);

/*
 * message_arguments(relation regclass, direction text, omit text[], mapping text[]):
 * the arguments of a capture trigger. mapping: names of fields, each followed by
 * what was given for it, or NULL.
 */
Datum
bm_webhook_message_arguments(PG_FUNCTION_ARGS)
{
	Relation relation = relation_open(PG_GETARG_OID(0), AccessShareLock);
	const char *direction = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Texts omit = read_texts(PG_GETARG_ARRAYTYPE_P(2));
	Texts mapping = read_texts(PG_GETARG_ARRAYTYPE_P(3));
	uint32 types = strcmp(direction, "inbound") == 0 ? BMW_MESSAGE_INBOUND : BMW_MESSAGE_OUTBOUND;
	Datum *arguments = palloc(sizeof(Datum) * (mapping.length + 1));
	ErrorContextCallback *context = bmw_refuse_without_context();
	int length = 0;

	check_omitted(relation, &omit);
	arguments[length++] = CStringGetTextDatum(psprintf("message=%s", direction));
	for (int i = 0; i + 1 < mapping.length; i += 2)
	{
		const BmwMessageField *field = require_field(mapping.values[i]);
		const char *value = map_field(relation, field, types, mapping.values[i + 1], &omit);

		if (value != NULL)
			arguments[length++] = CStringGetTextDatum(psprintf("%s=%s", field->name, value));
	}
	relation_close(relation, NoLock);
	error_context_stack = context;
	PG_RETURN_ARRAYTYPE_P(construct_array(arguments, length, TEXTOID, -1, false, TYPALIGN_INT));
}

static Texts
read_texts(ArrayType *array)
{
	Texts texts;
	Datum *elements;
	bool *nulls;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &texts.length);
	texts.values = palloc(sizeof(char *) * Max(texts.length, 1));
	for (int i = 0; i < texts.length; i++)
		texts.values[i] = nulls[i] ? NULL : TextDatumGetCString(elements[i]);
	return texts;
}

static void
check_omitted(Relation relation, const Texts *omit)
{
	for (int i = 0; i < omit->length; i++)
		if (omit->values[i] == NULL || !has_column(relation, omit->values[i]))
			ereport(ERROR, errcode(ERRCODE_UNDEFINED_COLUMN),
					errmsg("\"omit\": column \"%s\" of relation \"%s\" does not exist",
						   omit->values[i] == NULL ? "NULL" : omit->values[i],
						   bmw_message_map_relation_name(relation)),
					errhint("List columns of the relation in \"omit\"."));
}

static bool
has_column(Relation relation, const char *name)
{
	return get_attnum(RelationGetRelid(relation), name) > 0;
}

static bool
is_omitted(const Texts *omit, const char *name)
{
	for (int i = 0; i < omit->length; i++)
		if (strcmp(omit->values[i], name) == 0)
			return true;
	return false;
}

static const BmwMessageField *
require_field(const char *name)
{
	const BmwMessageField *field = name == NULL ? NULL : bmw_message_field_find(name);

	if (field == NULL)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("a message has no field \"%s\"", name == NULL ? "NULL" : name),
				errhint("Use bm_webhook.watch_messages() or watch_replies()."));
	return field;
}

static const char *
map_field(Relation relation, const BmwMessageField *field, uint32 direction, const char *given,
		  const Texts *omit)
{
	const char *column;

	if (given != NULL)
	{
		check_columns(relation, field, given, omit);
		return given;
	}
	column = default_column(relation, field, omit);
	if (column != NULL)
		return psprintf("{%s}", column);
	if (is_needed(field, direction))
		refuse_missing(relation, field);
	return NULL;
}

static void
refuse_missing(Relation relation, const BmwMessageField *field)
{
	if (field->id == BMW_FIELD_MESSAGE_ID)
		ereport(ERROR, errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				errmsg("\"message_id\" is needed: relation \"%s\" has no primary key of one column",
					   bmw_message_map_relation_name(relation)),
				errhint("Say what identifies a message: message_id => '{column}'."));
	ereport(ERROR, errcode(ERRCODE_UNDEFINED_COLUMN),
			errmsg("\"%s\" is needed: relation \"%s\" has no such column", field->name,
				   bmw_message_map_relation_name(relation)),
			errhint("Name one: %s => '{column}'.", field->name));
}

static const char *
default_column(Relation relation, const BmwMessageField *field, const Texts *omit)
{
	if (has_column(relation, field->name) && !is_omitted(omit, field->name))
		return field->name;
	return field->id == BMW_FIELD_MESSAGE_ID ? primary_key(relation) : NULL;
}

/* NULL when it has not one column. */
static const char *
primary_key(Relation relation)
{
	Oid constraint;
	Bitmapset *columns = get_primary_key_attnos(RelationGetRelid(relation), true, &constraint);
	int column;

	if (!bms_get_singleton_member(columns, &column))
		return NULL;
	return get_attname(RelationGetRelid(relation), column + FirstLowInvalidHeapAttributeNumber,
					   false);
}

/* The time is now when there is none. */
static bool
is_needed(const BmwMessageField *field, uint32 direction)
{
	return field->kind != BMW_KIND_TIME && bmw_message_always_needs(field, direction);
}

static void
check_columns(Relation relation, const BmwMessageField *field, const char *given, const Texts *omit)
{
	BmwTemplate parsed;

	if (field->id == BMW_FIELD_PROVIDER)
		check_provider(given);
	/* what cannot be parsed is refused when the trigger's arguments are checked */
	if (bmw_template_parse(given, &parsed) != BMW_OK)
		return;

	const char *missing = NULL, *omitted = NULL;

	for (int i = 0; i < parsed.length; i++)
	{
		if (!parsed.parts[i].is_column)
			continue;
		if (missing == NULL && !has_column(relation, parsed.parts[i].text))
			missing = pstrdup(parsed.parts[i].text);
		if (omitted == NULL && is_omitted(omit, parsed.parts[i].text))
			omitted = pstrdup(parsed.parts[i].text);
	}
	bmw_template_free(&parsed);
	if (missing != NULL)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_COLUMN),
				errmsg("\"%s\": column \"%s\" of relation \"%s\" does not exist", field->name,
					   missing, bmw_message_map_relation_name(relation)),
				errhint("Name a column of the relation: %s => '{column}'.", field->name));
	if (omitted != NULL)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("\"%s\": column \"%s\" is in \"omit\"", field->name, omitted),
				errhint("What is left out cannot be sent as well."));
}

/* A constant one has to be known already. */
static void
check_provider(const char *given)
{
	const BmwEventFault *fault =
		strpbrk(given, "{}") != NULL ? NULL : bmw_status_map_check_provider(given);

	if (fault != NULL)
		ereport(ERROR, errcode(fault->sqlstate), errmsg("%s", fault->message),
				errhint("%s", fault->hint));
}
