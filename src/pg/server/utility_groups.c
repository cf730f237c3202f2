/*
 * pg/server/utility_groups.c - DROP OWNED BY a group that has privileges on the extension.
 *
 * PostgreSQL lets each member of a role run it, and it revokes what the role was granted: one owner
 * could take the log from all whose privileges come from the same group.
 */
#include "postgres.h"

#include "pg/server/utility_groups.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_shdepend.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/acl.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/syscache.h"

static void check(Oid role);
static bool has_members(Oid role);
static bool is_granted(Oid role);
static bool is_grant_of_schema(const FormData_pg_shdepend *dependency, Oid schema);

void
bmw_utility_groups_check(Node *statement)
{
	ListCell *cell;

	if (!IsA(statement, DropOwnedStmt) || superuser())
		return;
	foreach (cell, ((DropOwnedStmt *) statement)->roles)
		check(get_rolespec_oid(lfirst(cell), true));
}

static void
check(Oid role)
{
	if (!OidIsValid(role) || !has_members(role) || !is_granted(role))
		return;
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("role \"%s\" has privileges on bm_webhook for its members: only a "
						   "superuser can drop what it owns",
						   GetUserNameFromId(role, false)),
					errhint("Drop the objects one by one, or ask an administrator.")));
}

static bool
has_members(Oid role)
{
	CatCList *members = SearchSysCacheList1(AUTHMEMROLEMEM, ObjectIdGetDatum(role));
	bool has = members->n_members > 0;

	ReleaseSysCacheList(members);
	return has;
}

/* All that grant_*() grants goes with USAGE on the schema. */
static bool
is_granted(Oid role)
{
	Oid schema = get_namespace_oid("bm_webhook", true);
	Relation relation = table_open(SharedDependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple tuple;
	bool is = false;

	ScanKeyInit(&keys[0], Anum_pg_shdepend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(AuthIdRelationId));
	ScanKeyInit(&keys[1], Anum_pg_shdepend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(role));
	scan = systable_beginscan(relation, SharedDependReferenceIndexId, true, NULL, 2, keys);
	while (!is && HeapTupleIsValid(tuple = systable_getnext(scan)))
		is = is_grant_of_schema((FormData_pg_shdepend *) GETSTRUCT(tuple), schema);
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return is;
}

static bool
is_grant_of_schema(const FormData_pg_shdepend *dependency, Oid schema)
{
	return dependency->dbid == MyDatabaseId && dependency->classid == NamespaceRelationId &&
		   dependency->objid == schema && dependency->deptype == SHARED_DEPENDENCY_ACL;
}
