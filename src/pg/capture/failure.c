/*
 * pg/capture/failure.c - what cannot become an event is told, and fails nobody's write.
 */
#include "postgres.h"

#include "pg/capture/failure.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "core/name.h"
#include "pg/server/shared_memory.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"

#define LOG_INTERVAL_MS 60000

static void append_member(StringInfo json, const char *name, const char *value);
static void log_failure(const char *relation, const char *error);

void
bmw_capture_failure(Relation relation, const char *operation, const char *error, BmwNewEvent *event)
{
	const char *name = quote_qualified_identifier(
		get_namespace_name(RelationGetNamespace(relation)), RelationGetRelationName(relation));
	StringInfoData json;

	initStringInfo(&json);
	append_member(&json, "relation", name);
	append_member(&json, "operation", operation);
	append_member(&json, "type", event->type);
	append_member(&json, "message_id", event->message_id);
	append_member(&json, "error", error);
	appendStringInfoChar(&json, '}');
	*event = (BmwNewEvent){.type = "webhook.capture_failed", .data = json.data};
	bmw_shmem_capture_failed(MyDatabaseId, psprintf("%s: %s", name, error));
	log_failure(name, error);
}

/* Values are cut: they are here because they may be too long. */
static void
append_member(StringInfo json, const char *name, const char *value)
{
	if (value == NULL)
		return;
	appendStringInfo(json, "%c\"%s\":", json->len == 0 ? '{' : ',', name);
	escape_json(json, pnstrdup(value, pg_mbcliplen(value, strlen(value), 2 * BMW_NAME_MAX_BYTES)));
}

static void
log_failure(const char *relation, const char *error)
{
	static TimestampTz last_logged = 0;
	TimestampTz now = GetCurrentTimestamp();

	if (last_logged != 0 && !TimestampDifferenceExceeds(last_logged, now, LOG_INTERVAL_MS))
		return;
	last_logged = now;
	ereport(
		LOG, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		errmsg("could not capture a row of %s: %s", relation, error),
		errdetail(
			"An event of type webhook.capture_failed tells which; there is at most one such line a minute."));
}
