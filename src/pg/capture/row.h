/*
 * pg/capture/row.h - one changed row becomes one event.
 */
#ifndef BMW_PG_CAPTURE_ROW_H
#define BMW_PG_CAPTURE_ROW_H

#include "executor/tuptable.h"
#include "pg/capture/plan.h"
#include "pg/sql/insert.h"

/*
 * Fills *event from the row in slot, whose shape is the plan's. Texts are
 * allocated in the current memory context. A row that makes no valid event, or
 * whose function fails, gives an event of type webhook.capture_failed instead,
 * with {"relation", "operation"[, "type"][, "message_id"], "error"}, and at most
 * one line a minute in the server log. operation: INSERT, UPDATE or DELETE.
 * False: the column of its type is null, so there is nothing to tell.
 */
extern bool bmw_capture_row(BmwCapturePlan *plan, Relation relation, const char *operation,
							TupleTableSlot *slot, BmwNewEvent *event);

/* The same for a statement whose rows cannot be told apart: one event, which says why. */
extern void bmw_capture_failure(Relation relation, const char *operation, const char *error,
								BmwNewEvent *event);

#endif
