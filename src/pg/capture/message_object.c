/*
 * pg/capture/message_object.c - is this a valid object of a message?
 *
 * Its members are those of the field's table, each of its type, and what the
 * rules say. Nothing here raises an error, as in message_check.c.
 */
#include "pg/capture/message_object.h"

#include "mb/pg_wchar.h"

static const BmwEventFault *check_short_form(const BmwMessageField *field, const char *text);
static const BmwMember *find_member(const BmwMember *members, const char *name, size_t len);
static const BmwEventFault *check_members(const char *path, JsonbContainer *object,
										  const BmwMember *members, const char *hint);
static const BmwEventFault *check_needed(const char *path, JsonbContainer *object,
										 const BmwMember *members, const char *hint);
static const BmwEventFault *check_member(const char *path, const BmwMember *member,
										 const JsonbValue *value, const char *hint);
static bool has_type(const JsonbValue *value, enum jbvType type);
static const char *type_name(enum jbvType type);
static const BmwEventFault *check_string(const char *path, const BmwMember *member,
										 const char *text, int len, const char *hint);
static const BmwEventFault *check_array(const char *path, const BmwMember *member,
										JsonbContainer *array, const char *hint);
static const BmwEventFault *check_variant(const BmwMessageField *field, JsonbContainer *object);
static const char *variants_hint(const BmwContentType *variants);

const BmwEventFault *
bmw_message_object_check(const BmwMessage *message, const BmwMessageField *field)
{
	const BmwMessageValue *value = &message->values[field->id];

	if (value->text != NULL)
		return check_short_form(field, value->text);
	if (!JB_ROOT_IS_OBJECT(value->object))
		return bmw_message_fault(ERRCODE_INVALID_PARAMETER_VALUE, field->hint,
								 "\"%s\" must be an object", field->name);

	const BmwEventFault *fault =
		check_members(field->name, &value->object->root, field->members, field->hint);

	return fault == NULL && field->variants != NULL ? check_variant(field, &value->object->root)
													: fault;
}

static const BmwEventFault *
check_short_form(const BmwMessageField *field, const char *text)
{
	JsonbValue value = {.type = jbvString,
						.val.string = {.len = strlen(text), .val = unconstify(char *, text)}};

	return check_member(field->name,
						find_member(field->members, field->short_form, strlen(field->short_form)),
						&value, field->hint);
}

static const BmwMember *
find_member(const BmwMember *members, const char *name, size_t len)
{
	for (; members->name != NULL; members++)
		if (strlen(members->name) == len && memcmp(members->name, name, len) == 0)
			return members;
	return NULL;
}

static const BmwEventFault *
check_members(const char *path, JsonbContainer *object, const BmwMember *members, const char *hint)
{
	const BmwEventFault *fault = check_needed(path, object, members, hint);
	JsonbIterator *it = JsonbIteratorInit(object);
	JsonbValue name, value;
	JsonbIteratorToken token = JsonbIteratorNext(&it, &name, true);

	while (fault == NULL && (token = JsonbIteratorNext(&it, &name, true)) == WJB_KEY)
	{
		const BmwMember *member = find_member(members, name.val.string.val, name.val.string.len);

		JsonbIteratorNext(&it, &value, true);
		if (member == NULL)
			return bmw_message_fault(
				ERRCODE_INVALID_PARAMETER_VALUE, hint, "\"%s\" has an unknown field \"%s\"", path,
				pnstrdup(name.val.string.val,
						 pg_mbcliplen(name.val.string.val, name.val.string.len, 64)));
		fault = check_member(path, member, &value, hint);
	}
	return fault;
}

static const BmwEventFault *
check_needed(const char *path, JsonbContainer *object, const BmwMember *members, const char *hint)
{
	JsonbValue value;

	for (; members->name != NULL; members++)
		if (members->is_needed && getKeyJsonValueFromContainer(
									  object, members->name, strlen(members->name), &value) == NULL)
			return bmw_message_fault(ERRCODE_INVALID_PARAMETER_VALUE, hint,
									 "\"%s\" has no field \"%s\"", path, members->name);
	return NULL;
}

static const BmwEventFault *
check_member(const char *path, const BmwMember *member, const JsonbValue *value, const char *hint)
{
	const BmwEventFault *fault = NULL;

	if (!has_type(value, member->type))
		return bmw_message_fault(ERRCODE_INVALID_PARAMETER_VALUE, hint,
								 "field \"%s\" of \"%s\" must be of type %s", member->name, path,
								 type_name(member->type));
	if (member->type == jbvString)
		fault = check_string(path, member, value->val.string.val, value->val.string.len, hint);
	if (fault == NULL && member->rule != NULL && !member->rule->holds(value))
		return bmw_message_fault(
			ERRCODE_INVALID_PARAMETER_VALUE, member->rule->hint != NULL ? member->rule->hint : hint,
			"\"%s\" of \"%s\" %s", member->name, path, member->rule->complaint);
	if (member->members == NULL)
		return fault;
	path = psprintf("%s.%s", path, member->name);
	return member->type == jbvArray
			   ? check_array(path, member, value->val.binary.data, hint)
			   : check_members(path, value->val.binary.data, member->members, hint);
}

static bool
has_type(const JsonbValue *value, enum jbvType type)
{
	if (type == jbvObject)
		return value->type == jbvBinary && JsonContainerIsObject(value->val.binary.data);
	if (type == jbvArray)
		return value->type == jbvBinary && JsonContainerIsArray(value->val.binary.data);
	return value->type == type;
}

static const char *
type_name(enum jbvType type)
{
	return type == jbvString	? "string"
		   : type == jbvNumeric ? "number"
		   : type == jbvBool	? "boolean"
		   : type == jbvArray	? "array"
								: "object";
}

static const BmwEventFault *
check_string(const char *path, const BmwMember *member, const char *text, int len, const char *hint)
{
	if (len > 0 && (len <= BMW_STRING_MAX || pg_mbstrlen_with_len(text, len) <= BMW_STRING_MAX))
		return NULL;
	return bmw_message_fault(
		len == 0 ? ERRCODE_INVALID_PARAMETER_VALUE : ERRCODE_PROGRAM_LIMIT_EXCEEDED, hint,
		"field \"%s\" of \"%s\" must have 1 to %d characters", member->name, path, BMW_STRING_MAX);
}

static const BmwEventFault *
check_array(const char *path, const BmwMember *member, JsonbContainer *array, const char *hint)
{
	const BmwEventFault *fault = NULL;
	int length = JsonContainerSize(array);

	if (length < 1 || length > BMW_ARRAY_MAX)
		return bmw_message_fault(ERRCODE_INVALID_PARAMETER_VALUE, hint,
								 "\"%s\" must have 1 to %d elements", path, BMW_ARRAY_MAX);
	for (int i = 0; i < length && fault == NULL; i++)
	{
		JsonbValue *element = getIthJsonbValueFromContainer(array, i);

		if (!has_type(element, jbvObject))
			return bmw_message_fault(ERRCODE_INVALID_PARAMETER_VALUE, hint,
									 "\"%s\" must be an object", path);
		fault = check_members(path, element->val.binary.data, member->members, hint);
	}
	return fault;
}

static const BmwEventFault *
check_variant(const BmwMessageField *field, JsonbContainer *object)
{
	const BmwContentType *variant = field->variants;
	JsonbValue value;

	getKeyJsonValueFromContainer(object, "type", strlen("type"), &value);

	const char *type = pnstrdup(value.val.string.val, value.val.string.len);

	while (variant->name != NULL && strcmp(variant->name, type) != 0)
		variant++;
	if (variant->name == NULL)
		return bmw_message_fault(ERRCODE_INVALID_PARAMETER_VALUE, variants_hint(field->variants),
								 "unknown type \"%.*s\" of \"%s\"",
								 pg_mbcliplen(type, strlen(type), 64), type, field->name);
	if (variant->needs == NULL ||
		getKeyJsonValueFromContainer(object, variant->needs, strlen(variant->needs), &value) !=
			NULL)
		return NULL;
	return bmw_message_fault(ERRCODE_INVALID_PARAMETER_VALUE, field->hint,
							 "\"%s\" of type \"%s\" has no field \"%s\"", field->name, type,
							 variant->needs);
}

static const char *
variants_hint(const BmwContentType *variants)
{
	StringInfoData hint;

	initStringInfo(&hint);
	for (const BmwContentType *variant = variants; variant->name != NULL; variant++)
		appendStringInfo(&hint, "%s%s", variant == variants ? "Use one of " : ", ", variant->name);
	appendStringInfoChar(&hint, '.');
	return hint.data;
}
