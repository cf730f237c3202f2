/*
 * pg/sql/endpoint_payload.h - how much of an event an endpoint gets: what may be in this column.
 *
 * Called by the trigger of bm_webhook.endpoint; raises an error that says what may.
 */
#ifndef BMW_PG_SQL_ENDPOINT_PAYLOAD_H
#define BMW_PG_SQL_ENDPOINT_PAYLOAD_H

#include "pg/sql/row.h"

extern void bmw_endpoint_payload_check(BmwRow *row, const char *column);

#endif
