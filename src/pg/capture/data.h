/*
 * pg/capture/data.h - what goes into the data of an event: the row, or the new one beside the old.
 */
#ifndef BMW_PG_CAPTURE_DATA_H
#define BMW_PG_CAPTURE_DATA_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "pg/capture/check.h"
#include "pg/capture/plan.h"
#include "utils/jsonb.h"

/* A change: one of the two, or both for an update if the plan asks for the old row. All attributes are read. */
typedef struct BmwCaptureRows
{
	TupleTableSlot *new_row; /* NULL: deleted */
	TupleTableSlot *old_row; /* NULL: there was none, or it is not asked for, or not known */
} BmwCaptureRows;

/* What the watch's function makes of them. */
typedef struct BmwCaptureResults
{
	Jsonb *new_row;
	Jsonb *old_row;
} BmwCaptureResults;

/* Before anything is written, because the text of a small value may be huge. */
extern bool bmw_capture_data_is_too_large(const BmwCapturePlan *plan, const BmwCaptureRows *rows);
extern bool bmw_capture_names_are_too_large(const BmwCapturePlan *plan, TupleTableSlot *slot);

/* Calls the plan's function for each row: code of users, which may raise an error. */
extern void bmw_capture_data_compute(BmwCapturePlan *plan, const BmwCaptureRows *rows,
									 BmwCaptureResults *results);

/*
 * The text of the data, left as it is for a row of which the function made
 * nothing. With the old row it is {"record": ..., "old_record": ...}, null what
 * is not there. Returns what is wrong, as far as bmw_event_check() would not see it.
 */
extern const BmwEventFault *bmw_capture_data_write(const BmwCapturePlan *plan,
												   const BmwCaptureRows *rows,
												   const BmwCaptureResults *results,
												   const char **data);

#endif
