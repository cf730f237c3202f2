/*
 * pg/sql/row.h - a row on its way into a table of ours, for the triggers that check it.
 *
 * The triggers run before the table's own NOT NULL and CHECK constraints, so
 * that these never fail: their message would show the whole row, with secrets,
 * headers and the query of the URL. So no message here has a value in it.
 */
#ifndef BMW_PG_SQL_ROW_H
#define BMW_PG_SQL_ROW_H

#include "postgres.h"

#include "commands/trigger.h"
#include "fmgr.h"
#include "pg/server/compat.h"
#include "utils/rel.h"

typedef struct BmwRow
{
	Relation relation;
	TupleDesc desc;
	Datum *values;
	bool *nulls;
	Datum *old_values; /* NULL for an INSERT */
	bool *old_nulls;
	bool
		is_restored; /* it is inserted with an id that was chosen, as of a dump; after bmw_row_check_id() */
} BmwRow;

/* The last id of a table that was generated and used in this session. */
typedef struct BmwLastId
{
	Oid relid;
	int64 id;
} BmwLastId;

/* The trigger, on that table of ours (NULL: on any); 39P01 when the function was called in another way. */
extern TriggerData *bmw_row_trigger(FunctionCallInfo fcinfo, TriggerEvent timing,
									const char *table);
/* For a trigger BEFORE INSERT OR UPDATE FOR EACH ROW on bm_webhook.<table>; 39P01 in any other. */
extern BmwRow bmw_row_begin(FunctionCallInfo fcinfo, const char *table);
/* Is it who may choose what the extension generates: a superuser, or who owns the table, to restore a dump? */
extern bool bmw_row_may_choose(const BmwRow *row);
/* What the trigger returns. */
extern Datum bmw_row_end(const BmwRow *row);

extern bool bmw_row_is_update(const BmwRow *row);
/* True of every column of a row that is inserted; false of one that an older version lacks. */
extern bool bmw_row_has_changed(const BmwRow *row, const char *column);
/* Not before the script of its version has run: until then the library is newer than the tables. */
extern bool bmw_row_has_column(const BmwRow *row, const char *column);
/* Likewise: is it of this type already? */
extern bool bmw_row_has_type(const BmwRow *row, const char *column, Oid type);
extern bool bmw_row_is_null(const BmwRow *row, const char *column);
extern Datum bmw_row_value(const BmwRow *row, const char *column);
/* Of an update, and of a column that is never null. */
extern Datum bmw_row_old_value(const BmwRow *row, const char *column);
/* Of an update: was it not null? */
extern bool bmw_row_was_set(const BmwRow *row, const char *column);
extern void bmw_row_set(BmwRow *row, const char *column, Datum value);
extern void bmw_row_set_null(BmwRow *row, const char *column);

/* created_at: when it was inserted, and never changed; only who owns the table may choose it. */
extern void bmw_row_keep_created_at(BmwRow *row);
/* 23502 when one of them is null. */
extern void bmw_row_require(const BmwRow *row, const char *const *columns, size_t length);
/* 42501 when it differs from the old one. */
extern void bmw_row_refuse_change(const BmwRow *row, const char *column, const char *hint);
/*
 * The identity column id is not null, never changed, and only chosen by who
 * owns the table (to restore a dump): 23502, 42501. One `last` for each table.
 */
extern void bmw_row_check_id(BmwRow *row, BmwLastId *last);

/* 22023 */
pg_noreturn extern void bmw_row_refuse(const char *message, const char *detail, const char *hint);

#endif
