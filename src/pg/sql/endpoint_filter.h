/*
 * pg/sql/endpoint_filter.h - which paths an endpoint may have as its filter.
 *
 * Called by the trigger of bm_webhook.endpoint; raises an error that says what may.
 */
#ifndef BMW_PG_SQL_ENDPOINT_FILTER_H
#define BMW_PG_SQL_ENDPOINT_FILTER_H

#include "pg/sql/row.h"

extern void bmw_endpoint_filter_check(BmwRow *row, const char *column);

#endif
