/*
 * pg/sql/sight.c - what the current user sees: functions of the policies of row-level security.
 *
 * They are called when a query is planned, and become constants of the plan. So a policy costs nothing for those
 * who see all, and is for the others the condition that they would write themselves, with its index.
 * PostgreSQL keeps such a plan for the role alone that it was made for. Once privileges, memberships, owners or
 * endpoints change, every session in which they were called makes its plans anew: what changes them sends the
 * invalidation of the table `operation`, which all of them wait for.
 */
#include "postgres.h"

#include "pg/sql/sight.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pg/sql/identity.h"
#include "pg/sql/insert.h"
#include "pg/sql/ownership.h"
#include "pg/sql/statement.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/datum.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(bm_webhook_sees_all);
PG_FUNCTION_INFO_V1(bm_webhook_own_applications);
PG_FUNCTION_INFO_V1(bm_webhook_own_endpoints);

#define OWN "pg_catalog.pg_has_role($1, a.owner, 'MEMBER')"

/* What a role owns. */
enum
{
	APPLICATIONS,
	LIVING_APPLICATIONS,
	ENDPOINTS,
	LISTS
};

static BmwStatement statements[LISTS] = {
	{"SELECT coalesce(pg_catalog.array_agg(a.name), '{}') FROM bm_webhook.application a WHERE " OWN,
	 1,
	 {OIDOID},
	 .is_stable = true},
	{"SELECT coalesce(pg_catalog.array_agg(a.name), '{}') FROM bm_webhook.application a"
	 " WHERE a.deleted_at IS NULL AND " OWN,
	 1,
	 {OIDOID},
	 .is_stable = true},
	{"SELECT coalesce(pg_catalog.array_agg(e.id), '{}') FROM bm_webhook.application a"
	 " JOIN bm_webhook.endpoint e ON e.application OPERATOR(pg_catalog.=) a.name WHERE " OWN,
	 1,
	 {OIDOID},
	 .is_stable = true}};

/* As long as nothing says that it has changed. */
static struct
{
	Oid role;
	bool is_valid;
	MemoryContext context;
	Datum lists[LISTS]; /* arrays; 0: not read yet */
} owned;

static Oid operation = InvalidOid; /* the table */

static void watch_privileges(void);
static void on_membership(Datum arg, int cache, uint32 hash);
static void on_relation(Datum arg, Oid relation);
static Datum list(int which);
static void forget(void);
static Datum read_list(BmwStatement *statement);
static bool is_of_ownership(const TriggerData *trigger);

/* sees_all(relation regclass) */
Datum
bm_webhook_sees_all(PG_FUNCTION_ARGS)
{
	watch_privileges();
	PG_RETURN_BOOL(pg_class_aclcheck(PG_GETARG_OID(0), GetUserId(), ACL_SELECT) == ACLCHECK_OK);
}

bool
bmw_sight_is_operator(void)
{
	Oid relation = get_relname_relid("operation", get_namespace_oid("bm_webhook", true));

	return OidIsValid(relation) &&
		   pg_class_aclcheck(relation, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
}

/* own_applications(living boolean): a copy, as what is kept may be forgotten while a caller still has it. */
Datum
bm_webhook_own_applications(PG_FUNCTION_ARGS)
{
	return datumCopy(list(PG_GETARG_BOOL(0) ? LIVING_APPLICATIONS : APPLICATIONS), false, -1);
}

/* own_endpoints() */
Datum
bm_webhook_own_endpoints(PG_FUNCTION_ARGS)
{
	return datumCopy(list(ENDPOINTS), false, -1);
}

void
bmw_sight_changed(const TriggerData *trigger)
{
	Oid relation = get_relname_relid("operation", get_namespace_oid("bm_webhook", false));

	if (OidIsValid(relation) && is_of_ownership(trigger))
		CacheInvalidateRelcacheByRelid(relation);
}

/* Of an endpoint: it came, went, or is another's now. */
static bool
is_of_ownership(const TriggerData *trigger)
{
	TupleDesc desc = RelationGetDescr(trigger->tg_relation);
	int column = SPI_fnumber(desc, "application");
	bool was_null;
	bool is_null;
	Datum was;
	Datum is;

	if (strcmp(RelationGetRelationName(trigger->tg_relation), "application") == 0)
		return true;
	if (column == SPI_ERROR_NOATTRIBUTE || !TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		return column != SPI_ERROR_NOATTRIBUTE;
	was = SPI_getbinval(trigger->tg_trigtuple, desc, column, &was_null);
	is = SPI_getbinval(trigger->tg_newtuple, desc, column, &is_null);
	return was_null != is_null || (!is_null && !datum_image_eq(was, is, false, -1));
}

/* Is valid before it is read: what changes meanwhile makes it invalid again. */
static Datum
list(int which)
{
	watch_privileges();
	if (!owned.is_valid || owned.role != GetUserId())
		forget();
	if (owned.lists[which] == 0)
		owned.lists[which] = read_list(&statements[which]);
	return owned.lists[which];
}

static void
forget(void)
{
	if (owned.context == NULL)
		owned.context =
			AllocSetContextCreate(CacheMemoryContext, "bm_webhook owned", ALLOCSET_SMALL_SIZES);
	MemoryContextReset(owned.context);
	memset(owned.lists, 0, sizeof(owned.lists));
	owned.role = GetUserId();
	owned.is_valid = true;
}

/* As the owner of the log, who sees all; with the latest snapshot, as the plan may be used with later ones. */
static Datum
read_list(BmwStatement *statement)
{
	Datum values[1] = {ObjectIdGetDatum(GetUserId())};
	BmwIdentity before = bmw_identity_become(bmw_event_store_owner());
	MemoryContext caller;
	bool is_null;
	Datum found;

	SPI_connect();
	(void) bmw_statement_run_latest(statement, values);
	found = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null);
	caller = MemoryContextSwitchTo(owned.context);
	found = PointerGetDatum(PG_DETOAST_DATUM_COPY(found));
	MemoryContextSwitchTo(caller);
	SPI_finish();
	bmw_identity_return(before);
	return found;
}

/* Plans depend by themselves on the tables that they read, but not on this one, nor on memberships. */
static void
watch_privileges(void)
{
	if (!OidIsValid(operation))
	{
		CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, on_membership, (Datum) 0);
		/* superusers have the rights of every role, and who owns the database those of pg_database_owner */
		CacheRegisterSyscacheCallback(AUTHOID, on_membership, (Datum) 0);
		CacheRegisterSyscacheCallback(DATABASEOID, on_membership, (Datum) 0);
		CacheRegisterRelcacheCallback(on_relation, (Datum) 0);
	}
	operation = get_relname_relid("operation", get_namespace_oid("bm_webhook", true));
}

static void
on_membership(Datum arg, int cache, uint32 hash)
{
	owned.is_valid = false;
	ResetPlanCache();
}

static void
on_relation(Datum arg, Oid relation)
{
	if (relation != operation && OidIsValid(relation))
		return;
	owned.is_valid = false;
	ResetPlanCache();
}
