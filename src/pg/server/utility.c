/*
 * pg/server/utility.c - commands that our dispatchers must know of.
 *
 * DROP DATABASE, ALTER DATABASE RENAME or SET TABLESPACE and CREATE DATABASE ... TEMPLATE need
 * the database without any session in it; DROP EXTENSION and ALTER EXTENSION
 * want the extension alone. The dispatchers of that database are held until
 * this backend's transaction ends, however it ends; then the launcher starts
 * them again, if the database and the extension are still there.
 *
 * COMMIT PREPARED runs no commit callback of the transaction that it commits.
 */
#include "postgres.h"

#include "pg/server/utility.h"

#include <signal.h>

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pg/server/compat.h"
#include "pg/server/notify.h"
#include "pg/server/prepared.h"
#include "pg/server/shared_memory.h"
#include "pg/server/utility_groups.h"
#include "pg/server/utility_locks.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "tcop/utility.h"
#include "utils/syscache.h"
#include "utils/wait_event.h"

#define EXTENSION "bm_webhook"
#define HOLD_TIMEOUT_MS 10000

static ProcessUtility_hook_type previous_hook = NULL;
static bool is_holding = false;

static void on_utility(PlannedStmt *statement, const char *query, bool read_only_tree,
					   ProcessUtilityContext context, ParamListInfo params,
					   QueryEnvironment *environment, DestReceiver *dest,
					   QueryCompletion *completion);
static void run(PlannedStmt *statement, const char *query, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params, QueryEnvironment *environment,
				DestReceiver *dest, QueryCompletion *completion);
static bool commits_prepared(Node *node);
static Oid database_to_hold(Node *node);
static bool may_hold(Node *node, Oid database, ProcessUtilityContext context);
static bool may_create_databases(void);
static bool moves_database(AlterDatabaseStmt *statement);
static Oid template_of(CreatedbStmt *statement);
static bool drops_extension(DropStmt *statement);
static void hold(Oid database);
static bool ask_to_stop(Oid database);
static void kill_group(pid_t leader);
static void release(void);
static void release_at_end(XactEvent event, void *arg);
static void release_at_exit(int code, Datum arg);

void
bmw_utility_init(void)
{
	previous_hook = ProcessUtility_hook;
	ProcessUtility_hook = on_utility;
	RegisterXactCallback(release_at_end, NULL);
}

static void
on_utility(PlannedStmt *statement, const char *query, bool read_only_tree,
		   ProcessUtilityContext context, ParamListInfo params, QueryEnvironment *environment,
		   DestReceiver *dest, QueryCompletion *completion)
{
	Node *node = statement->utilityStmt;
	Oid database = database_to_hold(node);
	bool is_commit = commits_prepared(node);

	bmw_utility_locks_check(node);
	bmw_utility_groups_check(node);
	if (OidIsValid(database) && may_hold(node, database, context))
		hold(database);
	if (is_commit)
		bmw_notify_before_commit_prepared();
	PG_TRY();
	{
		run(statement, query, read_only_tree, context, params, environment, dest, completion);
	}
	PG_CATCH();
	{
		if (is_commit)
			bmw_notify_after_commit_prepared(false);
		release();
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (is_commit)
		bmw_notify_after_commit_prepared(true);
}

static void
run(PlannedStmt *statement, const char *query, bool read_only_tree, ProcessUtilityContext context,
	ParamListInfo params, QueryEnvironment *environment, DestReceiver *dest,
	QueryCompletion *completion)
{
	if (previous_hook)
		previous_hook(statement, query, read_only_tree, context, params, environment, dest,
					  completion);
	else
		standard_ProcessUtility(statement, query, read_only_tree, context, params, environment,
								dest, completion);
}

/* One that is there, and may be ours: what it has done is not known any more. */
static bool
commits_prepared(Node *node)
{
	TransactionStmt *statement = (TransactionStmt *) node;

	return IsA(node, TransactionStmt) && statement->kind == TRANS_STMT_COMMIT_PREPARED &&
		   OidIsValid(get_extension_oid(EXTENSION, true)) && bmw_prepared_is_there(statement->gid);
}

/* The database whose dispatchers must stop for this command; InvalidOid: none. */
static Oid
database_to_hold(Node *node)
{
	switch (nodeTag(node))
	{
		case T_DropdbStmt:
			return get_database_oid(((DropdbStmt *) node)->dbname, true);
		case T_RenameStmt:
			if (((RenameStmt *) node)->renameType == OBJECT_DATABASE)
				return get_database_oid(((RenameStmt *) node)->subname, true);
			return InvalidOid;
		case T_AlterDatabaseStmt:
			return moves_database((AlterDatabaseStmt *) node)
					   ? get_database_oid(((AlterDatabaseStmt *) node)->dbname, true)
					   : InvalidOid;
		case T_CreatedbStmt:
			return template_of((CreatedbStmt *) node);
		case T_DropStmt:
			return drops_extension((DropStmt *) node) ? MyDatabaseId : InvalidOid;
		case T_AlterExtensionStmt:
			return strcmp(((AlterExtensionStmt *) node)->extname, EXTENSION) == 0 ? MyDatabaseId
																				  : InvalidOid;
		default:
			return InvalidOid;
	}
}

/* Only for those who may run the command, and where it can be run: else nobody is stopped for nothing. */
static bool
may_hold(Node *node, Oid database, ProcessUtilityContext context)
{
	if (IsA(node, DropStmt) || IsA(node, AlterExtensionStmt))
	{
		Oid extension = get_extension_oid(EXTENSION, true);

		return OidIsValid(extension) && bmw_owns_extension(extension, GetUserId());
	}
	if (!bmw_owns_database(database, GetUserId()))
		return false;
	if (IsA(node, RenameStmt))
		return may_create_databases() && database != MyDatabaseId;
	/* the other ones refuse to run in a transaction block or a function */
	if (context != PROCESS_UTILITY_TOPLEVEL || IsTransactionBlock() || IsSubTransaction())
		return false;
	if (IsA(node, CreatedbStmt))
		return may_create_databases();
	return database != MyDatabaseId;
}

/* The server has a function for it, but not every minor release declares it. */
static bool
may_create_databases(void)
{
	HeapTuple role;
	bool may;

	if (superuser())
		return true;
	role = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	if (!HeapTupleIsValid(role))
		return false;
	may = ((Form_pg_authid) GETSTRUCT(role))->rolcreatedb;
	ReleaseSysCache(role);
	return may;
}

static bool
moves_database(AlterDatabaseStmt *statement)
{
	ListCell *cell;

	foreach (cell, statement->options)
		if (strcmp(((DefElem *) lfirst(cell))->defname, "tablespace") == 0)
			return true;
	return false;
}

static Oid
template_of(CreatedbStmt *statement)
{
	ListCell *cell;

	foreach (cell, statement->options)
	{
		DefElem *option = lfirst(cell);

		if (strcmp(option->defname, "template") == 0 && option->arg != NULL &&
			IsA(option->arg, String))
			return get_database_oid(strVal(option->arg), true);
	}
	return get_database_oid("template1", true);
}

static bool
drops_extension(DropStmt *statement)
{
	ListCell *cell;

	if (statement->removeType != OBJECT_EXTENSION)
		return false;
	foreach (cell, statement->objects)
		if (strcmp(strVal(lfirst(cell)), EXTENSION) == 0)
			return true;
	return false;
}

/* Stops the dispatchers and the keeper of a database and waits until they have gone. */
static void
hold(Oid database)
{
	static bool is_registered = false;
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), HOLD_TIMEOUT_MS);

	if (!is_registered)
		before_shmem_exit(release_at_exit, (Datum) 0);
	is_registered = true;
	is_holding = true;
	while (ask_to_stop(database) && GetCurrentTimestamp() < deadline)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 10L,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* True while one of them is still there. */
static bool
ask_to_stop(Oid database)
{
	bool is_there = false;

	LWLockAcquire(bmw_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < bmw_shared->slots_length; i++)
	{
		BmwSlot *slot = &bmw_shared->slots[i];

		if (slot->database != database)
			continue;
		slot->holder = MyProcPid;
		/* one that is just being started looks at the holder when it attaches */
		is_there |= slot->pid != 0 || slot->state == BMW_SLOT_STARTING;
		is_there |= slot->keeper != 0;
		if (slot->pid != 0)
			kill(slot->pid, SIGTERM);
		if (slot->keeper != 0)
			kill_group(slot->keeper);
	}
	LWLockRelease(bmw_shared->lock);
	bmw_shmem_wake(&bmw_shared->launcher);
	return is_there;
}

/* With the program that it runs: like all processes of the server it leads a group. */
static void
kill_group(pid_t leader)
{
	if (kill(-leader, SIGTERM) != 0)
		kill(leader, SIGTERM);
}

/* What is outdated would else be looked at again after a minute only: it may have been updated. */
static void
release(void)
{
	bool is_here = false;

	if (!is_holding)
		return;
	is_holding = false;
	LWLockAcquire(bmw_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < bmw_shared->slots_length; i++)
	{
		BmwSlot *slot = &bmw_shared->slots[i];

		if (slot->holder != MyProcPid)
			continue;
		slot->holder = 0;
		/* nothing was there that says so: the launcher looks first whether the database still is */
		if (OidIsValid(slot->database) && slot->pid == 0)
			slot->state = BMW_SLOT_HELD;
		is_here |= slot->database == MyDatabaseId;
	}
	LWLockRelease(bmw_shared->lock);
	if (is_here)
		bmw_shmem_request(MyDatabaseId);
	else
		bmw_shmem_wake(&bmw_shared->launcher);
}

static void
release_at_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		release();
}

static void
release_at_exit(int code, Datum arg)
{
	release();
}
