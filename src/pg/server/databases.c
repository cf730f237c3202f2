/*
 * pg/server/databases.c - which databases there are, for the launcher.
 */
#include "postgres.h"

#include "pg/server/databases.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

List *
bmw_databases_list(void)
{
	List *databases = NIL;
	Relation relation;
	TableScanDesc scan;
	HeapTuple tuple;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(relation, 0, NULL);
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);
		MemoryContext caller;

		/* below -1: DROP DATABASE was interrupted */
		if (!database->datallowconn || database->datistemplate || database->datconnlimit < -1)
			continue;
		caller = MemoryContextSwitchTo(TopMemoryContext);
		databases = lappend_oid(databases, database->oid);
		MemoryContextSwitchTo(caller);
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	CommitTransactionCommand();
	return databases;
}

void
bmw_databases_read_name(Oid database, NameData *name)
{
	char *found;

	StartTransactionCommand();
	found = get_database_name(database);
	namestrcpy(name, found != NULL ? found : "?");
	CommitTransactionCommand();
}
