/*
 * pg/capture/message_fields.c - the table of what the events of messages hold.
 *
 * A new field is a line here, and an argument of the SQL functions that take
 * it: check, JSON and schema follow. Members of objects are in the order that
 * jsonb has, shorter names first, so that errors come in one order.
 */
#include "pg/capture/message.h"

#include "pg/capture/message_rules.h"

#define TYPE(id, name, rank)                                                                       \
	{                                                                                              \
		BMW_MESSAGE_##id, BMW_MESSAGE_TYPE_PREFIX name, name, rank                                 \
	}

const BmwMessageType bmw_message_types[BMW_MESSAGE_TYPES] = {
	TYPE(ACCEPTED, "accepted", 1), TYPE(SENT, "sent", 2),		  TYPE(CANCELED, "canceled", 3),
	TYPE(EXPIRED, "expired", 4),   TYPE(FAILED, "failed", 5),	  TYPE(DELIVERED, "delivered", 6),
	TYPE(READ, "read", 7),		   TYPE(RECEIVED, "received", 0), TYPE(CLICKED, "clicked", 0),
};

static const BmwMember button_members[] = {
	{.name = "id", .type = jbvString, .is_needed = true},
	{.name = "text", .type = jbvString},
	{NULL},
};

static const BmwMember location_members[] = {
	{.name = "name", .type = jbvString},
	{.name = "latitude",
	 .type = jbvNumeric,
	 .is_needed = true,
	 .rule = &bmw_rule_latitude,
	 .schema = "\"minimum\": -90, \"maximum\": 90"},
	{.name = "longitude",
	 .type = jbvNumeric,
	 .is_needed = true,
	 .rule = &bmw_rule_longitude,
	 .schema = "\"minimum\": -180, \"maximum\": 180"},
	{NULL},
};

static const BmwMember media_members[] = {
	{.name = "url", .type = jbvString, .is_needed = true, .rule = &bmw_rule_url},
	{.name = "size",
	 .type = jbvNumeric,
	 .is_whole = true,
	 .rule = &bmw_rule_bytes,
	 .schema = "\"minimum\": 0"},
	{.name = "sha256", .type = jbvString},
	{.name = "caption", .type = jbvString},
	{.name = "mime_type", .type = jbvString, .is_needed = true, .rule = &bmw_rule_media_type},
	{NULL},
};

static const BmwMember content_members[] = {
	{.name = "text", .type = jbvString},
	{.name = "type", .type = jbvString, .is_needed = true},
	{.name = "media", .type = jbvArray, .members = media_members},
	{.name = "button", .type = jbvObject, .members = button_members},
	{.name = "contact", .type = jbvObject},
	{.name = "location", .type = jbvObject, .members = location_members},
	{NULL},
};

static const BmwContentType content_types[] = {
	{"text", "text"},	   {"image", "media"},
	{"video", "media"},	   {"audio", "media"},
	{"document", "media"}, {"location", "location"},
	{"button", "button"},  {"contact", NULL},
	{"sticker", "media"},  {NULL},
};

static const BmwMember context_members[] = {
	{.name = "message_id", .type = jbvString, .is_needed = true, .rule = &bmw_rule_message_id},
	{.name = "provider_message_id", .type = jbvString},
	{NULL},
};

static const BmwMember price_members[] = {
	{.name = "amount", .type = jbvString, .is_needed = true, .rule = &bmw_rule_amount},
	{.name = "billable", .type = jbvBool},
	{.name = "category", .type = jbvString},
	{.name = "currency", .type = jbvString, .is_needed = true, .rule = &bmw_rule_currency},
	{NULL},
};

static const BmwMember error_members[] = {
	{.name = "code", .type = jbvString, .is_needed = true},
	{.name = "title", .type = jbvString, .is_needed = true},
	{.name = "detail", .type = jbvString},
	{.name = "permanent",
	 .type = jbvBool,
	 .is_needed = true,
	 .schema = "\"description\": \"trying again is of no use\""},
	{.name = "provider_code", .type = jbvString},
	{NULL},
};

#define ALL BMW_MESSAGE_ALL
#define OUTBOUND BMW_MESSAGE_OUTBOUND
#define INBOUND BMW_MESSAGE_INBOUND
#define FAILURE BMW_MESSAGE_FAILURE
#define RECEIVED BMW_MESSAGE_BIT(BMW_MESSAGE_RECEIVED)

#define TEXT_HINT                                                                                  \
	"It is 1 to 256 characters without control characters; leave it out where there is none."
#define ADDRESS_HINT                                                                               \
	"Write a phone number as in E.164, +33123456789; an agent id or sender name has a letter, a short code 3 to 8 digits."

/* clang-format off */
const BmwMessageField bmw_message_fields[BMW_MESSAGE_FIELDS] = {
	{BMW_FIELD_APPLICATION, "application", .kind = BMW_KIND_ENVELOPE, .allowed = ALL},
	{BMW_FIELD_CHANNEL, "channel", .kind = BMW_KIND_ENVELOPE, .needed = ALL, .allowed = ALL},
	{BMW_FIELD_MESSAGE_ID, "message_id", .kind = BMW_KIND_ENVELOPE, .needed = ALL, .allowed = ALL},
	{BMW_FIELD_PROVIDER, "provider", .kind = BMW_KIND_PROVIDER, .allowed = OUTBOUND, .may_be_constant = true},
	{BMW_FIELD_DIRECTION, "direction", "direction", BMW_KIND_DIRECTION, ALL, ALL},
	{BMW_FIELD_OCCURRED_AT, "occurred_at", "occurred_at", BMW_KIND_TIME, ALL, ALL,
		.hint = "The time must be finite and in the years 1 to 9999.", .description = "the time of the provider"},
	{BMW_FIELD_SENDER, "sender", "from", BMW_KIND_ADDRESS, ALL, ALL, .may_be_constant = true, .hint = ADDRESS_HINT},
	{BMW_FIELD_RECIPIENT, "recipient", "to", BMW_KIND_ADDRESS, ALL, ALL, .may_be_constant = true, .hint = ADDRESS_HINT},
	{BMW_FIELD_SENDER_NAME, "sender_name", NULL, BMW_KIND_NAME, 0, ALL, 256, .may_be_constant = true, .hint = TEXT_HINT},
	{BMW_FIELD_RECIPIENT_NAME, "recipient_name", NULL, BMW_KIND_NAME, 0, ALL, 256, .may_be_constant = true, .hint = TEXT_HINT},
	{BMW_FIELD_PROVIDER_MESSAGE_ID, "provider_message_id", "provider_message_id", BMW_KIND_TEXT, 0, ALL, 256, .hint = TEXT_HINT},
	{BMW_FIELD_CLIENT_REF, "client_ref", "client_ref", BMW_KIND_TEXT, 0, ALL, 256, .hint = TEXT_HINT,
		.description = "the reference of who sent the message"},
	{BMW_FIELD_CONVERSATION_ID, "conversation_id", "conversation_id", BMW_KIND_TEXT, 0, ALL, 256, .hint = TEXT_HINT},
	{BMW_FIELD_SEGMENTS, "segments", "segments", BMW_KIND_INTEGER, 0, OUTBOUND, .description = "parts of an SMS",
		.hint = "It is the number of parts that an SMS was sent in."},
	{BMW_FIELD_ERROR, "error", "error", BMW_KIND_OBJECT, FAILURE, FAILURE, .members = error_members,
		.hint = "Write {\"code\": \"undeliverable\", \"title\": \"Message undeliverable\", \"permanent\": true}, and \"detail\" and \"provider_code\" where known."},
	{BMW_FIELD_CONTENT, "content", "content", BMW_KIND_OBJECT, INBOUND, ALL, BMW_CONTENT_MAX_BYTES, content_members, content_types, "text",
		.hint = "Such as {\"type\": \"text\", \"text\": \"Hello\"}; media is [{\"url\": ..., \"mime_type\": ...}], button {\"id\": ..., \"text\": ...}, location {\"latitude\": ..., \"longitude\": ...}."},
	{BMW_FIELD_CONTEXT, "context", "context", BMW_KIND_OBJECT, 0, RECEIVED, 0, context_members, NULL, "message_id",
		.hint = "Write {\"message_id\": ...}, the message that is answered, and \"provider_message_id\" where known; ids have 1 to 128 bytes.",
		.description = "the message that this one answers"},
	{BMW_FIELD_PRICE, "price", "price", BMW_KIND_OBJECT, 0, OUTBOUND, .members = price_members,
		.hint = "Write {\"amount\": \"0.0075\", \"currency\": \"EUR\"}: the amount is a decimal string, the currency three letters of ISO 4217."},
	{BMW_FIELD_METADATA, "metadata", "metadata", BMW_KIND_STRINGS, 0, ALL, BMW_METADATA_MAX_BYTES,
		.hint = "It is for references, not for content."},
	{BMW_FIELD_STATUS, "status", "status", BMW_KIND_STATUS, OUTBOUND | RECEIVED, OUTBOUND | RECEIVED},
};
/* clang-format on */

const BmwMessageType *
bmw_message_type_find(const char *name)
{
	for (int i = 0; i < BMW_MESSAGE_TYPES; i++)
		if (strcmp(bmw_message_types[i].name, name) == 0)
			return &bmw_message_types[i];
	return NULL;
}

const BmwMessageField *
bmw_message_field_find(const char *name)
{
	for (int i = 0; i < BMW_MESSAGE_FIELDS; i++)
		if (strcmp(bmw_message_fields[i].name, name) == 0)
			return &bmw_message_fields[i];
	return NULL;
}

const char *
bmw_message_direction(const BmwMessageType *type)
{
	return BMW_MESSAGE_BIT(type->id) & BMW_MESSAGE_INBOUND ? "inbound" : "outbound";
}

const char *
bmw_message_type_names(uint32 types)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < BMW_MESSAGE_TYPES; i++)
	{
		uint32 type = BMW_MESSAGE_BIT(i);
		bool is_last = types < type << 1;

		if (types & type)
			appendStringInfo(&names, "%s%s",
							 names.len == 0 ? ""
							 : is_last		? " or "
											: ", ",
							 bmw_message_types[i].name);
	}
	return names.data;
}

bool
bmw_message_always_needs(const BmwMessageField *field, uint32 types)
{
	return (field->needed & types) == types;
}
