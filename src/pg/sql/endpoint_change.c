/*
 * pg/sql/endpoint_change.c - the trigger that notes which endpoints a transaction changes.
 *
 * A note is a row of bm_webhook_internal.endpoint_change, written as its owner
 * whoever changes the endpoint. A transaction that changes many writes one that
 * means all of them after the first thousand. Dispatchers that are woken at the
 * commit (pg/server/notify.c) read the notes, and then what these name.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "pg/server/notify.h"
#include "pg/sql/identity.h"
#include "pg/sql/insert.h"
#include "pg/sql/row.h"
#include "pg/sql/sight.h"
#include "pg/sql/statement.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/xid8.h"

PG_FUNCTION_INFO_V1(bm_webhook_endpoint_changed);
PG_FUNCTION_INFO_V1(bm_webhook_paused_changed);

#define MAX_NOTES 1000 /* of a transaction; the next one means all */

static BmwStatement insert = {
	"INSERT INTO bm_webhook_internal.endpoint_change (xid, endpoint_id, application) VALUES ($1, $2, $3)",
	3,
	{XID8OID, INT8OID, TEXTOID}};

/* What this transaction has noted. */
typedef struct Notes
{
	FullTransactionId xid;
	int length;
	bool has_all;
	bool has_last;
	int64 last; /* an endpoint: one that is inserted comes with its secret */
} Notes;

static Notes notes;

static void note_row(const TriggerData *trigger, HeapTuple tuple);
static const char *key_of(const Relation relation);
static void note_endpoint(int64 id);
static void note(Datum endpoint_id, Datum application, const char *nulls);
static bool is_table_there(void);
static void begin_notes(void);
static void forget_undone(SubXactEvent event, SubTransactionId id, SubTransactionId parent,
						  void *arg);

Datum
bm_webhook_endpoint_changed(PG_FUNCTION_ARGS)
{
	bool is_row = CALLED_AS_TRIGGER(fcinfo) &&
				  TRIGGER_FIRED_FOR_ROW(((TriggerData *) fcinfo->context)->tg_event);
	TriggerData *trigger =
		bmw_row_trigger(fcinfo, TRIGGER_EVENT_AFTER | (is_row ? TRIGGER_EVENT_ROW : 0), NULL);

	begin_notes();
	if (!is_row)
		note((Datum) 0, (Datum) 0, " nn");
	else
		note_row(trigger, trigger->tg_trigtuple);
	if (is_row && TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		note_row(trigger, trigger->tg_newtuple);
	bmw_sight_changed(trigger);
	bmw_notify_endpoint();
	return PointerGetDatum(NULL);
}

/* What keeps everything waiting has come or gone: dispatchers look at it whenever something has changed. */
Datum
bm_webhook_paused_changed(PG_FUNCTION_ARGS)
{
	(void) bmw_row_trigger(fcinfo, TRIGGER_EVENT_AFTER, NULL);
	bmw_notify_endpoint();
	return PointerGetDatum(NULL);
}

static void
note_row(const TriggerData *trigger, HeapTuple tuple)
{
	TupleDesc desc = RelationGetDescr(trigger->tg_relation);
	const char *key = key_of(trigger->tg_relation);
	bool is_null;
	Datum value = SPI_getbinval(tuple, desc, SPI_fnumber(desc, key), &is_null);

	if (is_null)
		return;
	if (strcmp(key, "name") == 0)
		note((Datum) 0, value, " n ");
	else
		note_endpoint(DatumGetInt64(value));
}

static const char *
key_of(const Relation relation)
{
	const char *name = RelationGetRelationName(relation);

	if (strcmp(name, "application") == 0)
		return "name";
	return strcmp(name, "endpoint") == 0 ? "id" : "endpoint_id";
}

static void
note_endpoint(int64 id)
{
	if (notes.has_last && notes.last == id)
		return;
	note(Int64GetDatum(id), (Datum) 0, "  n");
	notes.has_last = true;
	notes.last = id;
}

static void
note(Datum endpoint_id, Datum application, const char *nulls)
{
	bool is_all = notes.length >= MAX_NOTES || strcmp(nulls, " nn") == 0;
	Datum values[3] = {FullTransactionIdGetDatum(notes.xid), endpoint_id, application};
	BmwIdentity before;

	if (notes.has_all || !is_table_there())
		return;
	before = bmw_identity_become(bmw_event_store_owner());
	SPI_connect();
	bmw_statement_run_with(&insert, values, is_all ? " nn" : nulls, 0);
	SPI_finish();
	bmw_identity_return(before);
	notes.length++;
	notes.has_all = is_all;
}

/* Until the extension is updated it is not; then no dispatcher runs either. */
static bool
is_table_there(void)
{
	Oid schema = get_namespace_oid("bm_webhook_internal", true);

	return OidIsValid(schema) && OidIsValid(get_relname_relid("endpoint_change", schema));
}

static void
begin_notes(void)
{
	static bool is_registered = false;
	FullTransactionId xid = GetTopFullTransactionId();

	if (!is_registered)
		RegisterSubXactCallback(forget_undone, NULL);
	is_registered = true;
	if (!FullTransactionIdEquals(notes.xid, xid))
		notes = (Notes){.xid = xid};
}

/* What a subtransaction has noted goes with it: what was already noted may have to be noted again. */
static void
forget_undone(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		notes.has_all = notes.has_last = false;
}
