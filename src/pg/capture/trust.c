/*
 * pg/capture/trust.c - whose code a watch runs.
 *
 * Whoever writes a row runs the function of a watch, and the casts to json that
 * PostgreSQL calls when it converts a value of a user's type. He has to trust
 * the owner of the table, who can put any trigger on it; nobody else. So this
 * code must belong to a role with the rights of that owner. As for triggers, the
 * writer himself needs neither EXECUTE nor USAGE of its schema.
 *
 * So it is with the condition of a statement trigger, which is a text: its names are looked up again in
 * every session, and whoever may create functions in a schema could add one that fits better.
 */
#include "postgres.h"

#include "pg/capture/trust.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_cast.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"
#include "utils/varlena.h"

static Oid find_function(const char *name, Oid row_type);
static void check_result(Oid function);
static bool is_trusted(Oid function, Oid watched);
static Oid relation_owner(Oid relation);
static Oid function_owner(Oid function);
static List *check_columns(TupleDesc desc, Oid watched, List *relations);
static List *check_type(Oid type, Oid watched, List *relations);
static List *check_composite(Oid type, Oid watched, List *relations);
static void check_cast(Oid type, Oid watched);
static Oid json_cast(Oid type);
static bool check_node(Node *node, void *watched);
static bool check_called(Oid function, void *watched);

/* By name and row type, not by OID or signature: so it survives a dump and a rename of the table. */
Oid
bmw_capture_trust_function(const char *name, Oid watched)
{
	Oid function = find_function(name, get_rel_type_id(watched));

	if (!OidIsValid(function))
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_FUNCTION),
				errmsg("function %s(%s) does not exist", name, get_rel_name(watched)),
				errhint("The function must have one argument, the row type of the watched table."));
	check_result(function);
	if (!is_trusted(function, watched))
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("function %s does not belong to the owner of \"%s\"",
					   get_func_name(function), get_rel_name(watched)),
				errhint("Let \"%s\" own the function.",
						GetUserNameFromId(relation_owner(watched), false)));
	return function;
}

List *
bmw_capture_trust_columns(TupleDesc desc, Oid watched)
{
	return check_columns(desc, watched, NIL);
}

void
bmw_capture_trust_query(SPIPlanPtr query, Oid watched)
{
	ListCell *cell;

	foreach (cell, ((CachedPlanSource *) linitial(SPI_plan_get_plan_sources(query)))->query_list)
		(void) check_node(lfirst(cell), &watched);
}

static Oid
find_function(const char *name, Oid row_type)
{
	List *names = textToQualifiedNameList(cstring_to_text(name));
	Oid schema =
		list_length(names) == 2 ? get_namespace_oid(strVal(linitial(names)), true) : InvalidOid;

	if (!OidIsValid(schema))
		return InvalidOid;
	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
						   CStringGetDatum(strVal(lsecond(names))),
						   PointerGetDatum(buildoidvector(&row_type, 1)), ObjectIdGetDatum(schema));
}

static void
check_result(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_FUNCTION),
				errmsg("function with OID %u does not exist", function));

	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);

	if (form->prorettype != JSONBOID || form->proretset || form->prokind != PROKIND_FUNCTION)
		ereport(ERROR, errcode(ERRCODE_DATATYPE_MISMATCH),
				errmsg("function %s does not return jsonb", NameStr(form->proname)),
				errhint("The function must return one value of type jsonb."));
	ReleaseSysCache(tuple);
}

static bool
is_trusted(Oid function, Oid watched)
{
	return has_privs_of_role(function_owner(function), relation_owner(watched));
}

static Oid
relation_owner(Oid relation)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Oid owner = HeapTupleIsValid(tuple) ? ((Form_pg_class) GETSTRUCT(tuple))->relowner : InvalidOid;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return owner;
}

static Oid
function_owner(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Oid owner = HeapTupleIsValid(tuple) ? ((Form_pg_proc) GETSTRUCT(tuple))->proowner : InvalidOid;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return owner;
}

static List *
check_columns(TupleDesc desc, Oid watched, List *relations)
{
	for (int i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped)
			relations = check_type(TupleDescAttr(desc, i)->atttypid, watched, relations);
	return relations;
}

/* The order in which PostgreSQL looks for a conversion: element by element, field by field, by a cast. */
static List *
check_type(Oid type, Oid watched, List *relations)
{
	Oid base = getBaseType(type);
	Oid element = get_element_type(base);

	check_stack_depth();
	if (base < FirstNormalObjectId)
		return relations;
	if (OidIsValid(element))
		return check_type(element, watched, relations);
	if (type_is_rowtype(base))
		return check_composite(base, watched, relations);
	check_cast(base, watched);
	return relations;
}

static List *
check_composite(Oid type, Oid watched, List *relations)
{
	TupleDesc desc = lookup_rowtype_tupdesc(type, -1);

	relations = lappend_oid(relations, get_typ_typrelid(type));
	relations = check_columns(desc, watched, relations);
	ReleaseTupleDesc(desc);
	return relations;
}

static void
check_cast(Oid type, Oid watched)
{
	Oid function = json_cast(type);

	if (OidIsValid(function) && !is_trusted(function, watched))
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("the cast of type %s to json does not belong to the owner of \"%s\"",
					   format_type_be(type), get_rel_name(watched)),
				errhint("Let \"%s\" own function %s, or leave such columns out with \"columns\".",
						GetUserNameFromId(relation_owner(watched), false),
						get_func_name(function)));
}

static Oid
json_cast(Oid type)
{
	HeapTuple tuple =
		SearchSysCache2(CASTSOURCETARGET, ObjectIdGetDatum(type), ObjectIdGetDatum(JSONOID));
	Oid function =
		HeapTupleIsValid(tuple) ? ((Form_pg_cast) GETSTRUCT(tuple))->castfunc : InvalidOid;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return function;
}

static bool
check_node(Node *node, void *watched)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, check_node, watched, 0);
	(void) check_functions_in_node(node, check_called, watched);
	return expression_tree_walker(node, check_node, watched);
}

static bool
check_called(Oid function, void *watched)
{
	const Oid table = *(const Oid *) watched;

	if (function >= FirstNormalObjectId && !is_trusted(function, table))
		ereport(
			ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			errmsg("function %s, which \"condition\" calls, does not belong to the owner of \"%s\"",
				   get_func_name(function), get_rel_name(table)),
			errhint("Let \"%s\" own the function.",
					GetUserNameFromId(relation_owner(table), false)));
	return false;
}
