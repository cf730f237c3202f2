/*
 * pg/sql/statement.h - SQL statements that are prepared at their first use and kept.
 *
 * All functions may ereport and need a connection to SPI. Rows are in SPI_tuptable.
 */
#ifndef BMW_PG_SQL_STATEMENT_H
#define BMW_PG_SQL_STATEMENT_H

#include "postgres.h"

#include "executor/spi.h"
#include "pg/sql/fields.h"
#include "pg/sql/sql_row.h"
#include "storage/lockdefs.h"

#define BMW_STATEMENT_ARGUMENTS 20

/* What the arguments of a statement are. */
typedef enum BmwArguments
{
	BMW_ARGUMENTS_LISTED, /* as it says itself */
	BMW_ARGUMENTS_ROW,	  /* a value for each of its fields */
	BMW_ARGUMENTS_ROWS	  /* an array for each of its fields; of a constant one a value */
} BmwArguments;

typedef struct BmwStatement
{
	const char *sql;
	int arguments;
	Oid types[BMW_STATEMENT_ARGUMENTS];
	const BmwFields *fields; /* whose names stand in the text (fields.h); NULL: none do */
	BmwArguments kind;
	bool is_stable; /* reads with the active snapshot, not with a new one */
	bool
		is_planned_anew; /* each time, for its values: a plan that is kept has all partitions; may run twice */
	SPIPlanPtr plan; /* NULL until the first use */
} BmwStatement;

/* In this process plans are kept from the first one on. */
extern void bmw_statement_keep_plans(void);
/* Runs it and returns the number of rows. */
extern int bmw_statement_run(BmwStatement *statement, Datum *values);
/* nulls: a blank or an 'n' for each argument; limit: rows at most, 0 for all. */
extern int bmw_statement_run_with(BmwStatement *statement, Datum *values, const char *nulls,
								  int limit);
/* Runs it with the latest snapshot, whatever the isolation level is; it sees the transaction's own changes. */
extern int bmw_statement_run_latest(BmwStatement *statement, Datum *values);
/* Runs it and hands out its rows one by one, however many: they are read some at a time. fn must not use SPI. */
typedef void (*BmwStatementRowFn)(const BmwSqlRow *row, void *context);
extern void bmw_statement_each(BmwStatement *statement, Datum *values, BmwStatementRowFn fn,
							   void *context);
/* Columns for these fields, with room for so many rows. */
extern void bmw_statement_init_columns(BmwSqlColumn *columns, const BmwFields *fields,
									   int capacity);
/* Each argument is the array of a column; nothing happens when they are empty. */
extern int bmw_statement_run_columns(BmwStatement *statement, BmwSqlColumn *columns);
/* The OID of a table of ours. */
extern Oid bmw_statement_table(const char *name);
/* Is it one of the two that the extension has its tables in? */
extern bool bmw_statement_is_own_schema(Oid schema);
/*
 * Locks it until the transaction ends; false, at once, when somebody has a lock
 * that conflicts, or waits for one.
 */
extern bool bmw_statement_lock(Oid table, LOCKMODE mode);
/* A context for what one row needs, to be reset after each. */
extern MemoryContext bmw_statement_row_context(void);

#endif
