/*
 * pg/sql/endpoint_url.h - the check of an endpoint's URL.
 */
#ifndef BMW_PG_SQL_ENDPOINT_URL_H
#define BMW_PG_SQL_ENDPOINT_URL_H

#include "postgres.h"

#include "pg/sql/row.h"

/*
 * Stores its normal form; 22023, 42501. What is restored from a dump was judged by the settings of another server: it
 * is taken, with a warning, and its address judged again at each connection.
 */
extern void bmw_endpoint_url_check(BmwRow *row, const char *column);

#endif
