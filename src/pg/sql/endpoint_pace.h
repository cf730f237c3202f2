/*
 * pg/sql/endpoint_pace.h - how many requests an endpoint or an application may get: what may be in these columns.
 *
 * Called by the triggers of these tables; each raises an error that says what may.
 */
#ifndef BMW_PG_SQL_ENDPOINT_PACE_H
#define BMW_PG_SQL_ENDPOINT_PACE_H

#include "pg/sql/row.h"

extern void bmw_endpoint_pace_check_max_in_flight(BmwRow *row, const char *column);
extern void bmw_endpoint_pace_check_rate_limit(BmwRow *row, const char *column);
extern void bmw_endpoint_pace_check_rate_burst(BmwRow *row, const char *column);

#endif
