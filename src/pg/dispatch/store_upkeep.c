/*
 * pg/dispatch/store_upkeep.c - the statements by which the log is kept in order: default partitions, retention.
 */
#include "postgres.h"

#include "pg/dispatch/store_upkeep.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "pg/sql/interval.h"
#include "pg/sql/sql_row.h"
#include "pg/sql/statement.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#define RETENTION "$1 * interval '1 second'"

static BmwStatement is_due = {
	"SELECT bm_webhook_internal.is_upkeep_due(" RETENTION ")", 1, {INT4OID}};
static BmwStatement upkeep = {
	"SELECT task, log, name, since, until, with_waiting FROM bm_webhook_internal.upkeep(" RETENTION
	")",
	1,
	{INT4OID}};
static BmwStatement empty_default = {"SELECT bm_webhook_internal.empty_default($1, $2, $3, $4)",
									 4,
									 {TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID}};
static BmwStatement drop_partition = {
	"SELECT bm_webhook_internal.drop_partition($1, $2, $3, $4, $5, $6)",
	6,
	{TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, BOOLOID, BOOLOID}};
static BmwStatement close_partition = {
	"SELECT bm_webhook_internal.close_partition($1)", 1, {TEXTOID}};
static BmwStatement forget_expired = {
	"SELECT bm_webhook_internal.forget_expired(" RETENTION ", $2)", 2, {INT4OID, INT4OID}};
static BmwStatement current_snapshot = {"SELECT pg_catalog.pg_current_snapshot()::text"};
static BmwStatement end_drops = {
	"SELECT bm_webhook_internal.end_drops($1, $2::pg_snapshot)", 2, {BOOLOID, TEXTOID}};
static BmwStatement count_day = {"SELECT bm_webhook_internal.count_day()"};

static BmwSqlRow run(BmwStatement *statement, Datum *values);
static void read_task(const BmwSqlRow *row, BmwTask *task);
static Datum text_of(const NameData *name);

bool
bmw_store_is_upkeep_due(int retention)
{
	BmwSqlRow row = run(&is_due, (Datum[]){Int32GetDatum(retention)});

	return bmw_sql_bool(&row, 1);
}

void
bmw_store_upkeep(int retention, void (*fn)(const BmwTask *task, void *context), void *context)
{
	int rows = bmw_statement_run(&upkeep, (Datum[]){Int32GetDatum(retention)});

	for (int i = 0; i < rows; i++)
	{
		BmwSqlRow row = {SPI_tuptable->vals[i], SPI_tuptable->tupdesc};
		BmwTask task;

		read_task(&row, &task);
		fn(&task, context);
	}
}

void
bmw_store_empty_default(const BmwTask *task)
{
	(void) run(&empty_default,
			   (Datum[]){text_of(&task->log), text_of(&task->partition),
						 TimestampTzGetDatum(task->since), TimestampTzGetDatum(task->until)});
}

const char *
bmw_store_drop_partition(const BmwTask *task, bool dry_run)
{
	BmwSqlRow row =
		run(&drop_partition,
			(Datum[]){text_of(&task->log), text_of(&task->partition),
					  TimestampTzGetDatum(task->since), TimestampTzGetDatum(task->until),
					  BoolGetDatum(task->with_waiting), BoolGetDatum(dry_run)});

	return bmw_sql_text(&row, 1, NULL);
}

void
bmw_store_close_partition(const BmwTask *task)
{
	(void) run(&close_partition, (Datum[]){text_of(&task->partition)});
}

int64
bmw_store_forget_expired(int retention, int most)
{
	BmwSqlRow row = run(&forget_expired, (Datum[]){Int32GetDatum(retention), Int32GetDatum(most)});

	return bmw_sql_int64(&row, 1);
}

void
bmw_store_end_drops(bool has_failed, const char *seen)
{
	(void) run(&end_drops, (Datum[]){BoolGetDatum(has_failed), CStringGetTextDatum(seen)});
}

bool
bmw_store_count_day(void)
{
	BmwSqlRow row = run(&count_day, NULL);

	return bmw_sql_bool(&row, 1);
}

const char *
bmw_store_what_is_seen(void)
{
	BmwSqlRow row = run(&current_snapshot, NULL);

	return bmw_sql_text(&row, 1, NULL);
}

/*
 * A json has line breaks between its tokens only, and neither byte that stands for a
 * delimiter and a quote here: so each row is a line, and nothing in it is escaped twice.
 */
void
bmw_store_archive(const BmwTask *task, const char *command, const char *format)
{
	const char *table = quote_qualified_identifier("bm_webhook_internal", NameStr(task->partition));
	bool is_csv = strcmp(format, "csv") == 0;
	const char *rows =
		is_csv ? psprintf("SELECT * FROM %s", table)
			   : psprintf("SELECT pg_catalog.translate(pg_catalog.row_to_json(r)::text, E'\\n\\r', "
						  "'  ') FROM %s r",
						  table);
	const char *options = is_csv
							  ? "FORMAT csv, HEADER, ENCODING 'UTF8'"
							  : "FORMAT csv, DELIMITER E'\\x02', QUOTE E'\\x01', ENCODING 'UTF8'";

	SPI_execute(psprintf("SELECT FROM %s LIMIT 1", table), true, 1);
	if (SPI_processed == 0)
		return;
	SPI_execute(
		psprintf("COPY (%s) TO PROGRAM %s WITH (%s)", rows, quote_literal_cstr(command), options),
		false, 0);
}

static BmwSqlRow
run(BmwStatement *statement, Datum *values)
{
	bmw_statement_run(statement, values);
	return (BmwSqlRow){SPI_tuptable->vals[0], SPI_tuptable->tupdesc};
}

static void
read_task(const BmwSqlRow *row, BmwTask *task)
{
	const char *kind = bmw_sql_text(row, 1, NULL);

	task->kind = strcmp(kind, "empty") == 0	 ? BMW_TASK_EMPTY
				 : strcmp(kind, "drop") == 0 ? BMW_TASK_DROP
											 : BMW_TASK_CLOSE;
	namestrcpy(&task->log, bmw_sql_text(row, 2, NULL));
	namestrcpy(&task->partition, bmw_sql_text(row, 3, NULL));
	task->since = bmw_from_unix_us(bmw_sql_time(row, 4));
	task->until = bmw_from_unix_us(bmw_sql_time(row, 5));
	task->with_waiting = bmw_sql_bool(row, 6);
}

static Datum
text_of(const NameData *name)
{
	return CStringGetTextDatum(NameStr(*name));
}
