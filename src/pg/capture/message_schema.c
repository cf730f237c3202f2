/*
 * pg/capture/message_schema.c - the JSON Schemas of messages, made from the table of fields.
 *
 * What the checks demand, as far as JSON Schema can say it. Objects may get
 * more members in later versions, so none is closed.
 */
#include "pg/capture/message.h"

#include "pg/capture/message_rules.h"
#include "utils/json.h"

static void append_required(StringInfo out, uint32 type);
static void append_field(StringInfo out, const BmwMessageType *type, const BmwMessageField *field);
static void append_description(StringInfo out, const char *description);
static void append_object(StringInfo out, const BmwMember *members, const BmwContentType *variants);
static void append_member(StringInfo out, const BmwMember *member, const BmwContentType *variants);
static int max_length(const BmwMember *member);
static void append_variants(StringInfo out, const BmwContentType *variants);
static void append_party(StringInfo out);

void
bmw_message_write_schema(const BmwMessageType *type, StringInfo out)
{
	const char *separator = "";

	appendStringInfoString(out, "{\"data\": {\"type\": \"object\", \"required\": [");
	append_required(out, BMW_MESSAGE_BIT(type->id));
	appendStringInfoString(out, "], \"properties\": {");
	for (int i = 0; i < BMW_MESSAGE_FIELDS; i++)
	{
		const BmwMessageField *field = &bmw_message_fields[i];

		if (field->key == NULL || !(field->allowed & BMW_MESSAGE_BIT(type->id)))
			continue;
		appendStringInfo(out, "%s\"%s\": ", separator, field->key);
		append_field(out, type, field);
		separator = ", ";
	}
	appendStringInfoString(out, "}}, \"$defs\": {\"party\": ");
	append_party(out);
	appendStringInfoString(out, "}}");
}

static void
append_required(StringInfo out, uint32 type)
{
	const char *separator = "";

	for (int i = 0; i < BMW_MESSAGE_FIELDS; i++)
		if (bmw_message_fields[i].key != NULL && bmw_message_fields[i].needed & type)
		{
			appendStringInfo(out, "%s\"%s\"", separator, bmw_message_fields[i].key);
			separator = ", ";
		}
}

static void
append_field(StringInfo out, const BmwMessageType *type, const BmwMessageField *field)
{
	appendStringInfoChar(out, '{');
	switch (field->kind)
	{
		case BMW_KIND_STATUS:
			appendStringInfo(out, "\"const\": \"%s\"", type->name);
			break;
		case BMW_KIND_DIRECTION:
			appendStringInfo(out, "\"const\": \"%s\"", bmw_message_direction(type));
			break;
		case BMW_KIND_TIME:
			appendStringInfoString(out, "\"type\": \"string\", \"format\": \"date-time\"");
			break;
		case BMW_KIND_ADDRESS:
			appendStringInfoString(out, "\"$ref\": \"#/$defs/party\"");
			break;
		case BMW_KIND_NAME:
		case BMW_KIND_TEXT:
			appendStringInfo(out, "\"type\": \"string\", \"minLength\": 1, \"maxLength\": %d",
							 field->max);
			break;
		case BMW_KIND_INTEGER:
			appendStringInfoString(out, "\"type\": \"integer\", \"minimum\": 1");
			break;
		case BMW_KIND_OBJECT:
			append_object(out, field->members, field->variants);
			break;
		case BMW_KIND_STRINGS:
			appendStringInfo(out,
							 "\"type\": \"object\", \"maxProperties\": %d,"
							 " \"additionalProperties\": {\"type\": \"string\"}",
							 BMW_METADATA_MAX_KEYS);
			break;
		case BMW_KIND_ENVELOPE:
		case BMW_KIND_PROVIDER:
			break;
	}
	append_description(out, field->description);
	appendStringInfoChar(out, '}');
}

static void
append_description(StringInfo out, const char *description)
{
	if (description != NULL)
		appendStringInfo(out, ", \"description\": \"%s\"", description);
}

/* The members of a schema, without its braces. */
static void
append_object(StringInfo out, const BmwMember *members, const BmwContentType *variants)
{
	const char *separator = "";

	appendStringInfoString(out, "\"type\": \"object\"");
	if (members == NULL)
		return;
	appendStringInfoString(out, ", \"required\": [");
	for (const BmwMember *member = members; member->name != NULL; member++)
		if (member->is_needed)
		{
			appendStringInfo(out, "%s\"%s\"", separator, member->name);
			separator = ", ";
		}
	appendStringInfoString(out, "], \"properties\": {");
	separator = "";
	for (const BmwMember *member = members; member->name != NULL; member++)
	{
		appendStringInfo(out, "%s\"%s\": {", separator, member->name);
		append_member(out, member, strcmp(member->name, "type") == 0 ? variants : NULL);
		appendStringInfoChar(out, '}');
		separator = ", ";
	}
	appendStringInfoChar(out, '}');
}

static void
append_member(StringInfo out, const BmwMember *member, const BmwContentType *variants)
{
	if (variants != NULL)
		append_variants(out, variants);
	else if (member->type == jbvString)
		appendStringInfo(out, "\"type\": \"string\", \"minLength\": 1, \"maxLength\": %d",
						 max_length(member));
	else if (member->type == jbvNumeric)
		appendStringInfo(out, "\"type\": \"%s\"", member->is_whole ? "integer" : "number");
	else if (member->type == jbvBool)
		appendStringInfoString(out, "\"type\": \"boolean\"");
	else if (member->type == jbvArray)
	{
		appendStringInfo(out,
						 "\"type\": \"array\", \"minItems\": 1, \"maxItems\": %d, \"items\": {",
						 BMW_ARRAY_MAX);
		append_object(out, member->members, NULL);
		appendStringInfoChar(out, '}');
	}
	else
		append_object(out, member->members, NULL);
	if (member->rule != NULL && member->rule->pattern != NULL)
		appendStringInfo(out, ", \"pattern\": \"%s\"", member->rule->pattern);
	if (member->schema != NULL)
		appendStringInfo(out, ", %s", member->schema);
}

static int
max_length(const BmwMember *member)
{
	return member->rule != NULL && member->rule->max_length > 0 ? member->rule->max_length
																: BMW_STRING_MAX;
}

static void
append_variants(StringInfo out, const BmwContentType *variants)
{
	appendStringInfoString(out, "\"enum\": [");
	for (const BmwContentType *variant = variants; variant->name != NULL; variant++)
		appendStringInfo(out, "%s\"%s\"", variant == variants ? "" : ", ", variant->name);
	appendStringInfoChar(out, ']');
}

static void
append_party(StringInfo out)
{
	appendStringInfo(
		out,
		"{\"type\": \"object\", \"required\": [\"address\"], \"properties\": {\"address\":"
		" {\"type\": \"string\", \"maxLength\": %d, \"pattern\": \"%s\","
		" \"description\": \"a phone number in E.164, a short code, or the id of an agent\"}, \"name\": ",
		BMW_ADDRESS_MAX, bmw_message_address_pattern);
	append_field(out, &bmw_message_types[0], &bmw_message_fields[BMW_FIELD_SENDER_NAME]);
	appendStringInfoString(out, "}}");
}
