/*
 * pg/server/utility_locks.c - commands on our tables that are for their owner.
 *
 * CREATE RULE, CREATE TRIGGER, a foreign key and PARTITION OF wait for a strong lock of the
 * table first, and only then find out that their user has no right to it. While they
 * wait, everybody who comes later waits behind them: so one who may do nothing but name our
 * tables could stop every write that is captured. Here they are refused before they lock.
 *
 * TRIGGER and REFERENCES, which GRANT ALL gives as well, are not enough: the function of a trigger
 * would run as the owner of the log, and a cast of the referring column's type as the table's owner.
 */
#include "postgres.h"

#include "pg/server/utility_locks.h"

#include "catalog/namespace.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pg/server/compat.h"
#include "pg/sql/statement.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"

static void check_elements(const List *elements);
static void check_command(const AlterTableCmd *command);
static void check_constraints(const List *constraints);
static void check_all(const List *relations);
static void check(const RangeVar *relation);
static bool is_ours(Oid relation);

void
bmw_utility_locks_check(Node *statement)
{
	ListCell *cell;

	switch (nodeTag(statement))
	{
		case T_RuleStmt:
			check(((RuleStmt *) statement)->relation);
			break;
		case T_CreateTrigStmt:
			check(((CreateTrigStmt *) statement)->relation);
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
		check(((PartitionCmd *) command->def)->name);
	else if (command->subtype == AT_AddInherit)
		check((RangeVar *) command->def);
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
			check(constraint->pktable);
	}
}

static void
check_all(const List *relations)
{
	ListCell *cell;

	foreach (cell, relations)
		check(lfirst(cell));
}

static void
check(const RangeVar *relation)
{
	Oid oid = relation != NULL ? RangeVarGetRelid(relation, NoLock, true) : InvalidOid;

	if (OidIsValid(oid) && is_ours(oid) && !bmw_owns_relation(oid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(oid));
}

static bool
is_ours(Oid relation)
{
	return bmw_statement_is_own_schema(get_rel_namespace(relation)) &&
		   OidIsValid(get_extension_oid("bm_webhook", true));
}
