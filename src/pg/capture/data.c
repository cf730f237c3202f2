/*
 * pg/capture/data.c - what goes into the data of an event: the row, or the new one beside the old.
 *
 * Both rows go through the same columns or the same function: what must not
 * leave does not leave as an old value either.
 */
#include "postgres.h"

#include "pg/capture/data.h"

#include "access/htup_details.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "pg/capture/text_size.h"
#include "pg/server/settings.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

static int64 text_size(const BmwCapturePlan *plan, TupleTableSlot *slot, int first, int end);
static Jsonb *call_function(BmwCapturePlan *plan, TupleTableSlot *slot);
static const BmwEventFault *write_row(const BmwCapturePlan *plan, TupleTableSlot *slot,
									  Jsonb *result, const char **data);
static const BmwEventFault *append_row(StringInfo json, const BmwCapturePlan *plan,
									   TupleTableSlot *slot, Jsonb *result);
static const char *columns_json(const BmwCapturePlan *plan, TupleTableSlot *slot);

bool
bmw_capture_data_is_too_large(const BmwCapturePlan *plan, const BmwCaptureRows *rows)
{
	return text_size(plan, rows->new_row, 0, plan->sized_data) +
			   text_size(plan, rows->old_row, 0, plan->sized_data) >
		   bmw_max_payload;
}

bool
bmw_capture_names_are_too_large(const BmwCapturePlan *plan, TupleTableSlot *slot)
{
	return text_size(plan, slot, plan->sized_data, plan->sized_length) > bmw_max_payload;
}

/* Of some of the plan's sized columns; any number over the limit as soon as it is longer than that. */
static int64
text_size(const BmwCapturePlan *plan, TupleTableSlot *slot, int first, int end)
{
	int64 size = 0;

	for (int i = first; slot != NULL && i < end && size <= bmw_max_payload; i++)
	{
		int index = plan->sized[i];

		if (!slot->tts_isnull[index])
			size += bmw_text_size(slot->tts_values[index],
								  TupleDescAttr(slot->tts_tupleDescriptor, index)->atttypid,
								  bmw_max_payload);
	}
	return size;
}

void
bmw_capture_data_compute(BmwCapturePlan *plan, const BmwCaptureRows *rows,
						 BmwCaptureResults *results)
{
	if (rows->new_row != NULL)
		results->new_row = call_function(plan, rows->new_row);
	if (rows->old_row != NULL)
		results->old_row = call_function(plan, rows->old_row);
}

static Jsonb *
call_function(BmwCapturePlan *plan, TupleTableSlot *slot)
{
	LOCAL_FCINFO(fcinfo, 1);
	HeapTuple row = ExecCopySlotHeapTuple(slot);

	if (plan->function_map != NULL)
		row = execute_attr_map_tuple(row, plan->function_map);
	InitFunctionCallInfoData(*fcinfo, &plan->function, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = heap_copy_tuple_as_datum(row, plan->function_desc);
	fcinfo->args[0].isnull = false;

	Datum result = FunctionCallInvoke(fcinfo);

	return fcinfo->isnull ? NULL : DatumGetJsonbP(result);
}

const BmwEventFault *
bmw_capture_data_write(const BmwCapturePlan *plan, const BmwCaptureRows *rows,
					   const BmwCaptureResults *results, const char **data)
{
	StringInfoData json;
	const BmwEventFault *fault;

	if (!plan->with_old)
		return rows->new_row != NULL ? write_row(plan, rows->new_row, results->new_row, data)
									 : write_row(plan, rows->old_row, results->old_row, data);
	initStringInfo(&json);
	appendStringInfoString(&json, "{\"record\":");
	fault = append_row(&json, plan, rows->new_row, results->new_row);
	appendStringInfoString(&json, ",\"old_record\":");
	if (fault == NULL)
		fault = append_row(&json, plan, rows->old_row, results->old_row);
	appendStringInfoChar(&json, '}');
	*data = json.data;
	return fault;
}

/* What would be wrong with it as data is wrong with it beside another row. */
static const BmwEventFault *
append_row(StringInfo json, const BmwCapturePlan *plan, TupleTableSlot *slot, Jsonb *result)
{
	const char *text = NULL;
	const BmwEventFault *fault = NULL;

	if (slot != NULL)
	{
		fault = write_row(plan, slot, result, &text);
		fault = fault == NULL ? bmw_event_check_data(text) : fault;
	}
	if (fault == NULL)
		appendStringInfoString(json, text == NULL ? "null" : text);
	return fault;
}

static const BmwEventFault *
write_row(const BmwCapturePlan *plan, TupleTableSlot *slot, Jsonb *result, const char **data)
{
	if (!plan->has_function)
		*data = columns_json(plan, slot);
	else if (result != NULL)
	{
		if (bmw_text_size_jsonb(result, bmw_max_payload) > bmw_max_payload)
			return &bmw_event_too_large;
		*data = JsonbToCString(NULL, &result->root, VARSIZE(result));
	}
	return NULL;
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
