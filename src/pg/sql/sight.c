/*
 * pg/sql/sight.c - what the current user sees: functions of the policies of row-level security.
 *
 * They are called when a query is planned, and become constants of the plan. So a policy costs nothing for those
 * who see all, and is for the others the condition that they would write themselves, with its index. Of who owns
 * many, each row is looked up instead: the planner compares a list with the statistics of each partition, which
 * would take it a second.
 * PostgreSQL keeps such a plan for the role alone that it was made for. Once privileges, memberships, owners or
 * endpoints change, every session in which they were called makes its plans anew: what changes them sends the
 * invalidation of the table `operation`, which all of them wait for.
 */
#include "postgres.h"

#include "pg/sql/sight.h"

#include "access/xact.h"
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
PG_FUNCTION_INFO_V1(bm_webhook_own_application);
PG_FUNCTION_INFO_V1(bm_webhook_own_applications);
PG_FUNCTION_INFO_V1(bm_webhook_own_endpoints);
PG_FUNCTION_INFO_V1(bm_webhook_owner_of_many);
PG_FUNCTION_INFO_V1(bm_webhook_is_endpoint_of);
PG_FUNCTION_INFO_V1(bm_webhook_is_application_of);

/* So many are a list in a plan. */
#define FEW 500

/*
 * The roles that $1 is a member of, found from it by the index of memberships, and their applications by that of
 * owners: what others own is not read. A superuser is a member of all.
 */
#define OWN                                                                                        \
	"a.owner OPERATOR(pg_catalog.=) ANY (ARRAY("                                                   \
	" WITH RECURSIVE r (oid) AS (SELECT $1 UNION SELECT m.roleid"                                  \
	"  FROM pg_catalog.pg_auth_members m JOIN r ON m.member OPERATOR(pg_catalog.=) r.oid)"         \
	" SELECT r.oid FROM r UNION SELECT s.oid FROM pg_catalog.pg_roles s"                           \
	"  WHERE s.rolname OPERATOR(pg_catalog.=) 'pg_database_owner'"                                 \
	"   AND pg_catalog.pg_has_role($1, s.oid, 'MEMBER')"                                           \
	" UNION SELECT s.oid FROM pg_catalog.pg_roles s"                                               \
	"  WHERE (SELECT u.rolsuper FROM pg_catalog.pg_roles u WHERE u.oid OPERATOR(pg_catalog.=) $1)))"

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

typedef struct OwnList
{
	Datum array;	 /* 0: not read yet */
	Datum *elements; /* of it, sorted */
	int count;
} OwnList;

/* As long as nothing says that it has changed. */
static struct
{
	Oid role;
	bool is_valid;
	MemoryContext context;
	OwnList lists[LISTS];
} owned;

static Oid operation = InvalidOid; /* the table */

static void watch_privileges(void);
static void on_membership(Datum arg, int cache, uint32 hash);
static void on_relation(Datum arg, Oid relation);
static Datum list_of_few(int which, Oid type);
static bool may_ask_of(Oid role);
static bool owns_many(void);
static const OwnList *list(Oid role, int which);
static void forget(Oid role);
static void read_list(int which);
static void sort_elements(OwnList *list, Oid type);
static bool has(const OwnList *list, Datum element, int (*compare)(const void *, const void *));
static int compare_ids(const void *a, const void *b);
static int compare_names(const void *a, const void *b);
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

/* own_application(living boolean): NULL, if the current user owns none or several */
Datum
bm_webhook_own_application(PG_FUNCTION_ARGS)
{
	const int which = PG_GETARG_BOOL(0) ? LIVING_APPLICATIONS : APPLICATIONS;
	const OwnList *own;

	if (owns_many())
		PG_RETURN_NULL();
	own = list(GetUserId(), which);
	if (own->count != 1)
		PG_RETURN_NULL();
	return datumCopy(own->elements[0], false, -1);
}

/* own_applications(living boolean) */
Datum
bm_webhook_own_applications(PG_FUNCTION_ARGS)
{
	return list_of_few(PG_GETARG_BOOL(0) ? LIVING_APPLICATIONS : APPLICATIONS, TEXTOID);
}

/* own_endpoints() */
Datum
bm_webhook_own_endpoints(PG_FUNCTION_ARGS)
{
	return list_of_few(ENDPOINTS, INT8OID);
}

/* owner_of_many(): NULL, if the current user is none */
Datum
bm_webhook_owner_of_many(PG_FUNCTION_ARGS)
{
	if (!owns_many())
		PG_RETURN_NULL();
	PG_RETURN_OID(GetUserId());
}

/* is_endpoint_of(role oid, endpoint bigint) */
Datum
bm_webhook_is_endpoint_of(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(may_ask_of(PG_GETARG_OID(0)) &&
				   has(list(PG_GETARG_OID(0), ENDPOINTS), PG_GETARG_DATUM(1), compare_ids));
}

/* is_application_of(role oid, application text, living boolean) */
Datum
bm_webhook_is_application_of(PG_FUNCTION_ARGS)
{
	const int which = PG_GETARG_BOOL(2) ? LIVING_APPLICATIONS : APPLICATIONS;

	PG_RETURN_BOOL(
		may_ask_of(PG_GETARG_OID(0)) &&
		has(list(PG_GETARG_OID(0), which), PointerGetDatum(PG_GETARG_TEXT_PP(1)), compare_names));
}

/* The role of the plan; others come when a cursor is read by who has not opened it. */
static bool
may_ask_of(Oid role)
{
	return has_privs_of_role(GetUserId(), role);
}

/* A copy, as what is kept may be forgotten while a caller still has it; empty, if many are owned. */
static Datum
list_of_few(int which, Oid type)
{
	if (owns_many())
		return PointerGetDatum(construct_empty_array(type));
	return datumCopy(list(GetUserId(), which)->array, false, -1);
}

static bool
owns_many(void)
{
	watch_privileges();
	return list(GetUserId(), APPLICATIONS)->count > FEW ||
		   list(GetUserId(), ENDPOINTS)->count > FEW;
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

/* Is valid before it is read: what changes meanwhile makes it invalid again. Not while others work at the same query,
 * in whose time nothing new can be read. */
static const OwnList *
list(Oid role, int which)
{
	if (!OidIsValid(operation))
		watch_privileges();
	if (owned.role != role || !(owned.is_valid || IsInParallelMode()))
		forget(role);
	if (owned.lists[which].array == 0)
		read_list(which);
	return &owned.lists[which];
}

static void
forget(Oid role)
{
	if (owned.context == NULL)
		owned.context =
			AllocSetContextCreate(CacheMemoryContext, "bm_webhook owned", ALLOCSET_SMALL_SIZES);
	MemoryContextReset(owned.context);
	memset(owned.lists, 0, sizeof(owned.lists));
	owned.role = role;
	owned.is_valid = true;
}

/* As the owner of the log, who sees all; with the latest snapshot, as the plan may be used with later ones. */
static void
read_list(int which)
{
	Datum values[1] = {ObjectIdGetDatum(owned.role)};
	BmwIdentity before = bmw_identity_become(bmw_event_store_owner());
	MemoryContext caller;
	bool is_null;
	Datum found;

	SPI_connect();
	(void) bmw_statement_run_latest(&statements[which], values);
	found = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null);
	caller = MemoryContextSwitchTo(owned.context);
	owned.lists[which].array = PointerGetDatum(PG_DETOAST_DATUM_COPY(found));
	sort_elements(&owned.lists[which], which == ENDPOINTS ? INT8OID : TEXTOID);
	MemoryContextSwitchTo(caller);
	SPI_finish();
	bmw_identity_return(before);
}

static void
sort_elements(OwnList *list, Oid type)
{
	int16 length;
	bool is_by_value;
	char align;

	get_typlenbyvalalign(type, &length, &is_by_value, &align);
	deconstruct_array(DatumGetArrayTypeP(list->array), type, length, is_by_value, align,
					  &list->elements, NULL, &list->count);
	qsort(list->elements, list->count, sizeof(Datum),
		  type == INT8OID ? compare_ids : compare_names);
}

static bool
has(const OwnList *list, Datum element, int (*compare)(const void *, const void *))
{
	return bsearch(&element, list->elements, list->count, sizeof(Datum), compare) != NULL;
}

static int
compare_ids(const void *a, const void *b)
{
	const int64 x = DatumGetInt64(*(const Datum *) a);
	const int64 y = DatumGetInt64(*(const Datum *) b);

	return (x > y) - (x < y);
}

/* By their bytes, which is how "=" compares them. */
static int
compare_names(const void *a, const void *b)
{
	const struct varlena *x = (const struct varlena *) DatumGetPointer(*(const Datum *) a);
	const struct varlena *y = (const struct varlena *) DatumGetPointer(*(const Datum *) b);
	const int x_len = VARSIZE_ANY_EXHDR(x);
	const int y_len = VARSIZE_ANY_EXHDR(y);

	return x_len != y_len ? x_len - y_len : memcmp(VARDATA_ANY(x), VARDATA_ANY(y), x_len);
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
