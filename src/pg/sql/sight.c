/*
 * pg/sql/sight.c - what the current user sees: functions of the policies of row-level security.
 *
 * sees_all() is called when a query is planned, and is a constant of the plan: so a policy costs
 * nothing for those who see all, and is a plain condition, which an index can serve, for the others.
 * PostgreSQL keeps such a plan for the role alone that it was made for. Once privileges or memberships
 * change, all plans of a session in which it was called are made anew.
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
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(bm_webhook_sees_all);
PG_FUNCTION_INFO_V1(bm_webhook_own_applications);
PG_FUNCTION_INFO_V1(bm_webhook_own_endpoints);

#define OWN "pg_catalog.pg_has_role($1, a.owner, 'MEMBER')"

static BmwStatement own_applications = {
	"SELECT coalesce(pg_catalog.array_agg(a.name), '{}') FROM bm_webhook.application a"
	" WHERE " OWN " AND (NOT $2 OR a.deleted_at IS NULL)",
	2,
	{OIDOID, BOOLOID},
	.is_stable = true};

static BmwStatement own_endpoints = {
	"SELECT coalesce(pg_catalog.array_agg(e.id), '{}') FROM bm_webhook.application a"
	" JOIN bm_webhook.endpoint e ON e.application OPERATOR(pg_catalog.=) a.name WHERE " OWN,
	1,
	{OIDOID},
	.is_stable = true};

static Oid operation = InvalidOid; /* the table */

static void watch_privileges(void);
static void on_membership(Datum arg, int cache, uint32 hash);
static void on_relation(Datum arg, Oid relation);
static Datum run(BmwStatement *statement, Datum *values);

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

/* own_applications(living boolean) */
Datum
bm_webhook_own_applications(PG_FUNCTION_ARGS)
{
	Datum values[2] = {ObjectIdGetDatum(GetUserId()), PG_GETARG_DATUM(0)};

	return run(&own_applications, values);
}

/* own_endpoints() */
Datum
bm_webhook_own_endpoints(PG_FUNCTION_ARGS)
{
	Datum values[1] = {ObjectIdGetDatum(GetUserId())};

	return run(&own_endpoints, values);
}

/* A plan depends on the tables that it reads, and so on their privileges, but not on this one, and not on memberships. */
static void
watch_privileges(void)
{
	if (!OidIsValid(operation))
	{
		CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, on_membership, (Datum) 0);
		CacheRegisterRelcacheCallback(on_relation, (Datum) 0);
	}
	operation = get_relname_relid("operation", get_namespace_oid("bm_webhook", true));
}

static void
on_membership(Datum arg, int cache, uint32 hash)
{
	ResetPlanCache();
}

static void
on_relation(Datum arg, Oid relation)
{
	if (relation == operation || !OidIsValid(relation))
		ResetPlanCache();
}

/* As the owner of the log, who sees all. */
static Datum
run(BmwStatement *statement, Datum *values)
{
	BmwIdentity before = bmw_identity_become(bmw_event_store_owner());
	bool is_null;
	Datum list;

	SPI_connect();
	(void) bmw_statement_run(statement, values);
	list = SPI_datumTransfer(
		SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null), false, -1);
	SPI_finish();
	bmw_identity_return(before);
	return list;
}
