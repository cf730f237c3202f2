/*
 * pg/sql/sql_row.h - values into and out of SQL statements.
 *
 * Times outside are Unix microseconds, 0 for NULL where the comment says so;
 * texts outside are UTF-8, whatever the database's encoding is.
 */
#ifndef BMW_PG_SQL_SQL_ROW_H
#define BMW_PG_SQL_SQL_ROW_H

#include "postgres.h"

#include "core/uuid.h"
#include "executor/spi.h"
#include "utils/jsonpath.h"
#include "utils/timestamp.h"

/* One row of SPI_tuptable. */
typedef struct BmwSqlRow
{
	HeapTuple tuple;
	TupleDesc descriptor;
} BmwSqlRow;

extern bool bmw_sql_is_null(const BmwSqlRow *row, int column);
/* Columns count from 1. Values that are NULL: 0, false, NULL. */
extern int64 bmw_sql_int64(const BmwSqlRow *row, int column);
extern int bmw_sql_int32(const BmwSqlRow *row, int column);
extern bool bmw_sql_bool(const BmwSqlRow *row, int column);
extern uint64 bmw_sql_xid8(const BmwSqlRow *row, int column);
extern int64 bmw_sql_time(const BmwSqlRow *row, int column);
/* PG_INT64_MAX for infinity. */
extern int64 bmw_sql_due(const BmwSqlRow *row, int column);
/* The bytes of a value of variable length, without reading what is stored out of line. */
extern int64 bmw_sql_size(const BmwSqlRow *row, int column);
extern BmwUuid bmw_sql_uuid(const BmwSqlRow *row, int column);
/* NULL for NULL; in the current memory context. */
extern const JsonPath *bmw_sql_jsonpath(const BmwSqlRow *row, int column);
/* 0-terminated, in the current memory context; length may be NULL. */
extern const char *bmw_sql_text(const BmwSqlRow *row, int column, size_t *length);
/* Elements that are null are NULL. */
extern const char **bmw_sql_texts(const BmwSqlRow *row, int column, int *length);
/* Elements that are null are left out. */
extern const Interval **bmw_sql_intervals(const BmwSqlRow *row, int column, int *length);
/* NULL for NULL; in the current memory context. */
extern const BmwUuid *bmw_sql_uuids(const BmwSqlRow *row, int column, size_t *length);
/* Never NULL. */
extern const Interval *bmw_sql_interval(const BmwSqlRow *row, int column);

/* How long a text will be in UTF-8. */
extern size_t bmw_sql_utf8_length(Datum text);

/* UTF-8 to the database's encoding as a text datum; what cannot be expressed is replaced. */
extern Datum bmw_sql_from_utf8(const char *text);

/* A column of values to be unnested. */
typedef struct BmwSqlColumn
{
	Oid type;
	Datum *values;
	bool *nulls;
	int length;
	int capacity;
} BmwSqlColumn;

extern void bmw_sql_column_init(BmwSqlColumn *column, Oid type, int capacity);
extern void bmw_sql_column_add(BmwSqlColumn *column, Datum value);
extern void bmw_sql_column_add_null(BmwSqlColumn *column);
extern void bmw_sql_column_add_uuid(BmwSqlColumn *column, const BmwUuid *id);
/* In the database's encoding; NULL is NULL. */
extern void bmw_sql_column_add_string(BmwSqlColumn *column, const char *text);
/* 0 is NULL. */
extern void bmw_sql_column_add_time(BmwSqlColumn *column, int64 unix_us);
extern void bmw_sql_column_add_interval(BmwSqlColumn *column, int64 us);
extern void bmw_sql_column_add_int32(BmwSqlColumn *column, int value);
/* NULL is NULL. */
extern void bmw_sql_column_add_text(BmwSqlColumn *column, const char *utf8);
extern Datum bmw_sql_column_array(const BmwSqlColumn *column);
/* An array of these ids. */
extern Datum bmw_sql_uuid_array(const BmwUuid *ids, int length);

#endif
