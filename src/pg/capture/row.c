/*
 * pg/capture/row.c - one changed row becomes one event.
 *
 * Runs as the invoker: conversions to JSON may call functions of users. What a
 * row lacks never fails the transaction that changed it. What may raise an error,
 * a function or a type of a user, runs in a subtransaction; it costs about a
 * microsecond, so columns of PostgreSQL's own types do without.
 */
#include "postgres.h"

#include "pg/capture/row.h"

#include "catalog/pg_type.h"
#include "pg/capture/failure.h"
#include "pg/capture/guard.h"
#include "pg/capture/check.h"
#include "pg/server/settings.h"
#include "pg/capture/text_size.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

/* What a guarded function reads from, and what it has made. */
typedef struct Reading
{
	BmwCapturePlan *plan;
	const BmwCaptureRows *rows;
	TupleTableSlot *slot; /* that of the two which the event is about */
	BmwNewEvent *event;
	BmwCaptureResults results;
	bool is_too_large; /* its data */
	const BmwEventFault *fault;
} Reading;

static bool is_without_type(const BmwCapturePlan *plan, TupleTableSlot *slot);
static const char *capture_columns(BmwCapturePlan *plan, const BmwCaptureRows *rows,
								   BmwNewEvent *event);
static TupleTableSlot *subject(const BmwCaptureRows *rows);
static void call_function(void *argument);
static void read_columns(void *argument);
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

bool
bmw_capture_row(BmwCapturePlan *plan, Relation relation, const char *operation, BmwCaptureRows rows,
				BmwNewEvent *event)
{
	const char *error;

	if (rows.new_row != NULL && !plan->with_old)
		rows.old_row = NULL;
	if (rows.new_row != NULL)
		slot_getallattrs(rows.new_row);
	if (rows.old_row != NULL)
		slot_getallattrs(rows.old_row);
	if (plan->fault != NULL)
		error = name_row(plan, subject(&rows), event);
	else if (plan->message != NULL)
		error = capture_message(plan, subject(&rows), event);
	else
		error = capture_columns(plan, &rows, event);
	if (is_without_type(plan, subject(&rows)))
		return false;
	if (error != NULL)
		bmw_capture_failure(relation, operation, error, event);
	return true;
}

static TupleTableSlot *
subject(const BmwCaptureRows *rows)
{
	return rows->new_row != NULL ? rows->new_row : rows->old_row;
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

/* Returns what is wrong. */
static const char *
capture_columns(BmwCapturePlan *plan, const BmwCaptureRows *rows, BmwNewEvent *event)
{
	Reading reading = {.plan = plan, .rows = rows, .slot = subject(rows), .event = event};
	const char *error = NULL;

	*event = (BmwNewEvent){0};
	if (bmw_capture_names_are_too_large(plan, reading.slot))
		return bmw_event_too_large.message;
	reading.is_too_large = bmw_capture_data_is_too_large(plan, rows);
	if (plan->has_function)
		error = bmw_capture_guard(call_function, &reading);
	if (error != NULL)
		reading.results = (BmwCaptureResults){0};
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

static void
call_function(void *argument)
{
	Reading *reading = argument;

	bmw_capture_data_compute(reading->plan, reading->rows, &reading->results);
}

static void
read_columns(void *argument)
{
	Reading *reading = argument;
	BmwCapturePlan *plan = reading->plan;
	Jsonb *result =
		reading->rows->new_row != NULL ? reading->results.new_row : reading->results.old_row;

	*reading->event = (BmwNewEvent){
		.type = expand(&plan->type, reading->slot, result),
		.application = expand(&plan->application, reading->slot, result),
		.channel = expand(&plan->channel, reading->slot, result),
		.message_id = expand(&plan->message_id, reading->slot, result),
	};
	set_occurred_at(plan, reading->slot, reading->event);
	if (reading->is_too_large)
		reading->fault = &bmw_event_too_large;
	else
		reading->fault =
			bmw_capture_data_write(plan, reading->rows, &reading->results, &reading->event->data);
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
	if (bmw_capture_names_are_too_large(plan, slot))
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
