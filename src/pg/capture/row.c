/*
 * pg/capture/row.c - one changed row becomes one event.
 *
 * Runs as the invoker: conversions to JSON may call functions of users. What a
 * row lacks never fails the transaction that changed it. What may raise an error,
 * a function or a type of a user, runs in a subtransaction; it costs about a
 * microsecond, so columns of PostgreSQL's own types do without.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "core/name.h"
#include "pg/capture/guard.h"
#include "pg/capture/row.h"
#include "pg/capture/check.h"
#include "pg/server/settings.h"
#include "pg/server/shared_memory.h"
#include "pg/capture/text_size.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"

#define LOG_INTERVAL_MS 60000

/* What a guarded function reads from, and what it has made. */
typedef struct Reading
{
	BmwCapturePlan *plan;
	TupleTableSlot *slot;
	BmwNewEvent *event;
	Jsonb *result;
	bool is_too_large; /* its data */
	const BmwEventFault *fault;
} Reading;

static bool is_without_type(const BmwCapturePlan *plan, TupleTableSlot *slot);
static const char *capture_columns(BmwCapturePlan *plan, TupleTableSlot *slot, BmwNewEvent *event);
static bool is_too_large(const BmwCapturePlan *plan, TupleTableSlot *slot, int first, int end);
static void read_columns(void *argument);
static const BmwEventFault *write_result(Jsonb *result, BmwNewEvent *event);
static const char *name_row(BmwCapturePlan *plan, TupleTableSlot *slot, BmwNewEvent *event);
static const char *capture_message(BmwCapturePlan *plan, TupleTableSlot *slot, BmwNewEvent *event);
static void read_message(void *argument);
static const char *expand(BmwCaptureTemplate *template, TupleTableSlot *slot, Jsonb *result);
static const char *part_text(BmwCapturePart *part, TupleTableSlot *slot, Jsonb *result);
static const char *member_text(Jsonb *object, const char *key);
static const char *column_text(BmwCapturePart *part, TupleTableSlot *slot);
static void set_occurred_at(const BmwCapturePlan *plan, TupleTableSlot *slot, BmwNewEvent *event);
static TimestampTz occurred_at(const BmwCapturePlan *plan, Datum value);
static TimestampTz date_time(DateADT date);
static const char *columns_json(const BmwCapturePlan *plan, TupleTableSlot *slot);
static void call_function(void *argument);
static void report_failure(Relation relation, const char *operation, const char *error,
						   BmwNewEvent *event);
static void append_member(StringInfo json, const char *name, const char *value);
static void log_failure(const char *relation, const char *error);

bool
bmw_capture_row(BmwCapturePlan *plan, Relation relation, const char *operation,
				TupleTableSlot *slot, BmwNewEvent *event)
{
	const char *error;

	slot_getallattrs(slot);
	if (plan->fault != NULL)
		error = name_row(plan, slot, event);
	else if (plan->message != NULL)
		error = capture_message(plan, slot, event);
	else
		error = capture_columns(plan, slot, event);
	if (is_without_type(plan, slot))
		return false;
	if (error != NULL)
		report_failure(relation, operation, error, event);
	return true;
}

/* A row that has no status yet is nothing to report. */
static bool
is_without_type(const BmwCapturePlan *plan, TupleTableSlot *slot)
{
	for (int i = 0; i < plan->type.length; i++)
	{
		const BmwCapturePart *part = &plan->type.parts[i];

		if (part->constant == NULL && part->key == NULL && slot->tts_isnull[part->index])
			return true;
	}
	return plan->message != NULL && bmw_message_map_is_without_status(plan->message, slot);
}

void
bmw_capture_failure(Relation relation, const char *operation, const char *error, BmwNewEvent *event)
{
	*event = (BmwNewEvent){0};
	report_failure(relation, operation, error, event);
}

/* Returns what is wrong. */
static const char *
capture_columns(BmwCapturePlan *plan, TupleTableSlot *slot, BmwNewEvent *event)
{
	Reading reading = {.plan = plan, .slot = slot, .event = event};
	const char *error = NULL;

	*event = (BmwNewEvent){0};
	if (is_too_large(plan, slot, plan->sized_data, plan->sized_length))
		return bmw_event_too_large.message;
	reading.is_too_large = is_too_large(plan, slot, 0, plan->sized_data);
	if (plan->has_function)
		error = bmw_capture_guard(call_function, &reading);
	if (error != NULL)
		reading.result = NULL;
	if (plan->can_raise)
	{
		const char *other = bmw_capture_guard(read_columns, &reading);

		error = error == NULL ? other : error;
	}
	else
		read_columns(&reading);
	if (error == NULL && reading.fault == NULL)
		reading.fault = bmw_event_check(event);
	return error == NULL && reading.fault != NULL ? reading.fault->message : error;
}

/* Before anything is written: the text of a small value may be huge. */
static bool
is_too_large(const BmwCapturePlan *plan, TupleTableSlot *slot, int first, int end)
{
	int64 size = 0;

	for (int i = first; i < end && size <= bmw_max_payload; i++)
	{
		int index = plan->sized[i];

		if (!slot->tts_isnull[index])
			size += bmw_text_size(slot->tts_values[index],
								  TupleDescAttr(slot->tts_tupleDescriptor, index)->atttypid,
								  bmw_max_payload);
	}
	return size > bmw_max_payload;
}

static void
read_columns(void *argument)
{
	Reading *reading = argument;
	BmwCapturePlan *plan = reading->plan;

	*reading->event = (BmwNewEvent){
		.type = expand(&plan->type, reading->slot, reading->result),
		.application = expand(&plan->application, reading->slot, reading->result),
		.channel = expand(&plan->channel, reading->slot, reading->result),
		.message_id = expand(&plan->message_id, reading->slot, reading->result),
	};
	set_occurred_at(plan, reading->slot, reading->event);
	if (reading->is_too_large)
		reading->fault = &bmw_event_too_large;
	else if (!plan->has_function)
		reading->event->data = columns_json(plan, reading->slot);
	else if (reading->result != NULL)
		reading->fault = write_result(reading->result, reading->event);
}

static const BmwEventFault *
write_result(Jsonb *result, BmwNewEvent *event)
{
	if (bmw_text_size_jsonb(result, bmw_max_payload) > bmw_max_payload)
		return &bmw_event_too_large;
	event->data = JsonbToCString(NULL, &result->root, VARSIZE(result));
	return NULL;
}

static const char *
name_row(BmwCapturePlan *plan, TupleTableSlot *slot, BmwNewEvent *event)
{
	*event = (BmwNewEvent){.message_id = expand(&plan->message_id, slot, NULL)};
	return plan->fault;
}

/* Returns what is wrong. */
static const char *
capture_message(BmwCapturePlan *plan, TupleTableSlot *slot, BmwNewEvent *event)
{
	Reading reading = {.plan = plan, .slot = slot, .event = event};

	*event = (BmwNewEvent){0};
	if (is_too_large(plan, slot, 0, plan->sized_length))
		return bmw_event_too_large.message;
	if (plan->can_raise || bmw_message_map_can_raise(plan->message, slot))
	{
		const char *error = bmw_capture_guard(read_message, &reading);

		if (error != NULL)
			return error;
	}
	else
		read_message(&reading);
	if (reading.fault == NULL)
		reading.fault = bmw_event_check(event);
	return reading.fault == NULL ? NULL : reading.fault->message;
}

static void
read_message(void *argument)
{
	Reading *reading = argument;

	BmwCapturePlan *plan = reading->plan;

	*reading->event = (BmwNewEvent){
		.application = expand(&plan->application, reading->slot, NULL),
		.channel = expand(&plan->channel, reading->slot, NULL),
		.message_id = expand(&plan->message_id, reading->slot, NULL),
	};
	set_occurred_at(plan, reading->slot, reading->event);
	reading->fault = bmw_message_map_read(plan->message, reading->slot, reading->event);
}

/* NULL when any of its parts is. */
static const char *
expand(BmwCaptureTemplate *template, TupleTableSlot *slot, Jsonb *result)
{
	StringInfoData text;

	if (template->length == 0)
		return NULL;
	if (template->length == 1)
		return part_text(&template->parts[0], slot, result);
	initStringInfo(&text);
	for (int i = 0; i < template->length; i++)
	{
		const char *part = part_text(&template->parts[i], slot, result);

		if (part == NULL)
			return NULL;
		appendStringInfoString(&text, part);
	}
	return text.data;
}

static const char *
part_text(BmwCapturePart *part, TupleTableSlot *slot, Jsonb *result)
{
	if (part->constant != NULL)
		return part->constant;
	return part->key != NULL ? member_text(result, part->key) : column_text(part, slot);
}

/* NULL when there is no such string. */
static const char *
member_text(Jsonb *object, const char *key)
{
	JsonbValue value;

	if (object == NULL || !JB_ROOT_IS_OBJECT(object) ||
		getKeyJsonValueFromContainer(&object->root, key, strlen(key), &value) == NULL ||
		value.type != jbvString)
		return NULL;
	return pnstrdup(value.val.string.val, value.val.string.len);
}

static const char *
column_text(BmwCapturePart *part, TupleTableSlot *slot)
{
	if (slot->tts_isnull[part->index])
		return NULL;

	char *text = OutputFunctionCall(&part->output, slot->tts_values[part->index]);

	/* char(n) is padded; a cast to text would drop the blanks as well */
	if (part->type == BPCHAROID)
		text[bpchartruelen(text, strlen(text))] = '\0';
	return text;
}

static void
set_occurred_at(const BmwCapturePlan *plan, TupleTableSlot *slot, BmwNewEvent *event)
{
	if (plan->occurred_at < 0 || slot->tts_isnull[plan->occurred_at])
		return;
	event->has_occurred_at = true;
	event->occurred_at = occurred_at(plan, slot->tts_values[plan->occurred_at]);
}

static TimestampTz
occurred_at(const BmwCapturePlan *plan, Datum value)
{
	if (plan->occurred_at_type == DATEOID)
		return date_time(DatumGetDateADT(value));
	if (plan->occurred_at_type == TIMESTAMPOID && !TIMESTAMP_NOT_FINITE(DatumGetTimestamp(value)))
	{
		int overflow;

		return timestamp2timestamptz_opt_overflow(DatumGetTimestamp(value), &overflow);
	}
	return DatumGetTimestampTz(value);
}

/* Out of range gives an infinity, which bmw_event_check() then refuses. */
static TimestampTz
date_time(DateADT date)
{
	int overflow;

	return date2timestamptz_opt_overflow(date, &overflow);
}

static const char *
columns_json(const BmwCapturePlan *plan, TupleTableSlot *slot)
{
	int length = plan->data_desc->natts;
	Datum *values = palloc(sizeof(Datum) * (length + 1));
	bool *nulls = palloc(sizeof(bool) * (length + 1));

	for (int i = 0; i < length; i++)
	{
		values[i] = slot->tts_values[plan->data_indexes[i]];
		nulls[i] = slot->tts_isnull[plan->data_indexes[i]];
	}

	HeapTuple row = heap_form_tuple(plan->data_desc, values, nulls);

	return TextDatumGetCString(DirectFunctionCall1(row_to_json, HeapTupleGetDatum(row)));
}

static void
call_function(void *argument)
{
	Reading *reading = argument;
	BmwCapturePlan *plan = reading->plan;
	LOCAL_FCINFO(fcinfo, 1);
	HeapTuple row = ExecCopySlotHeapTuple(reading->slot);

	if (plan->function_map != NULL)
		row = execute_attr_map_tuple(row, plan->function_map);
	InitFunctionCallInfoData(*fcinfo, &plan->function, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = heap_copy_tuple_as_datum(row, plan->function_desc);
	fcinfo->args[0].isnull = false;

	Datum result = FunctionCallInvoke(fcinfo);

	reading->result = fcinfo->isnull ? NULL : DatumGetJsonbP(result);
}

static void
report_failure(Relation relation, const char *operation, const char *error, BmwNewEvent *event)
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
