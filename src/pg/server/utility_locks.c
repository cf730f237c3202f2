/*
 * pg/server/utility_locks.c - commands that lock a table before they ask whether they may.
 *
 * CREATE RULE, CREATE TRIGGER, a foreign key and PARTITION OF wait for a strong lock of the
 * table first, and only then find out that their user has no right to it. While they
 * wait, everybody who comes later waits behind them: so one who may do nothing but name our
 * tables could stop every write that is captured. Here they are refused before they lock.
 */
#include "postgres.h"

#include "pg/server/utility_locks.h"

#include "catalog/namespace.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pg/server/compat.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"

static void check_elements(const List *elements);
static void check_command(const AlterTableCmd *command);
static void check_constraints(const List *constraints);
static void check_all(const List *relations);
static void check(const RangeVar *relation, AclMode right);
static bool is_ours(Oid relation);

void
bmw_utility_locks_check(Node *statement)
{
	ListCell *cell;

	switch (nodeTag(statement))
	{
		case T_RuleStmt:
			check(((RuleStmt *) statement)->relation, ACL_NO_RIGHTS);
			break;
		case T_CreateTrigStmt:
			check(((CreateTrigStmt *) statement)->relation, ACL_TRIGGER);
			break;
		case T_CreateStmt:
		case T_CreateForeignTableStmt:
			check_all(((CreateStmt *) statement)->inhRelations);
			check_elements(((CreateStmt *) statement)->tableElts);
			check_constraints(((CreateStmt *) statement)->constraints);
			break;
		case T_AlterTableStmt:
			foreach (cell, ((AlterTableStmt *) statement)->cmds)
				check_command(lfirst(cell));
			break;
		default:
			break;
	}
}

/* Columns and constraints of a table that is created. */
static void
check_elements(const List *elements)
{
	ListCell *cell;

	foreach (cell, elements)
	{
		Node *element = lfirst(cell);

		if (IsA(element, ColumnDef))
			check_constraints(((ColumnDef *) element)->constraints);
		else if (IsA(element, Constraint))
			check_constraints(list_make1(element));
	}
}

static void
check_command(const AlterTableCmd *command)
{
	if (command->def == NULL)
		return;
	if (command->subtype == AT_AttachPartition)
		check(((PartitionCmd *) command->def)->name, ACL_NO_RIGHTS);
	else if (command->subtype == AT_AddInherit)
		check((RangeVar *) command->def, ACL_NO_RIGHTS);
	else
		check_elements(list_make1(command->def));
}

static void
check_constraints(const List *constraints)
{
	ListCell *cell;

	foreach (cell, constraints)
	{
		Constraint *constraint = lfirst(cell);

		if (IsA(constraint, Constraint) && constraint->contype == CONSTR_FOREIGN)
			check(constraint->pktable, ACL_REFERENCES);
	}
}

static void
check_all(const List *relations)
{
	ListCell *cell;

	foreach (cell, relations)
		check(lfirst(cell), ACL_NO_RIGHTS);
}

/* Who owns the table may, and who has the right, on a column at least, if there is one. */
static void
check(const RangeVar *relation, AclMode right)
{
	Oid oid = relation != NULL ? RangeVarGetRelid(relation, NoLock, true) : InvalidOid;
	Oid user = GetUserId();

	if (!OidIsValid(oid) || !is_ours(oid) || bmw_owns_relation(oid, user))
		return;
	if (right != ACL_NO_RIGHTS &&
		(pg_class_aclcheck(oid, user, right) == ACLCHECK_OK ||
		 pg_attribute_aclcheck_all(oid, user, right, ACLMASK_ANY) == ACLCHECK_OK))
		return;
	aclcheck_error(right == ACL_NO_RIGHTS ? ACLCHECK_NOT_OWNER : ACLCHECK_NO_PRIV, OBJECT_TABLE,
				   get_rel_name(oid));
}

static bool
is_ours(Oid relation)
{
	Oid namespace = get_rel_namespace(relation);

	if (!OidIsValid(get_extension_oid("bm_webhook", true)))
		return false;
	return namespace == get_namespace_oid("bm_webhook", true) ||
		   namespace == get_namespace_oid("bm_webhook_internal", true);
}
