/*
 * pg/capture/row.h - one changed row becomes one event.
 */
#ifndef BMW_PG_CAPTURE_ROW_H
#define BMW_PG_CAPTURE_ROW_H

#include "executor/tuptable.h"
#include "pg/capture/data.h"
#include "pg/capture/plan.h"
#include "pg/sql/insert.h"

/*
 * Fills *event from the row, whose shape is the plan's; what it is about is the
 * new row, or the one that was deleted. Texts are allocated in the current
 * memory context. A row that makes no valid event, or whose function fails,
 * gives that of bmw_capture_failure() instead. operation: INSERT, UPDATE or
 * DELETE. False: the column of its type is null, so there is nothing to tell.
 */
extern bool bmw_capture_row(BmwCapturePlan *plan, Relation relation, const char *operation,
							BmwCaptureRows rows, BmwNewEvent *event);

#endif
