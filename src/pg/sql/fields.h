/*
 * pg/sql/fields.h - the columns of a table, named once: texts of statements are made from them.
 */
#ifndef BMW_PG_SQL_FIELDS_H
#define BMW_PG_SQL_FIELDS_H

#include "postgres.h"

typedef struct BmwField
{
	const char *name;
	Oid type;
	bool is_key;	  /* never changed */
	bool is_constant; /* the same in all rows of one INSERT */
	bool is_kept;	  /* stays what it is where the new value is null */
} BmwField;

/* A list of columns, in the order in which they are read and written. */
typedef struct BmwFields
{
	const BmwField *items;
	int length;
} BmwFields;

/* bm_webhook.event: the numbers of its columns, from 0. */
typedef enum BmwEventField
{
	BMW_EVENT_ID,
	BMW_EVENT_TYPE,
	BMW_EVENT_APPLICATION,
	BMW_EVENT_CHANNEL,
	BMW_EVENT_MESSAGE_ID,
	BMW_EVENT_REPLY_TO,
	BMW_EVENT_ENDPOINT_ID,
	BMW_EVENT_OCCURRED_AT,
	BMW_EVENT_DATA,
	BMW_EVENT_XID,
	BMW_EVENT_CREATED_AT,
	BMW_EVENT_FIELDS, /* of one that does not expire */
	BMW_EVENT_EXPIRES_AT = BMW_EVENT_FIELDS,
	BMW_EVENT_ALL_FIELDS
} BmwEventField;

/* bm_webhook.delivery, and after its columns those that bm_webhook.set_aside has besides. */
typedef enum BmwDeliveryField
{
	BMW_DELIVERY_EVENT_ID,
	BMW_DELIVERY_ENDPOINT_ID,
	BMW_DELIVERY_STATUS,
	BMW_DELIVERY_ATTEMPTS,
	BMW_DELIVERY_NEXT_ATTEMPT_AT,
	BMW_DELIVERY_FIRST_ATTEMPT_AT,
	BMW_DELIVERY_LAST_ATTEMPT_AT,
	BMW_DELIVERY_HTTP_STATUS,
	BMW_DELIVERY_ERROR_CLASS,
	BMW_DELIVERY_ERROR,
	BMW_DELIVERY_DURATION,
	BMW_OUTCOME_FIELDS, /* those that both tables have */
	BMW_DELIVERY_NAME_US = BMW_OUTCOME_FIELDS,
	BMW_DELIVERY_CONNECT_US,
	BMW_DELIVERY_TLS_US,
	BMW_DELIVERY_FIRST_BYTE_US,
	BMW_DELIVERY_FIELDS,
	BMW_ASIDE_NAME_TIME = BMW_OUTCOME_FIELDS,
	BMW_ASIDE_CONNECT_TIME,
	BMW_ASIDE_TLS_TIME,
	BMW_ASIDE_FIRST_BYTE_TIME,
	BMW_ASIDE_RESPONSE,
	BMW_ASIDE_IS_FAILED_ATTEMPT,
	BMW_ASIDE_IS_EXHAUSTED,
	BMW_ASIDE_CAUSE,
	BMW_ASIDE_SQLSTATE,
	BMW_ASIDE_FIELDS
} BmwDeliveryField;

/* bm_webhook.failed_attempt */
typedef enum BmwAttemptField
{
	BMW_ATTEMPT_EVENT_ID,
	BMW_ATTEMPT_ENDPOINT_ID,
	BMW_ATTEMPT_ATTEMPT,
	BMW_ATTEMPT_ATTEMPTED_AT,
	BMW_ATTEMPT_ERROR_CLASS,
	BMW_ATTEMPT_HTTP_STATUS,
	BMW_ATTEMPT_ERROR,
	BMW_ATTEMPT_NAME_TIME,
	BMW_ATTEMPT_CONNECT_TIME,
	BMW_ATTEMPT_TLS_TIME,
	BMW_ATTEMPT_FIRST_BYTE_TIME,
	BMW_ATTEMPT_TOTAL_TIME,
	BMW_ATTEMPT_RESPONSE,
	BMW_ATTEMPT_FIELDS
} BmwAttemptField;

extern const BmwFields bmw_event_fields;
extern const BmwFields bmw_event_all_fields;
extern const BmwFields bmw_delivery_fields;
extern const BmwFields bmw_delivery_keys; /* the first two of them */
extern const BmwFields bmw_aside_fields;
extern const BmwFields bmw_attempt_fields;

#define BMW_FIELDS_RANGE "{range}" /* see below */

/*
 * The text of a statement, palloc'd, in which these stand for columns:
 *
 *   {names}    a, b, c
 *   {values}   $1, $2, $3
 *   {unnested} unnest($1), unnest($2), $3: the last one is the same in all rows
 *   {changes}  b = excluded.b, c = coalesce(excluded.c, d.c): all but keys
 *   {range}    d.a >= $4 AND d.a <= $5: two more arguments, the least and the greatest a, which is a uuid
 */
extern char *bmw_fields_expand(const BmwFields *fields, const char *sql);

#endif
