/*
 * pg/capture/message.h - the events of messages: what they are, and what their data may hold.
 *
 * One table of fields (message_fields.c) is behind all of it: message_check.c
 * says what is wrong with a message, message_write.c writes its data,
 * message_schema.c the JSON Schema of that data, message_map.c reads a message
 * from a row, message.c from the arguments of an SQL function.
 */
#ifndef BMW_PG_CAPTURE_MESSAGE_H
#define BMW_PG_CAPTURE_MESSAGE_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "pg/capture/check.h"
#include "utils/jsonb.h"

/* The last part of an event type. Those of outbound messages come first, by rank. */
typedef enum BmwMessageTypeId
{
	BMW_MESSAGE_ACCEPTED,
	BMW_MESSAGE_SENT,
	BMW_MESSAGE_CANCELED,
	BMW_MESSAGE_EXPIRED,
	BMW_MESSAGE_FAILED,
	BMW_MESSAGE_DELIVERED,
	BMW_MESSAGE_READ,
	BMW_MESSAGE_RECEIVED,
	BMW_MESSAGE_CLICKED,
} BmwMessageTypeId;

#define BMW_MESSAGE_TYPES (BMW_MESSAGE_CLICKED + 1)

/* Sets of types, as bits. */
#define BMW_MESSAGE_BIT(type) (1u << (type))
#define BMW_MESSAGE_OUTBOUND (BMW_MESSAGE_BIT(BMW_MESSAGE_READ + 1) - 1)
#define BMW_MESSAGE_FAILURE                                                                        \
	(BMW_MESSAGE_BIT(BMW_MESSAGE_EXPIRED) | BMW_MESSAGE_BIT(BMW_MESSAGE_FAILED))
#define BMW_MESSAGE_INBOUND                                                                        \
	(BMW_MESSAGE_BIT(BMW_MESSAGE_RECEIVED) | BMW_MESSAGE_BIT(BMW_MESSAGE_CLICKED))
#define BMW_MESSAGE_ALL (BMW_MESSAGE_OUTBOUND | BMW_MESSAGE_INBOUND)

#define BMW_MESSAGE_TYPE_PREFIX "message."

typedef struct BmwMessageType
{
	BmwMessageTypeId id;
	const char *event_type;
	const char *name; /* its last part: a status, but for clicked */
	int rank;		  /* the highest is the state of an outbound message; 0 for inbound ones */
} BmwMessageType;

/* The fields, in the order in which they are checked. */
typedef enum BmwMessageFieldId
{
	BMW_FIELD_APPLICATION,
	BMW_FIELD_CHANNEL,
	BMW_FIELD_MESSAGE_ID,
	BMW_FIELD_PROVIDER,
	BMW_FIELD_DIRECTION,
	BMW_FIELD_OCCURRED_AT,
	BMW_FIELD_SENDER,
	BMW_FIELD_RECIPIENT,
	BMW_FIELD_SENDER_NAME,
	BMW_FIELD_RECIPIENT_NAME,
	BMW_FIELD_PROVIDER_MESSAGE_ID,
	BMW_FIELD_CLIENT_REF,
	BMW_FIELD_CONVERSATION_ID,
	BMW_FIELD_SEGMENTS,
	BMW_FIELD_ERROR,
	BMW_FIELD_CONTENT,
	BMW_FIELD_CONTEXT,
	BMW_FIELD_PRICE,
	BMW_FIELD_METADATA,
	BMW_FIELD_STATUS,
} BmwMessageFieldId;

#define BMW_MESSAGE_FIELDS (BMW_FIELD_STATUS + 1)

typedef enum BmwFieldKind
{
	BMW_KIND_ENVELOPE, /* a column of event: checked with the event */
	BMW_KIND_PROVIDER, /* whose the status is; not written */
	BMW_KIND_STATUS,   /* follows from the type, like the next */
	BMW_KIND_DIRECTION,
	BMW_KIND_TIME,
	BMW_KIND_ADDRESS,
	BMW_KIND_NAME, /* of the one who has the address */
	BMW_KIND_TEXT,
	BMW_KIND_INTEGER,
	BMW_KIND_OBJECT,  /* of members that are known */
	BMW_KIND_STRINGS, /* an object of strings */
} BmwFieldKind;

/* What a string or number must be, besides its type. */
typedef struct BmwRule
{
	bool (*holds)(const JsonbValue *value);
	const char *complaint; /* "is no ..." */
	const char *hint;	   /* NULL: that of the object */
	const char *pattern;   /* for the schema, of a string; may be NULL */
	int max_length;		   /* the same; 0: BMW_STRING_MAX */
} BmwRule;

/* A member of an object. Strings have 1 to BMW_STRING_MAX characters. */
typedef struct BmwMember
{
	const char *name;  /* NULL ends a list */
	enum jbvType type; /* jbvString, jbvNumeric, jbvBool, jbvObject, jbvArray (of objects) */
	bool is_needed;
	bool is_whole;					 /* of a number */
	const struct BmwMember *members; /* of an object, or of an array's objects; NULL: any */
	const BmwRule *rule;
	const char *schema; /* more of its schema, as JSON; NULL: nothing */
} BmwMember;

#define BMW_STRING_MAX 4096
#define BMW_ARRAY_MAX 16

/* A type of content, and the member that it must have; NULL: none. */
typedef struct BmwContentType
{
	const char *name; /* NULL ends the list */
	const char *needs;
} BmwContentType;

typedef struct BmwMessageField
{
	BmwMessageFieldId id;
	const char *name; /* of the argument, and of the column that is taken without one */
	const char *key;  /* in data; NULL: not there under a name of its own */
	BmwFieldKind kind;
	uint32 needed;					/* types that must have it */
	uint32 allowed;					/* types that may have it */
	int max;						/* characters of a text, bytes of an object, keys of strings */
	const BmwMember *members;		/* of an object */
	const BmwContentType *variants; /* of an object: by its member "type" */
	const char *short_form;			/* of an object: the member that a text alone stands for */
	bool may_be_constant;			/* as the mapping of a watch */
	const char *hint;
	const char *description; /* in the schema; NULL: none */
} BmwMessageField;

extern const BmwMessageType bmw_message_types[BMW_MESSAGE_TYPES];
extern const BmwMessageField bmw_message_fields[BMW_MESSAGE_FIELDS];

/* A regular expression (ECMA 262) for what bmw_message_is_address() takes. */
extern const char bmw_message_address_pattern[];
#define BMW_ADDRESS_MAX 128

/* NULL when there is none of that name. */
extern const BmwMessageType *bmw_message_type_find(const char *name);
extern const BmwMessageField *bmw_message_field_find(const char *name);
extern const char *bmw_message_direction(const BmwMessageType *type);
/* "accepted, sent or read": the names of a set of types, for messages. */
extern const char *bmw_message_type_names(uint32 types);
/* Must each type of the set have it? */
extern bool bmw_message_always_needs(const BmwMessageField *field, uint32 types);

/* A phone number as in E.164, a short code, or the name of an agent. */
extern bool bmw_message_is_address(const char *text);

typedef struct BmwMessageValue
{
	bool is_set;	   /* not NULL */
	bool is_json_null; /* as good as not set, but for what is needed */
	const char *text;  /* of texts; the short form of an object */
	Jsonb *object;	   /* of any JSON type */
	int64 number;	   /* an integer, or a TimestampTz */
} BmwMessageValue;

typedef struct BmwMessage
{
	const BmwMessageType *type;
	BmwMessageValue values[BMW_MESSAGE_FIELDS];
	const char *idempotency_key; /* NULL: none */
	TimestampTz expires_at;		 /* infinity: never */
	bool has_time_of_call;		 /* occurred_at was not given */
} BmwMessage;

/* The limits of what is written. */
#define BMW_CONTENT_MAX_BYTES 12288
#define BMW_METADATA_MAX_BYTES 4096
#define BMW_METADATA_MAX_KEYS 16

/*
 * What is wrong with it, NULL when nothing is: allocated in the current memory
 * context, and never raised. The fields of the envelope only are looked at for
 * NULL. The type must be set. An address loses the channel's name before it.
 */
extern const BmwEventFault *bmw_message_check(BmwMessage *message);
/* The same for the value of one field. */
extern const BmwEventFault *bmw_message_check_value(const BmwMessage *message,
													const BmwMessageField *field);

/* What is said of a field that every message of its direction must have. */
extern const BmwEventFault *bmw_message_missing(const char *name);
extern const BmwEventFault *bmw_message_fault(int sqlstate, const char *hint, const char *format,
											  ...) pg_attribute_printf(3, 4);

/*
 * Appends the data of a checked message. Members are in the order that jsonb
 * has. A fault (54000) when an object is larger than its field may be.
 */
extern const BmwEventFault *bmw_message_write(const BmwMessage *message, StringInfo out);

/* The JSON Schema of the data of a type, and that of the parties it refers to: {"data", "$defs"}. */
extern void bmw_message_write_schema(const BmwMessageType *type, StringInfo out);

#endif
