/*
 * pg/capture/trust.h - whose code a watch runs.
 */
#ifndef BMW_PG_CAPTURE_TRUST_H
#define BMW_PG_CAPTURE_TRUST_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "executor/spi.h"
#include "nodes/pg_list.h"

/*
 * The function of this qualified name that takes a row of the watched table and
 * returns jsonb. Ereports 42883 no such function, 42804 another result, 42501
 * not of the table's owner.
 */
extern Oid bmw_capture_trust_function(const char *name, Oid watched);

/*
 * Refuses columns whose conversion to JSON would run code that is not of the
 * table's owner (42501). Returns the relations that the answer depends on, a
 * list of OIDs: the row types of composite columns.
 */
extern List *bmw_capture_trust_columns(TupleDesc desc, Oid watched);

/*
 * Refuses a query that calls functions, those of operators and casts as well, that are not of the table's
 * owner (42501). For one that has just been prepared: then its names have been looked up.
 */
extern void bmw_capture_trust_query(SPIPlanPtr query, Oid watched);

#endif
