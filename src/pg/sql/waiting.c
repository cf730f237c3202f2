/*
 * pg/sql/waiting.c - what waits longest, and what is due next, for each endpoint: first_pending().
 *
 * Goes from endpoint to endpoint through the indexes of what is pending, partition by
 * partition: one descent for each, however much waits. As a query it would be one for
 * each endpoint and each partition, and would lock them all: here a partition in
 * which nothing waits, as in nearly all, is let go at once.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/tableam.h"
#include "access/visibilitymap.h"
#include "catalog/pg_authid.h"
#include "catalog/partition.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "pg/server/compat.h"
#include "pg/sql/statement.h"
#include "pg/sql/visible.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "storage/predicate.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#define COLUMNS 3
#define NEAR 64 /* entries of an index: as much work as a descent, which reads a whole page */

PG_FUNCTION_INFO_V1(bm_webhook_first_pending);

typedef struct First
{
	int64 endpoint_id; /* the key */
	bool is_hidden;
	bool has_event;
	bool has_due;
	pg_uuid_t event;
	TimestampTz due;
} First;

/* An index of what is pending in a partition, by the endpoint and a second column. */
typedef struct Walk
{
	Relation table;
	Relation index;
	IndexScanDesc scan;
	TupleTableSlot *slot;
	Buffer visibility; /* a page of the map */
} Walk;

static Oid readable_table(void);
static HTAB *read_all(Oid delivery);
static bool read_partition(HTAB *firsts, Oid partition, bool is_of_any_age);
static bool begin_walk(Walk *walk, Relation table, const char *index);
static void end_walk(Walk *walk);
static void read_due(HTAB *firsts, Walk *due, Walk *events, bool is_of_any_age);
static bool find_after(Walk *walk, int64 endpoint_id);
static bool find(Walk *walk, StrategyNumber strategy, int64 endpoint_id);
static bool is_visible(Walk *walk, ItemPointer row);
static int64 endpoint_of(const Walk *walk);
static Datum value_of(const Walk *walk, int column, bool *is_null);
static First *enter(HTAB *firsts, int64 endpoint_id);
static void set_due(First *first, const Walk *walk);
static void set_event(First *first, const Walk *walk);
static void hide(HTAB *firsts);
static void put_all(ReturnSetInfo *result, HTAB *firsts);

/* first_pending(): a row for each endpoint that has pending deliveries. */
Datum
bm_webhook_first_pending(PG_FUNCTION_ARGS)
{
	const Oid delivery = readable_table();
	HTAB *firsts;

	InitMaterializedSRF(fcinfo, 0);
	firsts = read_all(delivery);
	if (!has_privs_of_role(GetUserId(), ROLE_PG_MONITOR) &&
		check_enable_rls(delivery, InvalidOid, false) == RLS_ENABLED)
		hide(firsts);
	put_all((ReturnSetInfo *) fcinfo->resultinfo, firsts);
	return (Datum) 0;
}

static Oid
readable_table(void)
{
	const Oid delivery = bmw_statement_table("delivery");

	/* owners have the columns, and see of them what policies let them */
	if (!has_privs_of_role(GetUserId(), ROLE_PG_MONITOR) &&
		pg_class_aclcheck(delivery, GetUserId(), ACL_SELECT) != ACLCHECK_OK &&
		pg_attribute_aclcheck_all(delivery, GetUserId(), ACL_SELECT, ACLMASK_ALL) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, get_rel_name(delivery));
	return delivery;
}

/* The oldest partition first, and that of what has no partition last. */
static HTAB *
read_all(Oid delivery)
{
	HASHCTL control = {.keysize = sizeof(int64),
					   .entrysize = sizeof(First),
					   .hcxt = CurrentMemoryContext};
	HTAB *firsts = hash_create("bm_webhook first pending", 1024, &control,
							   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	Relation parent = relation_open(delivery, AccessShareLock);
	PartitionDesc partitions = RelationGetPartitionDesc(parent, true);

	for (int i = 0; i < partitions->nparts; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!read_partition(firsts, partitions->oids[i], i == partitions->boundinfo->default_index))
			UnlockRelationOid(partitions->oids[i], AccessShareLock);
	}
	relation_close(parent, NoLock);
	return firsts;
}

/* True: something waits in it, and its lock is to be kept, as that of any table that a query has read. */
static bool
read_partition(HTAB *firsts, Oid partition, bool is_of_any_age)
{
	Relation table = try_relation_open(partition, AccessShareLock);
	Walk due;
	Walk events;
	bool is_any = false;

	if (table == NULL)
		return true; /* it is gone, and there is no lock */
	if (table->rd_rel->relkind == RELKIND_RELATION && begin_walk(&due, table, "delivery_due_idx"))
	{
		is_any = find(&due, BTGreaterStrategyNumber, PG_INT64_MIN);
		if (is_any && begin_walk(&events, table, "delivery_pending_idx"))
		{
			read_due(firsts, &due, &events, is_of_any_age);
			end_walk(&events);
		}
		end_walk(&due);
	}
	relation_close(table, NoLock);
	return is_any;
}

static bool
begin_walk(Walk *walk, Relation table, const char *index)
{
	const Oid own = index_get_partition(table, bmw_statement_table(index));

	if (!OidIsValid(own))
		return false;
	*walk = (Walk){.table = table,
				   .index = index_open(own, AccessShareLock),
				   .slot = table_slot_create(table, NULL),
				   .visibility = InvalidBuffer};
	walk->scan = bmw_index_beginscan(table, walk->index, GetActiveSnapshot(), 1);
	walk->scan->xs_want_itup = true;
	return true;
}

static void
end_walk(Walk *walk)
{
	if (BufferIsValid(walk->visibility))
		ReleaseBuffer(walk->visibility);
	index_endscan(walk->scan);
	ExecDropSingleTupleTableSlot(walk->slot);
	index_close(walk->index, AccessShareLock);
}

/*
 * From the first row on, when the first one of each endpoint is due; its oldest event, unless an older partition has
 * one of it.
 */
static void
read_due(HTAB *firsts, Walk *due, Walk *events, bool is_of_any_age)
{
	int64 last;

	do
	{
		First *first;

		CHECK_FOR_INTERRUPTS();
		last = endpoint_of(due);
		first = enter(firsts, last);
		set_due(first, due);
		if ((!first->has_event || is_of_any_age) && find(events, BTEqualStrategyNumber, last))
			set_event(first, events);
	} while (find_after(due, last));
}

/* The first row of the next endpoint: near, as in the page that was read, or by a new descent. */
static bool
find_after(Walk *walk, int64 endpoint_id)
{
	ItemPointer row;

	for (int i = 0; i < NEAR; i++)
	{
		row = index_getnext_tid(walk->scan, ForwardScanDirection);
		if (row == NULL)
			return false;
		if (endpoint_of(walk) > endpoint_id && is_visible(walk, row))
			return true;
	}
	return find(walk, BTGreaterStrategyNumber, endpoint_id);
}

/* The first row of this endpoint, or of the one after it. */
static bool
find(Walk *walk, StrategyNumber strategy, int64 endpoint_id)
{
	const RegProcedure test = strategy == BTEqualStrategyNumber ? F_INT8EQ : F_INT8GT;
	ScanKeyData key;
	ItemPointer row;

	ScanKeyInit(&key, 1, strategy, test, Int64GetDatum(endpoint_id));
	index_rescan(walk->scan, &key, 1, NULL, 0);
	while ((row = index_getnext_tid(walk->scan, ForwardScanDirection)) != NULL)
		if (is_visible(walk, row))
			return true;
	return false;
}

/* As an index-only scan does it. */
static bool
is_visible(Walk *walk, ItemPointer row)
{
	const BlockNumber page = ItemPointerGetBlockNumber(row);
	bool is_there;

	if (VM_ALL_VISIBLE(walk->table, page, &walk->visibility))
	{
		PredicateLockPage(walk->table, page, walk->scan->xs_snapshot);
		return true;
	}
	is_there = index_fetch_heap(walk->scan, walk->slot);
	ExecClearTuple(walk->slot);
	return is_there;
}

static int64
endpoint_of(const Walk *walk)
{
	bool is_null;

	return DatumGetInt64(value_of(walk, 1, &is_null));
}

static Datum
value_of(const Walk *walk, int column, bool *is_null)
{
	return index_getattr(walk->scan->xs_itup, column, walk->scan->xs_itupdesc, is_null);
}

static First *
enter(HTAB *firsts, int64 endpoint_id)
{
	bool is_known;
	First *first = hash_search(firsts, &endpoint_id, HASH_ENTER, &is_known);

	if (!is_known)
		*first = (First){.endpoint_id = endpoint_id};
	return first;
}

static void
set_due(First *first, const Walk *walk)
{
	bool is_null;
	const TimestampTz due = DatumGetTimestampTz(value_of(walk, 2, &is_null));

	if (is_null || (first->has_due && due >= first->due))
		return;
	first->due = due;
	first->has_due = true;
}

static void
set_event(First *first, const Walk *walk)
{
	bool is_null;
	const pg_uuid_t *event = DatumGetUUIDP(value_of(walk, 2, &is_null));

	if (first->has_event && memcmp(event->data, first->event.data, sizeof(event->data)) >= 0)
		return;
	first->event = *event;
	first->has_event = true;
}

/* What waits for endpoints that the caller may not see. */
static void
hide(HTAB *firsts)
{
	const int length = (int) hash_get_num_entries(firsts);
	int64 *ids = palloc(sizeof(*ids) * Max(length, 1));
	HASH_SEQ_STATUS status;
	First *first;
	int filled = 0;

	hash_seq_init(&status, firsts);
	while ((first = hash_seq_search(&status)) != NULL)
	{
		ids[filled++] = first->endpoint_id;
		first->is_hidden = true;
	}
	filled = bmw_visible_endpoints(ids, filled, ids);
	for (int i = 0; i < filled; i++)
	{
		first = hash_search(firsts, &ids[i], HASH_FIND, NULL);
		first->is_hidden = false;
	}
}

static void
put_all(ReturnSetInfo *result, HTAB *firsts)
{
	HASH_SEQ_STATUS status;
	const First *first;

	hash_seq_init(&status, firsts);
	while ((first = hash_seq_search(&status)) != NULL)
	{
		Datum values[COLUMNS] = {Int64GetDatum(first->endpoint_id), UUIDPGetDatum(&first->event),
								 TimestampTzGetDatum(first->due)};
		bool nulls[COLUMNS] = {false, !first->has_event, !first->has_due};

		if (!first->is_hidden)
			tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
}
