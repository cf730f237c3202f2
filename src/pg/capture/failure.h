/*
 * pg/capture/failure.h - what cannot become an event is told, and fails nobody's write.
 */
#ifndef BMW_PG_CAPTURE_FAILURE_H
#define BMW_PG_CAPTURE_FAILURE_H

#include "postgres.h"

#include "pg/sql/insert.h"
#include "utils/rel.h"

/*
 * Makes of *event, as far as it is known (0: nothing is), one of type
 * webhook.capture_failed, with {"relation", "operation"[, "type"][, "message_id"],
 * "error"}, and writes at most one line a minute into the server's log.
 */
extern void bmw_capture_failure(Relation relation, const char *operation, const char *error,
								BmwNewEvent *event);

#endif
