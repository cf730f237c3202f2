/*
 * pg/capture/plan.c - a capture trigger's arguments, made ready to be applied to rows.
 *
 * Everything that depends on names is looked up here, once; rows are then
 * processed by index. A trigger that is cloned to a partition gets a plan of
 * its own, because the partition's columns may have another order. A function
 * takes the row type of the watched table; a partition's rows are converted.
 */
#include "postgres.h"

#include "pg/capture/plan.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "core/template.h"
#include "funcapi.h"
#include "pg/capture/trust.h"
#include "pg/server/compat.h"
#include "pg/capture/check.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"
#include "utils/varlena.h"

/* {data.key}: not a column, but a member of what the function returns */
#define DATA_PREFIX "data."
#define MAX_TYPING_ERRORS 3

static BmwCaptureTemplate compile_template(const char *name, const char *text, bool has_function,
										   Relation relation, TupleDesc desc);
static BmwCapturePart compile_part(const BmwTemplatePart *part, bool has_function,
								   Relation relation, TupleDesc desc);
static void compile_occurred_at(BmwCapturePlan *plan, const char *text, Relation relation,
								TupleDesc desc);
static void compile_columns(BmwCapturePlan *plan, const BmwCaptureArguments *arguments,
							Relation relation, TupleDesc desc);
static int choose_all(Relation relation, TupleDesc desc, int *indexes);
static int choose_named(const char *columns, Relation relation, TupleDesc desc, int *indexes);
static const char *nearest_column(TupleDesc desc, const char *name);
static bool is_virtual(Relation relation, const char *name);
static void compile_function(BmwCapturePlan *plan, const BmwCaptureArguments *arguments,
							 TupleDesc desc);
static void notice_constant(const char *name, const BmwCaptureTemplate *template,
							Relation relation);
static void note_columns(BmwCapturePlan *plan, TupleDesc desc);
static void note_parts(BmwCapturePlan *plan, const BmwCaptureTemplate *template, TupleDesc desc);
static void note_column(BmwCapturePlan *plan, TupleDesc desc, int index);
static void check_constants(const BmwCapturePlan *plan);
static const char *example_of(const BmwCaptureTemplate *template, const char *value);

BmwCapturePlan *
bmw_capture_plan_create(const BmwCaptureArguments *arguments, Relation relation, TupleDesc desc)
{
	BmwCapturePlan *plan = palloc0(sizeof(BmwCapturePlan));
	const bool has_function = arguments->function != NULL;

	plan->with_old = arguments->old != NULL;
	plan->type = compile_template("type", arguments->type, has_function, relation, desc);
	plan->application =
		compile_template("application", arguments->application, has_function, relation, desc);
	plan->channel = compile_template("channel", arguments->channel, has_function, relation, desc);
	plan->message_id =
		compile_template("message_id", arguments->message_id, has_function, relation, desc);
	compile_occurred_at(plan, arguments->occurred_at, relation, desc);
	if (arguments->columns != NULL && arguments->function != NULL)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("\"columns\" and \"function\" exclude each other"),
				errhint("Let the function choose the columns."));
	if (arguments->function != NULL)
		compile_function(plan, arguments, desc);
	else if (arguments->message != NULL)
		plan->message =
			bmw_message_map_create(arguments->message, arguments->fields, relation, desc);
	else
		compile_columns(plan, arguments, relation, desc);
	note_columns(plan, desc);
	check_constants(plan);
	return plan;
}

BmwCapturePlan *
bmw_capture_plan_create_broken(const BmwCaptureArguments *arguments, Relation relation,
							   TupleDesc desc, const char *fault)
{
	BmwCapturePlan *plan = palloc0(sizeof(BmwCapturePlan));

	plan->fault = pstrdup(fault);
	plan->message_id = compile_template("message_id", arguments->message_id,
										arguments->function != NULL, relation, desc);
	return plan;
}

void
bmw_capture_plan_notice(const BmwCapturePlan *plan, Relation relation)
{
	notice_constant("application", &plan->application, relation);
	notice_constant("channel", &plan->channel, relation);
	notice_constant("message_id", &plan->message_id, relation);
}

static void
notice_constant(const char *name, const BmwCaptureTemplate *template, Relation relation)
{
	const char *constant = template->length == 1 ? template->parts[0].constant : NULL;

	if (constant != NULL && get_attnum(RelationGetRelid(relation), constant) != InvalidAttrNumber)
		ereport(
			NOTICE,
			errmsg("\"%s\" is the constant \"%s\", not the value of the column", name, constant),
			errhint("Write it as {%s} for its value.", constant));
}

int
bmw_capture_column(Relation relation, TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped &&
			strcmp(NameStr(TupleDescAttr(desc, i)->attname), name) == 0)
		{
			if (is_virtual(relation, name))
				ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("column \"%s\" of relation \"%s\" is a virtual generated column",
							   name, RelationGetRelationName(relation)),
						errdetail("PostgreSQL does not compute its value for triggers."),
						errhint("Make it STORED, or use the columns that it is computed from."));
			return i;
		}

	const char *nearest = nearest_column(desc, name);

	ereport(ERROR, errcode(ERRCODE_UNDEFINED_COLUMN),
			errmsg("column \"%s\" of relation \"%s\" does not exist", name,
				   RelationGetRelationName(relation)),
			nearest != NULL
				? errhint("Perhaps you mean the column \"%s\".", nearest)
				: errhint("After a column is renamed or dropped, watch the table again."));
}

/* The column whose name differs least, by three letters at most; NULL: none. */
static const char *
nearest_column(TupleDesc desc, const char *name)
{
	const char *nearest = NULL;
	int distance = MAX_TYPING_ERRORS + 1;

	for (int i = 0; i < desc->natts && strlen(name) < NAMEDATALEN; i++)
	{
		const char *column = NameStr(TupleDescAttr(desc, i)->attname);
		int other = TupleDescAttr(desc, i)->attisdropped
						? distance
						: varstr_levenshtein_less_equal(name, strlen(name), column, strlen(column),
														1, 1, 1, distance, true);

		if (other < distance && other * 2 < (int) strlen(name))
		{
			nearest = column;
			distance = other;
		}
	}
	return nearest;
}

static BmwCaptureTemplate
compile_template(const char *name, const char *text, bool has_function, Relation relation,
				 TupleDesc desc)
{
	BmwCaptureTemplate compiled = {NULL, 0};
	BmwTemplate parsed;

	if (text == NULL)
		return compiled;

	BmwStatus status = bmw_template_parse(text, &parsed);

	if (status != BMW_OK)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("invalid template \"%s\" for \"%s\"", text, name),
				errdetail("%s", bmw_status_text(status)),
				errhint("Write a column as {column}, and a brace as {{ or }}."));
	PG_TRY();
	{
		compiled.parts = palloc0(sizeof(BmwCapturePart) * parsed.length);
		for (int i = 0; i < parsed.length; i++)
			compiled.parts[i] = compile_part(&parsed.parts[i], has_function, relation, desc);
		compiled.length = parsed.length;
	}
	PG_FINALLY();
	{
		bmw_template_free(&parsed);
	}
	PG_END_TRY();
	return compiled;
}

static BmwCapturePart
compile_part(const BmwTemplatePart *part, bool has_function, Relation relation, TupleDesc desc)
{
	BmwCapturePart compiled = {0};
	Oid output;
	bool is_varlena;

	if (!part->is_column)
	{
		compiled.constant = pstrdup(part->text);
		return compiled;
	}
	if (has_function && strncmp(part->text, DATA_PREFIX, strlen(DATA_PREFIX)) == 0)
	{
		compiled.key = pstrdup(part->text + strlen(DATA_PREFIX));
		return compiled;
	}
	compiled.index = bmw_capture_column(relation, desc, part->text);
	compiled.type = getBaseType(TupleDescAttr(desc, compiled.index)->atttypid);
	getTypeOutputInfo(compiled.type, &output, &is_varlena);
	fmgr_info_cxt(output, &compiled.output, CurrentMemoryContext);
	return compiled;
}

static void
compile_occurred_at(BmwCapturePlan *plan, const char *text, Relation relation, TupleDesc desc)
{
	BmwCaptureTemplate template = compile_template("occurred_at", text, false, relation, desc);

	plan->occurred_at = -1;
	if (template.length == 0)
		return;
	if (template.length != 1 || template.parts[0].constant != NULL)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("\"occurred_at\" must be one column"), errhint("Write it as {column}."));
	plan->occurred_at = template.parts[0].index;
	plan->occurred_at_type = template.parts[0].type;
	if (plan->occurred_at_type != TIMESTAMPTZOID && plan->occurred_at_type != TIMESTAMPOID &&
		plan->occurred_at_type != DATEOID)
		ereport(
			ERROR, errcode(ERRCODE_DATATYPE_MISMATCH),
			errmsg("column of \"occurred_at\" has type %s", format_type_be(plan->occurred_at_type)),
			errhint("Use a column of type timestamp with time zone, timestamp or date."));
}

static void
compile_columns(BmwCapturePlan *plan, const BmwCaptureArguments *arguments, Relation relation,
				TupleDesc desc)
{
	int *indexes = palloc(sizeof(int) * Max(desc->natts, 1));
	int length = arguments->columns == NULL
					 ? choose_all(relation, desc, indexes)
					 : choose_named(arguments->columns, relation, desc, indexes);
	TupleDesc data_desc = CreateTemplateTupleDesc(length);

	for (int i = 0; i < length; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, indexes[i]);

		TupleDescInitEntry(data_desc, i + 1, NameStr(column->attname), column->atttypid,
						   column->atttypmod, column->attndims);
		TupleDescInitEntryCollation(data_desc, i + 1, column->attcollation);
	}
	plan->relations = bmw_capture_trust_columns(data_desc, arguments->watched);
	plan->data_desc = BlessTupleDesc(data_desc);
	plan->data_indexes = indexes;
}

static int
choose_all(Relation relation, TupleDesc desc, int *indexes)
{
	int length = 0;

	for (int i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped &&
			!is_virtual(relation, NameStr(TupleDescAttr(desc, i)->attname)))
			indexes[length++] = i;
	return length;
}

static int
choose_named(const char *columns, Relation relation, TupleDesc desc, int *indexes)
{
	char **names;
	int length = bmw_capture_names(columns, &names);

	for (int i = 0; i < length; i++)
	{
		int index = bmw_capture_column(relation, desc, names[i]);

		for (int k = 0; k < i; k++)
			if (indexes[k] == index)
				ereport(ERROR, errcode(ERRCODE_DUPLICATE_COLUMN),
						errmsg("column \"%s\" is given twice", names[i]));
		indexes[i] = index;
	}
	return length;
}

/* Asked of the relation, because the row type of a query does not tell. */
static bool
is_virtual(Relation relation, const char *name)
{
	Oid oid = RelationGetRelid(relation);

	return get_attgenerated(oid, get_attnum(oid, name)) == ATTRIBUTE_GENERATED_VIRTUAL;
}

static void
compile_function(BmwCapturePlan *plan, const BmwCaptureArguments *arguments, TupleDesc desc)
{
	Oid function = bmw_capture_trust_function(arguments->function, arguments->watched);

	plan->has_function = true;
	fmgr_info_cxt(function, &plan->function, CurrentMemoryContext);
	plan->function_desc = lookup_rowtype_tupdesc_copy(get_rel_type_id(arguments->watched), -1);
	plan->function_map = convert_tuples_by_name(CreateTupleDescCopy(desc), plan->function_desc);
}

/* Which columns need care: long ones, and those of types whose functions may raise an error. */
static void
note_columns(BmwCapturePlan *plan, TupleDesc desc)
{
	int length = plan->data_indexes == NULL ? 0 : plan->data_desc->natts;
	int parts = plan->type.length + plan->application.length + plan->channel.length +
				plan->message_id.length;

	plan->sized = palloc(sizeof(int) * (length + parts + 1));
	for (int i = 0; i < length; i++)
		note_column(plan, desc, plan->data_indexes[i]);
	plan->sized_data = plan->sized_length;
	note_parts(plan, &plan->type, desc);
	note_parts(plan, &plan->application, desc);
	note_parts(plan, &plan->channel, desc);
	note_parts(plan, &plan->message_id, desc);
}

static void
note_parts(BmwCapturePlan *plan, const BmwCaptureTemplate *template, TupleDesc desc)
{
	for (int i = 0; i < template->length; i++)
		if (template->parts[i].constant == NULL && template->parts[i].key == NULL)
			note_column(plan, desc, template->parts[i].index);
}

static void
note_column(BmwCapturePlan *plan, TupleDesc desc, int index)
{
	Oid type = getBaseType(TupleDescAttr(desc, index)->atttypid);

	if (get_typlen(type) == -1)
		plan->sized[plan->sized_length++] = index;
	plan->can_raise |= type >= FirstNormalObjectId;
}

/* What does not depend on a row is judged now: no row would make a valid event of a wrong constant. */
static void
check_constants(const BmwCapturePlan *plan)
{
	const BmwEventFault *fault = NULL;

	/* a column may hold a whole type, or one word of it */
	for (int i = 0; i < 2 && (i == 0 || fault != NULL); i++)
	{
		const char *value = i == 0 ? "x" : "x.x";
		BmwNewEvent probe = {
			.type = example_of(&plan->type, value),
			.application = example_of(&plan->application, "x"),
			.channel = example_of(&plan->channel, "x"),
			.message_id = example_of(&plan->message_id, "x"),
			.data = "{}",
		};

		fault = bmw_event_check(&probe);
	}
	if (fault != NULL)
		ereport(ERROR, errcode(fault->sqlstate), errmsg("%s", fault->message),
				errhint("%s", fault->hint));
}

/* The template with a value for each column; NULL when it is not set. */
static const char *
example_of(const BmwCaptureTemplate *template, const char *value)
{
	StringInfoData text;

	if (template->length == 0)
		return NULL;
	initStringInfo(&text);
	for (int i = 0; i < template->length; i++)
		appendStringInfoString(
			&text, template->parts[i].constant != NULL ? template->parts[i].constant : value);
	return text.data;
}
