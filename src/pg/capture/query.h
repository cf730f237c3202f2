/*
 * pg/capture/query.h - the rows of a statement that a condition lets through, as a query.
 */
#ifndef BMW_PG_CAPTURE_QUERY_H
#define BMW_PG_CAPTURE_QUERY_H

#include "commands/trigger.h"
#include "executor/spi.h"
#include "pg/capture/arguments.h"

/* Must be connected to SPI; the caller keeps the plan. Ereports what a wrong condition can. */
extern SPIPlanPtr bmw_capture_query_prepare(TriggerData *trigger,
											const BmwCaptureArguments *arguments);

/* Does it return each new row with the old one behind it, all null if that is not known? */
extern bool bmw_capture_query_has_pairs(const BmwCaptureArguments *arguments);

/* The settings that the query is planned with; undone by AtEOXact_GUC(false, result). */
extern int bmw_capture_query_restrict(void);

#endif
