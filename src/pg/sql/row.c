/*
 * pg/sql/row.c - a row on its way into a table of ours, for the triggers that check it.
 *
 * A trigger cannot see whether an id was written in the statement or generated.
 * But the sequence remembers what it gave to this session last, and an id that
 * was generated for this row is that value, and not one used before.
 */
#include "postgres.h"

#include "pg/sql/row.h"

#include "access/htup_details.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pg/sql/identity.h"
#include "pg/sql/statement.h"
#include "utils/acl.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

static bool is_table(Relation relation, const char *table);
static bool is_generated(const BmwRow *row, BmwLastId *last);
static bool was_given_last(Oid sequence, Oid owner, int64 id);
static void release_resources(ResourceOwner parent);
static int number_of(const BmwRow *row, const char *column);

TriggerData *
bmw_row_trigger(FunctionCallInfo fcinfo, TriggerEvent timing, const char *table)
{
	TriggerData *trigger = CALLED_AS_TRIGGER(fcinfo) ? (TriggerData *) fcinfo->context : NULL;

	if (trigger == NULL ||
		(trigger->tg_event & (TRIGGER_EVENT_TIMINGMASK | TRIGGER_EVENT_ROW)) != timing ||
		!is_table(trigger->tg_relation, table))
		ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("a trigger function of bm_webhook was called in another way"));
	return trigger;
}

/* Of other tables the columns may have other types. */
static bool
is_table(Relation relation, const char *table)
{
	return bmw_statement_is_own_schema(RelationGetNamespace(relation)) &&
		   (table == NULL || strcmp(RelationGetRelationName(relation), table) == 0);
}

BmwRow
bmw_row_begin(FunctionCallInfo fcinfo, const char *table)
{
	TriggerData *trigger = bmw_row_trigger(fcinfo, TRIGGER_EVENT_BEFORE | TRIGGER_EVENT_ROW, table);
	TupleDesc desc = RelationGetDescr(trigger->tg_relation);
	bool is_update = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event);
	BmwRow row = {
		.relation = trigger->tg_relation,
		.desc = desc,
		.values = palloc(sizeof(Datum) * desc->natts),
		.nulls = palloc(sizeof(bool) * desc->natts),
	};

	heap_deform_tuple(is_update ? trigger->tg_newtuple : trigger->tg_trigtuple, desc, row.values,
					  row.nulls);
	if (!is_update)
		return row;
	row.old_values = palloc(sizeof(Datum) * desc->natts);
	row.old_nulls = palloc(sizeof(bool) * desc->natts);
	heap_deform_tuple(trigger->tg_trigtuple, desc, row.old_values, row.old_nulls);
	return row;
}

Datum
bmw_row_end(const BmwRow *row)
{
	return PointerGetDatum(heap_form_tuple(row->desc, row->values, row->nulls));
}

bool
bmw_row_is_update(const BmwRow *row)
{
	return row->old_values != NULL;
}

bool
bmw_row_has_changed(const BmwRow *row, const char *column)
{
	int i;
	Form_pg_attribute attribute;

	/* between the start with a new library and ALTER EXTENSION UPDATE */
	if (SPI_fnumber(row->desc, column) == SPI_ERROR_NOATTRIBUTE)
		return false;
	i = number_of(row, column);
	attribute = TupleDescAttr(row->desc, i);
	if (!bmw_row_is_update(row) || row->nulls[i] != row->old_nulls[i])
		return true;
	return !row->nulls[i] && !datum_image_eq(row->values[i], row->old_values[i],
											 attribute->attbyval, attribute->attlen);
}

bool
bmw_row_has_column(const BmwRow *row, const char *column)
{
	return SPI_fnumber(row->desc, column) > 0;
}

bool
bmw_row_has_type(const BmwRow *row, const char *column, Oid type)
{
	return TupleDescAttr(row->desc, number_of(row, column))->atttypid == type;
}

bool
bmw_row_is_null(const BmwRow *row, const char *column)
{
	return row->nulls[number_of(row, column)];
}

Datum
bmw_row_value(const BmwRow *row, const char *column)
{
	return row->values[number_of(row, column)];
}

Datum
bmw_row_old_value(const BmwRow *row, const char *column)
{
	return row->old_values[number_of(row, column)];
}

bool
bmw_row_was_set(const BmwRow *row, const char *column)
{
	return !row->old_nulls[number_of(row, column)];
}

void
bmw_row_set(BmwRow *row, const char *column, Datum value)
{
	row->values[number_of(row, column)] = value;
	row->nulls[number_of(row, column)] = false;
}

void
bmw_row_set_null(BmwRow *row, const char *column)
{
	row->nulls[number_of(row, column)] = true;
}

void
bmw_row_keep_created_at(BmwRow *row)
{
	if (bmw_row_is_update(row))
		bmw_row_set(row, "created_at", bmw_row_old_value(row, "created_at"));
	else if (bmw_row_is_null(row, "created_at") || !bmw_row_may_choose(row))
		bmw_row_set(row, "created_at", TimestampTzGetDatum(GetCurrentTimestamp()));
}

void
bmw_row_require(const BmwRow *row, const char *const *columns, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (bmw_row_is_null(row, columns[i]))
			ereport(ERROR, errcode(ERRCODE_NOT_NULL_VIOLATION),
					errmsg("\"%s\" must not be null", columns[i]),
					errhint("Leave a column out to get its default."));
}

void
bmw_row_refuse_change(const BmwRow *row, const char *column, const char *hint)
{
	if (bmw_row_is_update(row) && bmw_row_has_changed(row, column))
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("\"%s\" cannot be changed", column), errhint("%s", hint));
}

void
bmw_row_check_id(BmwRow *row, BmwLastId *last)
{
	static const char *const id[] = {"id"};

	bmw_row_require(row, id, lengthof(id));
	bmw_row_refuse_change(row, "id", "Deliveries refer to it: make a new row.");
	row->is_restored = !bmw_row_is_update(row) && !is_generated(row, last);
	if (row->is_restored && !bmw_row_may_choose(row))
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("\"id\" cannot be chosen"),
				errhint("Leave it out, and it is generated."));
}

bool
bmw_row_may_choose(const BmwRow *row)
{
	return has_privs_of_role(GetUserId(), row->relation->rd_rel->relowner);
}

static bool
is_generated(const BmwRow *row, BmwLastId *last)
{
	int64 id = DatumGetInt64(bmw_row_value(row, "id"));
	Oid relid = RelationGetRelid(row->relation);
	Oid sequence = bmw_identity_sequence(row->relation, number_of(row, "id") + 1);

	if (last->relid == relid && last->id == id)
		return false;
	if (!was_given_last(sequence, row->relation->rd_rel->relowner, id))
		return false;
	*last = (BmwLastId){relid, id};
	return true;
}

/* Asked as the owner: to generate an id needs no right on the sequence, to ask does. */
static bool
was_given_last(Oid sequence, Oid owner, int64 id)
{
	volatile bool is_last = false;
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner resources = CurrentResourceOwner;
	BmwIdentity before = bmw_identity_become(owner);

	/* of its own: when it fails, the sequence stays open */
	CurrentResourceOwner = ResourceOwnerCreate(resources, "bm_webhook currval");
	PG_TRY();
	{
		is_last = DatumGetInt64(DirectFunctionCall1(currval_oid, ObjectIdGetDatum(sequence))) == id;
	}
	PG_CATCH();
	{
		/* it gave none to this session; the caller raises an error all the same */
		if (geterrcode() != ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)
			PG_RE_THROW();
		MemoryContextSwitchTo(caller);
		FlushErrorState();
	}
	PG_END_TRY();
	release_resources(resources);
	bmw_identity_return(before);
	return is_last;
}

/* Those of the current owner, which goes; then it is this one again. */
static void
release_resources(ResourceOwner parent)
{
	ResourceOwner owner = CurrentResourceOwner;

	CurrentResourceOwner = parent;
	ResourceOwnerRelease(owner, RESOURCE_RELEASE_BEFORE_LOCKS, false, false);
	ResourceOwnerRelease(owner, RESOURCE_RELEASE_LOCKS, false, false);
	ResourceOwnerRelease(owner, RESOURCE_RELEASE_AFTER_LOCKS, false, false);
	ResourceOwnerDelete(owner);
}

static int
number_of(const BmwRow *row, const char *column)
{
	int number = SPI_fnumber(row->desc, column);

	if (number <= 0)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_COLUMN),
				errmsg("column \"%s\" does not exist", column));
	return number - 1;
}

void
bmw_row_refuse(const char *message, const char *detail, const char *hint)
{
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", message),
			errdetail("%s", detail), errhint("%s", hint));
}
