/*
 * pg/sql/audit.c - the trigger that records who creates, changes and deletes endpoints, applications and secrets.
 *
 * It runs once for a statement, compares the rows of before and after, and hands what has changed
 * to SQL, which writes a row for each application. Names of columns are recorded and never values.
 * Rows of a dump come with the time of their creation, which is before the statement: they are not recorded.
 */
#include "postgres.h"

#include "pg/sql/audit.h"

#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pg/sql/identity.h"
#include "pg/sql/insert.h"
#include "pg/sql/ownership.h"
#include "pg/sql/row.h"
#include "pg/sql/statement.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(bm_webhook_audit);

#define MAX_COLUMNS 63 /* bits of a mask that is not negative */

/* A table, and which of its columns say whose a row is; NULL: none does. */
typedef struct Audited
{
	const char *table;
	const char *subject;
	const char *endpoint;
	const char *application;
} Audited;

static const Audited audited[] = {
	{"application", "application", NULL, "name"},
	{"endpoint", "endpoint", "id", "application"},
	{"endpoint_secret", "secret", "endpoint_id", NULL},
};

/* An element for each row. A mask has a bit for each column that has changed; 0: created, NULL: deleted. */
typedef struct Changes
{
	const Audited *table;
	TupleDesc desc;
	BmwSqlColumn endpoints;
	BmwSqlColumn applications;
	BmwSqlColumn masks;
} Changes;

static BmwStatement note = {
	"SELECT bm_webhook_internal.note_changes($1, $2, $3, $4, $5, $6)",
	6,
	{TEXTOID, INT8ARRAYOID, TEXTARRAYOID, INT8ARRAYOID, TEXTARRAYOID, NAMEOID}};

static void init(Changes *changes, int capacity);
static const Audited *table_of(const TriggerData *trigger);
static void read_changed(Changes *changes, const TriggerData *trigger);
static uint64 differences(TupleDesc desc, TupleTableSlot *before, TupleTableSlot *after);
static bool differs(TupleDesc desc, int i, TupleTableSlot *before, TupleTableSlot *after);
static void read_created(Changes *changes, const TriggerData *trigger);
static void read_deleted(Changes *changes, const TriggerData *trigger);
static TupleTableSlot *rewind_rows(Tuplestorestate *rows, TupleDesc desc);
static bool is_set(TupleTableSlot *row, const char *column);
static void add(Changes *changes, TupleTableSlot *row);
static Datum value_of(TupleTableSlot *row, const char *column, bool *is_null);
static void add_value(BmwSqlColumn *column, Datum value, bool is_null);
static void note_as_owner(const Changes *changes);
static Datum column_names(TupleDesc desc);
static bool has_record(void);
pg_noreturn static void refuse(void);

/* For a trigger AFTER INSERT, UPDATE or DELETE FOR EACH STATEMENT, with the rows of before and after. */
Datum
bm_webhook_audit(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = bmw_row_trigger(fcinfo, TRIGGER_EVENT_AFTER, NULL);
	Tuplestorestate *rows =
		trigger->tg_newtable != NULL ? trigger->tg_newtable : trigger->tg_oldtable;
	Changes changes = {.table = table_of(trigger), .desc = RelationGetDescr(trigger->tg_relation)};

	if (rows == NULL)
		refuse();
	if (creating_extension || GetUserId() == bmw_event_store_owner())
		return PointerGetDatum(NULL);
	init(&changes, (int) tuplestore_tuple_count(rows));
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		read_changed(&changes, trigger);
	else if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		read_created(&changes, trigger);
	else
		read_deleted(&changes, trigger);
	if (changes.masks.length > 0)
		note_as_owner(&changes);
	return PointerGetDatum(NULL);
}

void
bmw_audit_deletion(const char *subject, const BmwSqlRow *row, Datum acting_as)
{
	Changes deleted;
	bool is_null;
	Datum application = heap_getattr(row->tuple, 2, row->descriptor, &is_null);

	if (!has_record())
		return;
	init(&deleted, 1);
	bmw_sql_column_add(&deleted.endpoints, Int64GetDatum(bmw_sql_int64(row, 1)));
	add_value(&deleted.applications, application, is_null);
	bmw_sql_column_add_null(&deleted.masks);
	bmw_statement_run_with(&note,
						   (Datum[]){CStringGetTextDatum(subject),
									 bmw_sql_column_array(&deleted.endpoints),
									 bmw_sql_column_array(&deleted.applications),
									 bmw_sql_column_array(&deleted.masks), (Datum) 0, acting_as},
						   "    n ", 0);
}

static void
init(Changes *changes, int capacity)
{
	bmw_sql_column_init(&changes->endpoints, INT8OID, capacity);
	bmw_sql_column_init(&changes->applications, TEXTOID, capacity);
	bmw_sql_column_init(&changes->masks, INT8OID, capacity);
}

static const Audited *
table_of(const TriggerData *trigger)
{
	const char *name = RelationGetRelationName(trigger->tg_relation);

	for (size_t i = 0; i < lengthof(audited); i++)
		if (strcmp(audited[i].table, name) == 0)
			return &audited[i];
	refuse();
}

/* Both have the same rows in the same order. What is marked as deleted is, and is changed no more. */
static void
read_changed(Changes *changes, const TriggerData *trigger)
{
	TupleTableSlot *before = rewind_rows(trigger->tg_oldtable, changes->desc);
	TupleTableSlot *after = rewind_rows(trigger->tg_newtable, changes->desc);

	while (tuplestore_gettupleslot(trigger->tg_oldtable, true, false, before) &&
		   tuplestore_gettupleslot(trigger->tg_newtable, true, false, after))
	{
		uint64 mask = differences(changes->desc, before, after);

		if (mask == 0 || (is_set(before, "deleted_at") && is_set(after, "deleted_at")))
			continue;
		add(changes, after);
		if (is_set(after, "deleted_at"))
			bmw_sql_column_add_null(&changes->masks);
		else
			bmw_sql_column_add(&changes->masks, Int64GetDatum((int64) mask));
	}
	ExecDropSingleTupleTableSlot(before);
	ExecDropSingleTupleTableSlot(after);
}

/* updated_at says nothing. */
static uint64
differences(TupleDesc desc, TupleTableSlot *before, TupleTableSlot *after)
{
	uint64 mask = 0;

	slot_getallattrs(before);
	slot_getallattrs(after);
	for (int i = 0; i < Min(desc->natts, MAX_COLUMNS); i++)
		if (differs(desc, i, before, after) &&
			strcmp(NameStr(TupleDescAttr(desc, i)->attname), "updated_at") != 0)
			mask |= UINT64CONST(1) << i;
	return mask;
}

static bool
differs(TupleDesc desc, int i, TupleTableSlot *before, TupleTableSlot *after)
{
	Form_pg_attribute attribute = TupleDescAttr(desc, i);

	if (before->tts_isnull[i] || after->tts_isnull[i])
		return before->tts_isnull[i] != after->tts_isnull[i];
	return !datum_image_eq(before->tts_values[i], after->tts_values[i], attribute->attbyval,
						   attribute->attlen);
}

static void
read_created(Changes *changes, const TriggerData *trigger)
{
	TupleTableSlot *row = rewind_rows(trigger->tg_newtable, changes->desc);

	while (tuplestore_gettupleslot(trigger->tg_newtable, true, false, row))
	{
		bool is_null;
		TimestampTz created_at = DatumGetTimestampTz(value_of(row, "created_at", &is_null));

		if (created_at < GetCurrentStatementStartTimestamp())
			continue;
		add(changes, row);
		bmw_sql_column_add(&changes->masks, Int64GetDatum(0));
	}
	ExecDropSingleTupleTableSlot(row);
}

/* What goes with the last of its log was deleted before. */
static void
read_deleted(Changes *changes, const TriggerData *trigger)
{
	TupleTableSlot *row = rewind_rows(trigger->tg_oldtable, changes->desc);

	while (tuplestore_gettupleslot(trigger->tg_oldtable, true, false, row))
	{
		if (is_set(row, "deleted_at"))
			continue;
		add(changes, row);
		bmw_sql_column_add_null(&changes->masks);
	}
	ExecDropSingleTupleTableSlot(row);
}

static TupleTableSlot *
rewind_rows(Tuplestorestate *rows, TupleDesc desc)
{
	tuplestore_select_read_pointer(rows, 0);
	tuplestore_rescan(rows);
	return MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
}

static bool
is_set(TupleTableSlot *row, const char *column)
{
	bool is_null;

	(void) value_of(row, column, &is_null);
	return !is_null;
}

static void
add(Changes *changes, TupleTableSlot *row)
{
	bool is_null;
	Datum value = value_of(row, changes->table->endpoint, &is_null);

	add_value(&changes->endpoints, value, is_null);
	value = value_of(row, changes->table->application, &is_null);
	add_value(&changes->applications, value, is_null);
}

/* NULL of a column that the table does not have. */
static Datum
value_of(TupleTableSlot *row, const char *column, bool *is_null)
{
	int number = column != NULL ? SPI_fnumber(row->tts_tupleDescriptor, column) : 0;

	*is_null = true;
	return number > 0 ? slot_getattr(row, number, is_null) : (Datum) 0;
}

static void
add_value(BmwSqlColumn *column, Datum value, bool is_null)
{
	if (is_null)
		bmw_sql_column_add_null(column);
	else
		bmw_sql_column_add(column, column->type == TEXTOID ? datumCopy(value, false, -1) : value);
}

static void
note_as_owner(const Changes *changes)
{
	Datum acting_as = bmw_ownership_caller_name();
	Datum values[6] = {CStringGetTextDatum(changes->table->subject),
					   bmw_sql_column_array(&changes->endpoints),
					   bmw_sql_column_array(&changes->applications),
					   bmw_sql_column_array(&changes->masks),
					   column_names(changes->desc),
					   acting_as};
	BmwIdentity before = bmw_identity_become(bmw_event_store_owner());

	SPI_connect();
	bmw_statement_run_with(&note, values, changes->table->application == NULL ? "  n   " : NULL, 0);
	SPI_finish();
	bmw_identity_return(before);
}

static Datum
column_names(TupleDesc desc)
{
	BmwSqlColumn names;

	bmw_sql_column_init(&names, TEXTOID, desc->natts);
	for (int i = 0; i < desc->natts; i++)
		bmw_sql_column_add_string(&names, NameStr(TupleDescAttr(desc, i)->attname));
	return bmw_sql_column_array(&names);
}

/* Not until the extension is updated. */
static bool
has_record(void)
{
	return get_attnum(bmw_statement_table("operation"), "changed_columns") != InvalidAttrNumber;
}

static void
refuse(void)
{
	ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
			errmsg("a trigger function of bm_webhook was called in another way"));
}
