/*
 * pg/capture/query.c - the rows of a statement that a condition lets through, as a query.
 *
 * The condition's names are looked up in pg_catalog only, like those of a row
 * trigger that watch() creates, whoever's search_path is set.
 */
#include "postgres.h"

#include "pg/capture/query.h"

#include "catalog/pg_type.h"
#include "pg/capture/plan.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/typcache.h"

static char *query_text(TriggerData *trigger, const BmwCaptureArguments *arguments);
static void append_join(StringInfo sql, Relation relation, const char *key);

SPIPlanPtr
bmw_capture_query_prepare(TriggerData *trigger, const BmwCaptureArguments *arguments)
{
	SPI_register_trigger_data(trigger);

	int nest_level = bmw_capture_query_restrict();
	SPIPlanPtr query = SPI_prepare(query_text(trigger, arguments), 0, NULL);

	AtEOXact_GUC(false, nest_level);
	if (query == NULL)
		ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR),
				errmsg("could not prepare the query of a capture trigger"));
	return query;
}

/* The aliases are what a condition calls the rows: NEW and OLD. */
static char *
query_text(TriggerData *trigger, const BmwCaptureArguments *arguments)
{
	StringInfoData sql;

	initStringInfo(&sql);
	if (TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		appendStringInfoString(&sql, "SELECT old.* FROM old_rows AS old");
	else
		appendStringInfo(&sql, "SELECT new.*%s FROM new_rows AS new",
						 bmw_capture_query_has_pairs(arguments) ? ", old.*" : "");
	if (arguments->key != NULL)
		append_join(&sql, trigger->tg_relation, arguments->key);
	if (arguments->when != NULL)
		appendStringInfo(&sql, " WHERE (%s\n)", arguments->when);
	return sql.data;
}

bool
bmw_capture_query_has_pairs(const BmwCaptureArguments *arguments)
{
	return arguments->old != NULL && arguments->key != NULL;
}

/* LEFT JOIN: a row whose key was changed still counts, as one without an old version. */
static void
append_join(StringInfo sql, Relation relation, const char *key)
{
	char **names;
	int length = bmw_capture_names(key, &names);

	appendStringInfoString(sql, " LEFT JOIN old_rows AS old ON ");
	for (int i = 0; i < length; i++)
	{
		TupleDesc desc = RelationGetDescr(relation);
		Oid type = TupleDescAttr(desc, bmw_capture_column(relation, desc, names[i]))->atttypid;
		Oid equality = lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr;
		const char *name = quote_identifier(names[i]);

		if (!OidIsValid(equality))
			ereport(ERROR, errcode(ERRCODE_UNDEFINED_FUNCTION),
					errmsg("key column \"%s\" has a type without equality", names[i]));
		if (i > 0)
			appendStringInfoString(sql, " AND ");
		generate_operator_clause(sql, psprintf("new.%s", name), type, equality,
								 psprintf("old.%s", name), type);
	}
}

/*
 * The plan is kept, and may have been made for one row: a nested loop over the
 * million rows of the next statement would never end. Undone by AtEOXact_GUC().
 */
int
bmw_capture_query_restrict(void)
{
	int nest_level = NewGUCNestLevel();

	set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
					  GUC_ACTION_SAVE, true, 0, false);
	set_config_option("enable_nestloop", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true,
					  0, false);
	return nest_level;
}
