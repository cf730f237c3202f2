/*
 * pg/sql/insert.c - inserts events, as the role bm_webhook, whoever calls.
 *
 * The role is the owner of bm_webhook.event, so a rename of the role changes
 * nothing. Only finished values get here: nothing of the caller's (casts,
 * functions, search_path) runs while the role is switched. An error needs no
 * clean-up: the abort of a transaction or subtransaction restores the role.
 * Every name in SQL is qualified, operators too, and parameters are typed, so
 * that the caller's search_path does not matter.
 */
#include "postgres.h"

#include "pg/sql/insert.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "core/uuid.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "core/name.h"
#include "pg/sql/identity.h"
#include "pg/sql/interval.h"
#include "pg/sql/statement.h"
#include "pg/server/notify.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/xid8.h"

#define BATCH_LENGTH 1000

static BmwStatement insert_one = {"INSERT INTO bm_webhook.event ({names}) VALUES ({values})",
								  .fields = &bmw_event_fields, .kind = BMW_ARGUMENTS_ROW};

/* Only this one names the column: the others go on with the table of version 0.2.0. */
static BmwStatement insert_expiring = {"INSERT INTO bm_webhook.event ({names}) VALUES ({values})",
									   .fields = &bmw_event_all_fields, .kind = BMW_ARGUMENTS_ROW};

/* Sets in the select list advance together; the arrays have the same length. */
static BmwStatement insert_many = {"INSERT INTO bm_webhook.event ({names}) SELECT {unnested}",
								   .fields = &bmw_event_fields, .kind = BMW_ARGUMENTS_ROWS};

static BmwStatement select_endpoint = {
	"SELECT coalesce(pg_catalog.pg_has_role($2, a.owner, 'MEMBER'), false), e.enabled, e.application"
	" FROM bm_webhook.endpoint e LEFT JOIN bm_webhook.application a"
	" ON a.name OPERATOR(pg_catalog.=) e.application WHERE e.id OPERATOR(pg_catalog.=) $1 AND e.deleted_at IS NULL",
	2,
	{INT8OID, OIDOID}};

static bool may_use_endpoint(Oid user);
static void forget_owner(Datum arg, Oid relid);
static void stamp(BmwNewEvent *events, int length, TimestampTz now);
static void draw_random(uint8 *out, size_t len);
static void insert_single(const BmwNewEvent *event, TimestampTz now);
static void insert_batch(const BmwNewEvent *events, int length, TimestampTz now);
static void add_row(BmwSqlColumn *columns, const BmwNewEvent *event, TimestampTz now);
static void add_reply_to(BmwSqlColumn *column, const BmwNewEvent *event, Datum data);

static Oid event_relid = InvalidOid;
static Oid owner = InvalidOid;

void
bmw_event_store_insert(BmwNewEvent *events, int length)
{
	if (length <= 0)
		return;
	PreventCommandDuringRecovery("INSERT");

	BmwIdentity before = bmw_identity_become(bmw_event_store_owner());
	TimestampTz now = GetCurrentTimestamp();

	stamp(events, length, now);
	SPI_connect();
	if (length == 1)
		insert_single(events, now);
	else
		for (int done = 0; done < length; done += BATCH_LENGTH)
			insert_batch(events + done, Min(BATCH_LENGTH, length - done), now);
	SPI_finish();
	bmw_identity_return(before);
	bmw_notify_event();
}

bool
bmw_event_store_insert_once(BmwNewEvent *event, const BmwIdempotencyKey *key, bool *says_the_same)
{
	BmwIdentity before;
	TimestampTz now;
	bool is_new;

	PreventCommandDuringRecovery("INSERT");
	before = bmw_identity_become(bmw_event_store_owner());
	/* first: an id is never older than what the dispatchers know of running transactions */
	(void) GetTopFullTransactionId();
	now = GetCurrentTimestamp();
	stamp(event, 1, now);
	SPI_connect();
	is_new = bmw_idempotency_claim(key, &event->id, says_the_same);
	if (is_new)
		insert_single(event, now);
	SPI_finish();
	bmw_identity_return(before);
	if (is_new)
		bmw_notify_event();
	return is_new;
}

bool
bmw_event_store_find_endpoint(int64 endpoint_id, BmwEventEndpoint *endpoint)
{
	MemoryContext caller = CurrentMemoryContext;
	BmwIdentity before = bmw_identity_become(bmw_event_store_owner());
	Datum values[2] = {Int64GetDatum(endpoint_id), ObjectIdGetDatum(before.user)};

	SPI_connect();
	bool found = bmw_statement_run(&select_endpoint, values) > 0 && may_use_endpoint(before.user);

	if (found)
	{
		BmwSqlRow row = {SPI_tuptable->vals[0], SPI_tuptable->tupdesc};
		const char *application = SPI_getvalue(row.tuple, row.descriptor, 3);

		endpoint->is_enabled = bmw_sql_bool(&row, 2);
		endpoint->application =
			application == NULL ? NULL : MemoryContextStrdup(caller, application);
	}
	SPI_finish();
	bmw_identity_return(before);
	return found;
}

/* The endpoint's row is in SPI_tuptable: does the user own its application, as row-level security asks? */
static bool
may_use_endpoint(Oid user)
{
	BmwSqlRow row = {SPI_tuptable->vals[0], SPI_tuptable->tupdesc};

	return superuser_arg(user) || user == bmw_event_store_owner() || bmw_sql_bool(&row, 1);
}

/* Looked up once; forgotten when the table changes, is dropped or changes hands. */
Oid
bmw_event_store_owner(void)
{
	static bool is_registered = false;

	if (OidIsValid(owner))
		return owner;
	if (!is_registered)
	{
		CacheRegisterRelcacheCallback(forget_owner, (Datum) 0);
		is_registered = true;
	}
	event_relid = get_relname_relid("event", get_namespace_oid("bm_webhook", false));

	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(event_relid));

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("table \"bm_webhook.event\" does not exist"),
				errhint("Create the extension bm_webhook in this database."));
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

static void
forget_owner(Datum arg, Oid relid)
{
	if (relid == event_relid || relid == InvalidOid)
		owner = InvalidOid;
}

static void
stamp(BmwNewEvent *events, int length, TimestampTz now)
{
	static BmwUuidState state;

	for (int i = 0; i < length; i++)
	{
		uint8 random[8];
		BmwUuid id;

		draw_random(random, sizeof(random));
		bmw_uuid_next(&state, bmw_unix_us(now), random, &id);
		memcpy(events[i].id.data, id.bytes, UUID_LEN);
	}
}

/* From a pool, because a call to the operating system costs as much as an insert. */
static void
draw_random(uint8 *out, size_t len)
{
	static uint8 pool[2048];
	static size_t left = 0;

	if (left < len)
	{
		if (!pg_strong_random(pool, sizeof(pool)))
			ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR),
					errmsg("could not generate random values"));
		left = sizeof(pool);
	}
	left -= len;
	memcpy(out, pool + left, len);
}

static void
insert_single(const BmwNewEvent *event, TimestampTz now)
{
	BmwSqlColumn columns[BMW_EVENT_ALL_FIELDS];
	Datum values[BMW_EVENT_ALL_FIELDS];
	bool nulls[BMW_EVENT_ALL_FIELDS];
	char null_flags[BMW_EVENT_ALL_FIELDS];

	for (int i = 0; i < BMW_EVENT_ALL_FIELDS; i++)
		columns[i] = (BmwSqlColumn){.values = &values[i], .nulls = &nulls[i], .capacity = 1};
	add_row(columns, event, now);
	bmw_sql_column_add(&columns[BMW_EVENT_EXPIRES_AT], TimestampTzGetDatum(event->expires_at));
	for (int i = 0; i < BMW_EVENT_ALL_FIELDS; i++)
		null_flags[i] = nulls[i] ? 'n' : ' ';
	bmw_statement_run_with(event->has_expires_at ? &insert_expiring : &insert_one, values,
						   null_flags, 0);
}

static void
insert_batch(const BmwNewEvent *events, int length, TimestampTz now)
{
	MemoryContext batch =
		AllocSetContextCreate(CurrentMemoryContext, "bm_webhook events", ALLOCSET_DEFAULT_SIZES);
	MemoryContext before = MemoryContextSwitchTo(batch);
	BmwSqlColumn columns[BMW_EVENT_FIELDS];

	bmw_statement_init_columns(columns, &bmw_event_fields, length);
	for (int i = 0; i < length; i++)
		add_row(columns, &events[i], now);
	bmw_statement_run_columns(&insert_many, columns);
	MemoryContextSwitchTo(before);
	MemoryContextDelete(batch);
}

static void
add_row(BmwSqlColumn *columns, const BmwNewEvent *event, TimestampTz now)
{
	TimestampTz occurred_at = event->has_occurred_at ? event->occurred_at : now;
	Datum data = CStringGetTextDatum(event->data);

	bmw_sql_column_add(&columns[BMW_EVENT_ID], PointerGetDatum(&event->id));
	bmw_sql_column_add_string(&columns[BMW_EVENT_TYPE], event->type);
	bmw_sql_column_add_string(&columns[BMW_EVENT_APPLICATION], event->application);
	bmw_sql_column_add_string(&columns[BMW_EVENT_CHANNEL], event->channel);
	bmw_sql_column_add_string(&columns[BMW_EVENT_MESSAGE_ID], event->message_id);
	add_reply_to(&columns[BMW_EVENT_REPLY_TO], event, data);
	if (event->endpoint_id == 0)
		bmw_sql_column_add_null(&columns[BMW_EVENT_ENDPOINT_ID]);
	else
		bmw_sql_column_add(&columns[BMW_EVENT_ENDPOINT_ID], Int64GetDatum(event->endpoint_id));
	bmw_sql_column_add(&columns[BMW_EVENT_OCCURRED_AT], TimestampTzGetDatum(occurred_at));
	bmw_sql_column_add(&columns[BMW_EVENT_DATA], data);
	bmw_sql_column_add(&columns[BMW_EVENT_XID],
					   FullTransactionIdGetDatum(GetTopFullTransactionId()));
	bmw_sql_column_add(&columns[BMW_EVENT_CREATED_AT], TimestampTzGetDatum(now));
}

/* data.context.message_id of an inbound message. */
static void
add_reply_to(BmwSqlColumn *column, const BmwNewEvent *event, Datum data)
{
	LOCAL_FCINFO(call, 2);
	Datum path[2];
	Datum message_id;

	if (strcmp(event->type, "message.received") != 0)
	{
		bmw_sql_column_add_null(column);
		return;
	}
	path[0] = CStringGetTextDatum("context");
	path[1] = CStringGetTextDatum("message_id");
	InitFunctionCallInfoData(*call, NULL, 2, InvalidOid, NULL, NULL);
	call->args[0] = (NullableDatum){data, false};
	call->args[1] = (NullableDatum){
		PointerGetDatum(construct_array(path, 2, TEXTOID, -1, false, TYPALIGN_INT)), false};
	message_id = json_extract_path_text(call);
	if (call->isnull || VARSIZE_ANY_EXHDR(DatumGetPointer(message_id)) > BMW_NAME_MAX_BYTES)
		bmw_sql_column_add_null(column);
	else
		bmw_sql_column_add(column, message_id);
}
