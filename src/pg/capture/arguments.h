/*
 * pg/capture/arguments.h - the arguments of a capture trigger, as they are written.
 *
 * The arguments of bm_webhook.capture() are texts of the form name=value:
 *   type           template of the event type; required
 *   application, channel, message_id    templates
 *   occurred_at    {column} of type timestamptz, timestamp or date
 *   columns        text[] literal: what goes into data; absent: every column
 *   function       qualified name of a function (row type) -> jsonb, which makes data;
 *                  {data.key} in a template is then a string in that object
 *   old            true: data is {"record": the new row, "old_record": the old one}
 *   message        outbound or inbound: the row is a message; then no columns and no function, and
 *                  arguments of the names of its fields (message_fields.c): {column}, or a constant
 *   when           statement level: condition on NEW and OLD, the names of the transition tables' rows
 *   key            statement level, UPDATE: text[] literal of the columns that pair NEW with OLD,
 *                  for a condition on both, or for old
 */
#ifndef BMW_PG_CAPTURE_ARGUMENTS_H
#define BMW_PG_CAPTURE_ARGUMENTS_H

#include "postgres.h"

#include "pg/server/compat.h"
#include "pg/capture/message.h"

/* The arguments as they are written; NULL where absent. */
typedef struct BmwCaptureArguments
{
	Oid watched; /* the table that watch() was called for; set by the caller */
	const char *type;
	const char *application;
	const char *channel;
	const char *message_id;
	const char *occurred_at;
	const char *columns;
	const char *function;
	const char *old;
	const char *message;
	const char *fields[BMW_MESSAGE_FIELDS]; /* of the message, but those above */
	const char *when;
	const char *key;
} BmwCaptureArguments;

/* Ereports 39P01 for an argument that is unknown, doubled or malformed, or a missing type. */
extern void bmw_capture_arguments_parse(char **arguments, int length, BmwCaptureArguments *out);

/* The elements of a text[] literal, none of them NULL; ereports 22023. */
extern int bmw_capture_names(const char *literal, char ***names);
extern int bmw_capture_texts(Datum array, char ***texts); /* the same of a text[] value */

/* Ereports 39P01 with this message. */
pg_noreturn extern void bmw_capture_misused(const char *message);

#endif
