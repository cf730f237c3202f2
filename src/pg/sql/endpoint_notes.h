/*
 * pg/sql/endpoint_notes.h - what users write to an endpoint for themselves.
 */
#ifndef BMW_PG_SQL_ENDPOINT_NOTES_H
#define BMW_PG_SQL_ENDPOINT_NOTES_H

#include "postgres.h"

#include "pg/sql/row.h"

/* Both ereport: 54000 too large, and of metadata 22023 when it is no object. */
extern void bmw_endpoint_notes_check_description(BmwRow *row, const char *column);
extern void bmw_endpoint_notes_check_metadata(BmwRow *row, const char *column);

#endif
