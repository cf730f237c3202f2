/*
 * pg/sql/estimates.c - what the planner may know of what others have written.
 *
 * Statistics have values of all rows, and estimates tell of them, so EXPLAIN would tell an owner, guess by guess, what
 * others have. Who does not see all is given the statistics of texts without values: how many there are, and in what
 * order. The plans of operators and of the dispatcher are made with all of them.
 */
#include "postgres.h"

#include "pg/sql/estimates.h"

#include "access/htup_details.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_type.h"
#include "nodes/parsenodes.h"
#include "pg/sql/sight.h"
#include "pg/sql/statement.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"
#include "utils/syscache.h"

static get_relation_stats_hook_type next_of_relation;
static get_index_stats_hook_type next_of_index;

static bool of_relation(PlannerInfo *root, RangeTblEntry *entry, AttrNumber number,
						VariableStatData *variable);
static bool of_index(PlannerInfo *root, Oid index, AttrNumber number, VariableStatData *variable);
static bool is_hidden(Oid relation, AttrNumber number);
static bool is_written_by_users(Oid relation, AttrNumber number);
static void set(VariableStatData *variable, Oid relation, AttrNumber number, bool inherits);
static HeapTuple without_values(HeapTuple statistics);

void
bmw_estimates_init(void)
{
	next_of_relation = get_relation_stats_hook;
	get_relation_stats_hook = of_relation;
	next_of_index = get_index_stats_hook;
	get_index_stats_hook = of_index;
}

static bool
of_relation(PlannerInfo *root, RangeTblEntry *entry, AttrNumber number, VariableStatData *variable)
{
	if (entry->rtekind != RTE_RELATION || !is_hidden(entry->relid, number))
		return next_of_relation != NULL && next_of_relation(root, entry, number, variable);
	set(variable, entry->relid, number, entry->inh);
	return true;
}

static bool
of_index(PlannerInfo *root, Oid index, AttrNumber number, VariableStatData *variable)
{
	if (!is_hidden(index, number))
		return next_of_index != NULL && next_of_index(root, index, number, variable);
	set(variable, index, number, false);
	return true;
}

static bool
is_hidden(Oid relation, AttrNumber number)
{
	return bmw_statement_is_own_schema(get_rel_namespace(relation)) &&
		   is_written_by_users(relation, number) && !bmw_sight_is_operator();
}

/* Not numbers, times and identifiers, nor the words that are the extension's own. */
static bool
is_written_by_users(Oid relation, AttrNumber number)
{
	static const char *const own[] = {"status",	  "error_class", "sqlstate",		"kind",
									  "ordering", "payload",	 "signature_scheme"};
	const Oid type = get_atttype(relation, number);
	const char *name;

	if (type != NAMEOID && type != REGROLEOID && get_typlen(type) >= 0)
		return false;
	name = get_attname(relation, number, false);
	for (size_t i = 0; i < lengthof(own); i++)
		if (strcmp(name, own[i]) == 0)
			return false;
	return true;
}

static void
set(VariableStatData *variable, Oid relation, AttrNumber number, bool inherits)
{
	HeapTuple statistics = SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(relation),
										   Int16GetDatum(number), BoolGetDatum(inherits));

	variable->statsTuple = NULL;
	if (!HeapTupleIsValid(statistics))
		return;
	variable->statsTuple = without_values(statistics);
	variable->freefunc = heap_freetuple;
	ReleaseSysCache(statistics);
}

/* What is left is how many are NULL, how many differ, and how the rows are ordered: a number. */
static HeapTuple
without_values(HeapTuple statistics)
{
	HeapTuple rest = heap_copytuple(statistics);
	int16 *kinds = &((Form_pg_statistic) GETSTRUCT(rest))->stakind1;

	for (int i = 0; i < STATISTIC_NUM_SLOTS; i++)
		if (kinds[i] != STATISTIC_KIND_CORRELATION)
			kinds[i] = 0;
	return rest;
}
