/*
 * pg/capture/emit.c - the SQL functions emit() and ping(): one event, made by hand.
 *
 * Unlike capture(), a bad argument is the caller's error and fails the
 * statement. Both run as the invoker; event_store.c switches the role.
 */
#include "postgres.h"

#include "pg/capture/emit.h"

#include "common/hashfn.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "pg/capture/check.h"
#include "pg/sql/call.h"
#include "pg/sql/emit_limits.h"
#include "pg/sql/example.h"
#include "pg/sql/insert.h"
#include "pg/server/settings.h"
#include "pg/capture/text_size.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

PG_FUNCTION_INFO_V1(bm_webhook_emit);
PG_FUNCTION_INFO_V1(bm_webhook_ping);

#define PING_TYPE "webhook.ping"

static const char *data_argument(FunctionCallInfo fcinfo, int n);
static void raise(const BmwEventFault *fault);
static void require_valid(const BmwNewEvent *event);
static bool require_endpoint(BmwNewEvent *event);
static Datum insert(BmwNewEvent *event);
static uint64 fingerprint(const BmwNewEvent *event, const char *says);
static Datum insert_once(BmwNewEvent *event, const BmwIdempotencyKey *key);
static Datum id_of(const BmwNewEvent *event);

/* emit(type, data, application, channel, message_id, occurred_at, endpoint, idempotency_key, expires_at) */
Datum
bm_webhook_emit(PG_FUNCTION_ARGS)
{
	BmwNewEvent event = {
		.type = bmw_call_text(fcinfo, 0),
		.data = data_argument(fcinfo, 1),
		.application = bmw_call_text(fcinfo, 2),
		.channel = bmw_call_text(fcinfo, 3),
		.message_id = bmw_call_text(fcinfo, 4),
		.has_occurred_at = !PG_ARGISNULL(5),
		.occurred_at = PG_ARGISNULL(5) ? 0 : PG_GETARG_TIMESTAMPTZ(5),
		.endpoint_id = PG_ARGISNULL(6) ? 0 : PG_GETARG_INT64(6),
	};

	if (!PG_ARGISNULL(8))
		bmw_emit_set_expiry(&event, PG_GETARG_TIMESTAMPTZ(8));
	require_valid(&event);
	if (!PG_ARGISNULL(6))
		(void) require_endpoint(&event);
	return bmw_emit_event(&event, bmw_call_text(fcinfo, 7), event.data);
}

/* ping(endpoint bigint, type text) */
Datum
bm_webhook_ping(PG_FUNCTION_ARGS)
{
	int64 endpoint_id = PG_GETARG_INT64(0);
	const char *type = bmw_call_text(fcinfo, 1);
	BmwNewEvent event = {
		.type = type,
		.data = psprintf("{\"endpoint_id\":" INT64_FORMAT "}", endpoint_id),
		.endpoint_id = endpoint_id,
	};

	if (!require_endpoint(&event))
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("endpoint " INT64_FORMAT " is disabled: it gets no events", endpoint_id),
				errhint("Set its column \"enabled\" to true."));
	bmw_emit_limits_check_ping();
	if (strcmp(type, PING_TYPE) != 0 && !bmw_example_find(&event))
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("event type \"%s\" has no example", type),
				errhint("The examples are in bm_webhook.event_type; \"data\" must be an object."));
	return bmw_emit_event(&event, NULL, NULL);
}

Datum
bmw_emit_event(BmwNewEvent *event, const char *idempotency_key, const char *says)
{
	BmwIdempotencyKey key = {.application = event->application, .key = idempotency_key};

	require_valid(event);
	bmw_emit_limits_check(event);
	if (idempotency_key == NULL)
		return insert(event);
	if (*idempotency_key == '\0' || strlen(idempotency_key) > BMW_IDEMPOTENCY_KEY_MAX_BYTES)
		ereport(
			ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("\"idempotency_key\" must have 1 to %d bytes", BMW_IDEMPOTENCY_KEY_MAX_BYTES));
	key.fingerprint = fingerprint(event, says);
	return insert_once(event, &key);
}

void
bmw_emit_set_expiry(BmwNewEvent *event, TimestampTz at)
{
	if (TIMESTAMP_IS_NOBEGIN(at))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("\"expires_at\" is out of range"), errhint("Leave it out for never."));
	event->has_expires_at = !TIMESTAMP_IS_NOEND(at);
	event->expires_at = at;
}

static const char *
data_argument(FunctionCallInfo fcinfo, int n)
{
	if (PG_ARGISNULL(n))
		return NULL;

	Jsonb *data = PG_GETARG_JSONB_P(n);

	/* before it is written: the text of a small value may be huge */
	if (bmw_text_size_jsonb(data, bmw_max_payload) > bmw_max_payload)
		raise(&bmw_event_too_large);

	return JsonbToCString(NULL, &data->root, VARSIZE(data));
}

static void
require_valid(const BmwNewEvent *event)
{
	raise(bmw_event_check(event));
}

static void
raise(const BmwEventFault *fault)
{
	if (fault != NULL)
		ereport(ERROR, errcode(fault->sqlstate), errmsg("%s", fault->message),
				errhint("%s", fault->hint));
}

/*
 * The event is of the endpoint's application, as by that alone its owner sees it, unless another is named.
 * Is the endpoint enabled?
 */
static bool
require_endpoint(BmwNewEvent *event)
{
	BmwEventEndpoint endpoint;

	if (!bmw_event_store_find_endpoint(event->endpoint_id, &endpoint))
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("endpoint " INT64_FORMAT " does not exist", event->endpoint_id),
				errhint("Endpoints are the rows of bm_webhook.endpoint."));
	if (event->application == NULL)
		event->application = endpoint.application;
	return endpoint.is_enabled;
}

static Datum
insert(BmwNewEvent *event)
{
	bmw_event_store_insert(event, 1);
	return id_of(event);
}

static uint64
fingerprint(const BmwNewEvent *event, const char *says)
{
	StringInfoData all;

	initStringInfo(&all);
	appendStringInfo(&all, "%s\n%s\n%s\n" INT64_FORMAT "\n%s", event->type,
					 event->channel != NULL ? event->channel : "",
					 event->message_id != NULL ? event->message_id : "", event->endpoint_id, says);
	return DatumGetUInt64(hash_any_extended((unsigned char *) all.data, all.len, 0));
}

static Datum
insert_once(BmwNewEvent *event, const BmwIdempotencyKey *key)
{
	bool says_the_same = true;

	if (!bmw_event_store_insert_once(event, key, &says_the_same) && !says_the_same)
		ereport(WARNING, errcode(ERRCODE_WARNING),
				errmsg("another event was emitted under this idempotency key, and this one is not"),
				errhint("The id is that of the first one: use a key for one event only."));
	return id_of(event);
}

static Datum
id_of(const BmwNewEvent *event)
{
	pg_uuid_t *id = palloc(sizeof(pg_uuid_t));

	*id = event->id;
	return UUIDPGetDatum(id);
}
