/*
 * pg/capture/status_map.c - what the statuses of a provider are called here.
 *
 * The whole table is read, with a snapshot of its own, so that what is kept is
 * what is committed (and what this transaction has changed) even where the
 * transaction's snapshot is old. A trigger on the table sends a relcache
 * invalidation, which every session gets that has kept it, and this one also
 * when the change is rolled back.
 */
#include "pg/capture/status_map.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "commands/trigger.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(bm_webhook_forget_status_map);

/* The columns of the table. */
enum Column
{
	COLUMN_PROVIDER,
	COLUMN_PROVIDER_STATUS,
	COLUMN_STATUS,
	COLUMNS
};

typedef struct Entry
{
	const char *columns[COLUMNS];
} Entry;

static struct
{
	bool is_valid;
	uint64 changes; /* announced so far */
	Oid relation;
	MemoryContext context; /* of the entries */
	Entry *entries;
	int length;
} kept;

static const BmwEventFault *find_ours(const char *status, const BmwMessageType **type);
static const BmwEventFault *unknown_provider(const char *provider);
static void load(void);
static void read_entries(Relation relation);
static void prepare(void);
static void forget(Datum arg, Oid relid);
static bool is_same(const char *lower, const char *text);
static int cut(const char *text);

const BmwEventFault *
bmw_status_map_find(const char *provider, const char *status, const BmwMessageType **type)
{
	bool has_provider = false;

	if (provider == NULL)
		return find_ours(status, type);
	load();
	for (int i = 0; i < kept.length; i++)
	{
		const Entry *entry = &kept.entries[i];

		if (!is_same(entry->columns[COLUMN_PROVIDER], provider))
			continue;
		has_provider = true;
		if (status != NULL && is_same(entry->columns[COLUMN_PROVIDER_STATUS], status))
			return find_ours(entry->columns[COLUMN_STATUS], type);
	}
	if (!has_provider)
		return unknown_provider(provider);
	if (status == NULL)
		return bmw_message_missing("status");
	return bmw_message_fault(ERRCODE_INVALID_PARAMETER_VALUE,
							 "The known ones are in bm_webhook.status_map; add yours there.",
							 "unknown \"status\" \"%.*s\" of provider \"%.*s\"", cut(status),
							 status, cut(provider), provider);
}

const BmwEventFault *
bmw_status_map_check_provider(const char *provider)
{
	load();
	for (int i = 0; i < kept.length; i++)
		if (is_same(kept.entries[i].columns[COLUMN_PROVIDER], provider))
			return NULL;
	return unknown_provider(provider);
}

/* The trigger of the table. */
Datum
bm_webhook_forget_status_map(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("function was not called as a trigger"));
	CacheInvalidateRelcache(((TriggerData *) fcinfo->context)->tg_relation);
	return PointerGetDatum(NULL);
}

static const BmwEventFault *
find_ours(const char *status, const BmwMessageType **type)
{
	if (status == NULL)
		return bmw_message_missing("status");

	const BmwMessageType *found = bmw_message_type_find(status);

	if (found != NULL && found->id == BMW_MESSAGE_RECEIVED)
		return bmw_message_fault(
			ERRCODE_INVALID_PARAMETER_VALUE,
			"Use bm_webhook.message_received(), or watch_replies() for a table.",
			"\"status\" \"%s\" is that of an inbound message", status);
	if (found == NULL || !(BMW_MESSAGE_BIT(found->id) & BMW_MESSAGE_OUTBOUND))
		return bmw_message_fault(
			ERRCODE_INVALID_PARAMETER_VALUE,
			psprintf(
				"Use %s, or say whose status it is: provider => 'twilio'; see bm_webhook.status_map.",
				bmw_message_type_names(BMW_MESSAGE_OUTBOUND)),
			"unknown \"status\" \"%.*s\"", cut(status), status);
	*type = found;
	return NULL;
}

static const BmwEventFault *
unknown_provider(const char *provider)
{
	return bmw_message_fault(ERRCODE_INVALID_PARAMETER_VALUE,
							 "The known ones are in bm_webhook.status_map; add yours there.",
							 "unknown \"provider\" \"%.*s\"", cut(provider), provider);
}

/* Read again if a change was announced meanwhile; after an error nothing is valid. */
static void
load(void)
{
	prepare();
	while (!kept.is_valid)
	{
		uint64 changes = kept.changes;
		Relation relation;

		MemoryContextReset(kept.context);
		kept.length = 0;
		kept.relation = get_relname_relid("status_map", get_namespace_oid("bm_webhook", false));
		relation = table_open(kept.relation, AccessShareLock);
		read_entries(relation);
		table_close(relation, AccessShareLock);
		kept.is_valid = changes == kept.changes;
	}
}

static void
read_entries(Relation relation)
{
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	SysScanDesc scan = systable_beginscan(relation, InvalidOid, false, snapshot, 0, NULL);
	MemoryContext before = MemoryContextSwitchTo(kept.context);
	int capacity = 64;
	HeapTuple tuple;

	kept.entries = palloc(sizeof(Entry) * capacity);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (kept.length == capacity)
			kept.entries = repalloc_huge(kept.entries, sizeof(Entry) * (capacity *= 2));
		for (int i = 0; i < COLUMNS; i++)
		{
			bool is_null; /* never */
			Datum value = heap_getattr(tuple, i + 1, RelationGetDescr(relation), &is_null);

			kept.entries[kept.length].columns[i] = TextDatumGetCString(value);
		}
		kept.length++;
	}
	MemoryContextSwitchTo(before);
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
}

static void
prepare(void)
{
	if (kept.context != NULL)
		return;
	CacheRegisterRelcacheCallback(forget, (Datum) 0);
	kept.context =
		AllocSetContextCreate(CacheMemoryContext, "bm_webhook status map", ALLOCSET_SMALL_SIZES);
}

static void
forget(Datum arg, Oid relid)
{
	if (relid != InvalidOid && relid != kept.relation)
		return;
	kept.changes++;
	kept.is_valid = false;
}

/* In any case of ASCII, whatever the locale. */
static bool
is_same(const char *lower, const char *text)
{
	while (*lower != '\0' && (unsigned char) *lower == pg_ascii_tolower((unsigned char) *text))
		lower++, text++;
	return *lower == '\0' && *text == '\0';
}

/* How much of a text of the user a message shows. */
static int
cut(const char *text)
{
	return pg_mbcliplen(text, strlen(text), 128);
}
