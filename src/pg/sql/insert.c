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

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "core/uuid.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "core/name.h"
#include "pg/sql/insert.h"
#include "pg/sql/interval.h"
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
#define COLUMNS 11

/* The parameters of both INSERTs, in the order of the columns. */
enum Column
{
	COLUMN_ID,
	COLUMN_TYPE,
	COLUMN_APPLICATION,
	COLUMN_CHANNEL,
	COLUMN_MESSAGE_ID,
	COLUMN_REPLY_TO,
	COLUMN_ENDPOINT_ID,
	COLUMN_OCCURRED_AT,
	COLUMN_DATA,
	COLUMN_XID,
	COLUMN_CREATED_AT
};

#define ARRAY_COLUMNS COLUMN_XID /* those before vary from row to row */

static const char insert_one[] =
	"INSERT INTO bm_webhook.event (id, type, application, channel, message_id, reply_to, endpoint_id, occurred_at, data, xid, created_at)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";

/* Sets in the select list advance together; the arrays have the same length. */
static const char insert_many[] =
	"INSERT INTO bm_webhook.event (id, type, application, channel, message_id, reply_to, endpoint_id, occurred_at, data, xid, created_at)"
	" SELECT pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3), pg_catalog.unnest($4),"
	" pg_catalog.unnest($5), pg_catalog.unnest($6), pg_catalog.unnest($7), pg_catalog.unnest($8), pg_catalog.unnest($9), $10, $11";

static const char select_endpoint[] =
	"SELECT a.owner, e.enabled FROM bm_webhook.endpoint e LEFT JOIN bm_webhook.application a"
	" ON a.name OPERATOR(pg_catalog.=) e.application WHERE e.id OPERATOR(pg_catalog.=) $1 AND e.deleted_at IS NULL";

static Oid element_types[COLUMNS] = {UUIDOID, TEXTOID, TEXTOID,		  TEXTOID,
									 TEXTOID, TEXTOID, INT8OID,		  TIMESTAMPTZOID,
									 JSONOID, XID8OID, TIMESTAMPTZOID};
static Oid array_types[COLUMNS] = {UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID,  TEXTARRAYOID,
								   TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID,  TIMESTAMPTZARRAYOID,
								   JSONARRAYOID, XID8OID,	   TIMESTAMPTZOID};

/* Who we were before we became the owner of the table. */
typedef struct Identity
{
	Oid user;
	int context;
} Identity;

static bool may_use_endpoint(Oid user);
static Identity become_owner(void);
static void forget_owner(Datum arg, Oid relid);
static void stamp(BmwNewEvent *events, int length, TimestampTz now);
static void draw_random(uint8 *out, size_t len);
static void insert_single(const BmwNewEvent *event, TimestampTz now);
static void insert_batch(const BmwNewEvent *events, int length, TimestampTz now);
static void fill_row(const BmwNewEvent *event, TimestampTz now, Datum *values, bool *nulls);
static Datum text_or_null(const char *text, bool *is_null);
static Datum reply_to(const BmwNewEvent *event, Datum data, bool *is_null);
static Datum array_of(const Datum *values, const bool *nulls, int length, Oid element);
static SPIPlanPtr saved_plan(SPIPlanPtr *plan, const char *sql, int parameters, Oid *types);

static Oid event_relid = InvalidOid;
static Oid owner = InvalidOid;

void
bmw_event_store_insert(BmwNewEvent *events, int length)
{
	if (length <= 0)
		return;
	PreventCommandDuringRecovery("INSERT");

	Identity before = become_owner();
	TimestampTz now = GetCurrentTimestamp();

	stamp(events, length, now);
	SPI_connect();
	if (length == 1)
		insert_single(events, now);
	else
		for (int done = 0; done < length; done += BATCH_LENGTH)
			insert_batch(events + done, Min(BATCH_LENGTH, length - done), now);
	SPI_finish();
	SetUserIdAndSecContext(before.user, before.context);
	bmw_notify_event();
}

bool
bmw_event_store_has_endpoint(int64 endpoint_id, bool *is_enabled)
{
	static SPIPlanPtr plan = NULL;
	static Oid types[] = {INT8OID};
	Identity before = become_owner();
	Datum value = Int64GetDatum(endpoint_id);

	SPI_connect();
	if (SPI_execute_plan(saved_plan(&plan, select_endpoint, 1, types), &value, NULL, false, 1) !=
		SPI_OK_SELECT)
		ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not read the endpoints"));

	bool found = SPI_processed > 0 && may_use_endpoint(before.user);
	bool is_null;

	*is_enabled = found && DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
													  2, &is_null));

	SPI_finish();
	SetUserIdAndSecContext(before.user, before.context);
	return found;
}

/* The endpoint's row is in SPI_tuptable: does the user own its application, as row-level security asks? */
static bool
may_use_endpoint(Oid user)
{
	char *application_owner = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	Oid role = application_owner != NULL ? get_role_oid(application_owner, true) : InvalidOid;

	return superuser_arg(user) || user == bmw_event_store_owner() ||
		   (OidIsValid(role) && is_member_of_role(user, role));
}

static Identity
become_owner(void)
{
	Identity before;

	GetUserIdAndSecContext(&before.user, &before.context);
	SetUserIdAndSecContext(bmw_event_store_owner(), before.context | SECURITY_LOCAL_USERID_CHANGE);
	return before;
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
	static SPIPlanPtr plan = NULL;
	Datum values[COLUMNS];
	bool nulls[COLUMNS];
	char null_flags[COLUMNS];

	fill_row(event, now, values, nulls);
	for (int c = 0; c < COLUMNS; c++)
		null_flags[c] = nulls[c] ? 'n' : ' ';
	if (SPI_execute_plan(saved_plan(&plan, insert_one, COLUMNS, element_types), values, null_flags,
						 false, 0) != SPI_OK_INSERT)
		ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not insert an event"));
}

static void
insert_batch(const BmwNewEvent *events, int length, TimestampTz now)
{
	static SPIPlanPtr plan = NULL;
	MemoryContext batch =
		AllocSetContextCreate(CurrentMemoryContext, "bm_webhook events", ALLOCSET_DEFAULT_SIZES);
	MemoryContext before = MemoryContextSwitchTo(batch);
	Datum *values = palloc(sizeof(Datum) * COLUMNS * length);
	bool *nulls = palloc(sizeof(bool) * COLUMNS * length);
	Datum arguments[COLUMNS];

	for (int i = 0; i < length; i++)
	{
		Datum row[COLUMNS];
		bool row_nulls[COLUMNS];

		fill_row(&events[i], now, row, row_nulls);
		for (int c = 0; c < COLUMNS; c++)
		{
			values[c * length + i] = row[c];
			nulls[c * length + i] = row_nulls[c];
		}
	}
	for (int c = 0; c < ARRAY_COLUMNS; c++)
		arguments[c] = array_of(values + c * length, nulls + c * length, length, element_types[c]);
	for (int c = ARRAY_COLUMNS; c < COLUMNS; c++)
		arguments[c] = values[c * length];
	if (SPI_execute_plan(saved_plan(&plan, insert_many, COLUMNS, array_types), arguments, NULL,
						 false, 0) != SPI_OK_INSERT)
		ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not insert events"));
	MemoryContextSwitchTo(before);
	MemoryContextDelete(batch);
}

static void
fill_row(const BmwNewEvent *event, TimestampTz now, Datum *values, bool *nulls)
{
	memset(nulls, 0, sizeof(bool) * COLUMNS);
	values[COLUMN_ID] = PointerGetDatum(&event->id);
	values[COLUMN_TYPE] = text_or_null(event->type, &nulls[COLUMN_TYPE]);
	values[COLUMN_APPLICATION] = text_or_null(event->application, &nulls[COLUMN_APPLICATION]);
	values[COLUMN_CHANNEL] = text_or_null(event->channel, &nulls[COLUMN_CHANNEL]);
	values[COLUMN_MESSAGE_ID] = text_or_null(event->message_id, &nulls[COLUMN_MESSAGE_ID]);
	values[COLUMN_ENDPOINT_ID] = Int64GetDatum(event->endpoint_id);
	nulls[COLUMN_ENDPOINT_ID] = event->endpoint_id == 0;
	values[COLUMN_OCCURRED_AT] =
		TimestampTzGetDatum(event->has_occurred_at ? event->occurred_at : now);
	values[COLUMN_DATA] = text_or_null(event->data, &nulls[COLUMN_DATA]);
	values[COLUMN_REPLY_TO] = reply_to(event, values[COLUMN_DATA], &nulls[COLUMN_REPLY_TO]);
	values[COLUMN_XID] = FullTransactionIdGetDatum(GetTopFullTransactionId());
	values[COLUMN_CREATED_AT] = TimestampTzGetDatum(now);
}

static Datum
text_or_null(const char *text, bool *is_null)
{
	*is_null = text == NULL;
	return text == NULL ? (Datum) 0 : CStringGetTextDatum(text);
}

/* data.context.message_id of an inbound message. */
static Datum
reply_to(const BmwNewEvent *event, Datum data, bool *is_null)
{
	LOCAL_FCINFO(call, 2);
	Datum path[2];
	Datum message_id;

	*is_null = true;
	if (strcmp(event->type, "message.received") != 0)
		return (Datum) 0;
	path[0] = CStringGetTextDatum("context");
	path[1] = CStringGetTextDatum("message_id");
	InitFunctionCallInfoData(*call, NULL, 2, InvalidOid, NULL, NULL);
	call->args[0] = (NullableDatum){data, false};
	call->args[1] = (NullableDatum){
		PointerGetDatum(construct_array(path, 2, TEXTOID, -1, false, TYPALIGN_INT)), false};
	message_id = json_extract_path_text(call);
	*is_null = call->isnull || VARSIZE_ANY_EXHDR(DatumGetPointer(message_id)) > BMW_NAME_MAX_BYTES;
	return message_id;
}

static Datum
array_of(const Datum *values, const bool *nulls, int length, Oid element)
{
	int lower_bound = 1;
	int16 type_len;
	bool by_value;
	char align;

	get_typlenbyvalalign(element, &type_len, &by_value, &align);
	return PointerGetDatum(construct_md_array((Datum *) values, (bool *) nulls, 1, &length,
											  &lower_bound, element, type_len, by_value, align));
}

static SPIPlanPtr
saved_plan(SPIPlanPtr *plan, const char *sql, int parameters, Oid *types)
{
	if (*plan == NULL)
	{
		SPIPlanPtr prepared = SPI_prepare(sql, parameters, types);

		if (prepared == NULL || SPI_keepplan(prepared) != 0)
			ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR),
					errmsg("could not prepare a statement on the events"));
		*plan = prepared;
	}
	return *plan;
}
