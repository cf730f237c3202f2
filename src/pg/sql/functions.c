/*
 * pg/sql/functions.c - small SQL functions over the core: signing, schedules, patterns, ids.
 *
 * They only translate types; what they compute is the core's. A malformed
 * secret is an error without the secret in it; a malformed request is just not
 * verified.
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "core/backoff.h"
#include "core/pattern.h"
#include "core/sign.h"
#include "core/uuid.h"
#include "fmgr.h"
#include "pg/sql/interval.h"
#include "pg/sql/key.h"
#include "pg/sql/refuse.h"
#include "pg/sql/signer.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"
#include "utils/uuid.h"

PG_FUNCTION_INFO_V1(bm_webhook_sign);
PG_FUNCTION_INFO_V1(bm_webhook_verify);
PG_FUNCTION_INFO_V1(bm_webhook_exponential_backoff);
PG_FUNCTION_INFO_V1(bm_webhook_matches);
PG_FUNCTION_INFO_V1(bm_webhook_has_equality);
PG_FUNCTION_INFO_V1(bm_webhook_uuid_floor);
PG_FUNCTION_INFO_V1(bm_webhook_uuid_time);

static bool has_null_argument(FunctionCallInfo fcinfo);
static int64 unix_seconds(TimestampTz at);
static char *find_header(Jsonb *headers, const char *name);
static bool parse_seconds(const char *text, int64 *seconds);
static int64 interval_argument(const Interval *interval, const char *name);

/* sign(secret text, id text, at timestamptz, body bytea) */
Datum
bm_webhook_sign(PG_FUNCTION_ARGS)
{
	BmwSecret secret = bmw_key_parse(PG_GETARG_TEXT_PP(0));
	bytea *body = PG_GETARG_BYTEA_PP(3);
	BmwMessage message = {
		.id = text_to_cstring(PG_GETARG_TEXT_PP(1)),
		.timestamp_s = unix_seconds(PG_GETARG_TIMESTAMPTZ(2)),
		.body = VARDATA_ANY(body),
		.body_len = VARSIZE_ANY_EXHDR(body),
	};
	char signature[BMW_SIGNATURE_TEXT_SIZE];
	BmwStatus status = bmw_sign(bmw_signer_of_session(), &secret, &message, signature);

	explicit_bzero(&secret, sizeof(secret));
	if (status == BMW_ERROR_SECRET_PUBLIC)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid secret"),
				errdetail("%s", bmw_status_text(status)),
				errhint("It verifies what was signed with its private key, whsk_."));
	if (status == BMW_ERROR_MESSAGE_ID)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid message id"),
				errdetail("%s", bmw_status_text(status)),
				errhint("Periods separate what is signed: id, timestamp and body."));
	if (status != BMW_OK)
		ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not sign"),
				errdetail("%s", bmw_status_text(status)));
	PG_RETURN_TEXT_P(cstring_to_text(signature));
}

/*
 * verify(headers jsonb, body bytea, secret text, tolerance interval): never null,
 * so that IF NOT verify(...) refuses what lacks something.
 */
Datum
bm_webhook_verify(PG_FUNCTION_ARGS)
{
	if (has_null_argument(fcinfo))
		PG_RETURN_BOOL(false);

	Jsonb *headers = PG_GETARG_JSONB_P(0);
	bytea *body = PG_GETARG_BYTEA_PP(1);
	BmwSecret secret = bmw_key_parse(PG_GETARG_TEXT_PP(2));
	int64 tolerance = interval_argument(PG_GETARG_INTERVAL_P(3), "tolerance");
	char *id = find_header(headers, "webhook-id");
	char *timestamp = find_header(headers, "webhook-timestamp");
	char *signatures = find_header(headers, "webhook-signature");
	BmwMessage message = {.id = id, .body = VARDATA_ANY(body), .body_len = VARSIZE_ANY_EXHDR(body)};

	if (id == NULL || timestamp == NULL || signatures == NULL ||
		!parse_seconds(timestamp, &message.timestamp_s))
		PG_RETURN_BOOL(false);

	int64 age = bmw_unix_us(GetCurrentTimestamp()) - message.timestamp_s * USECS_PER_SEC;

	if (age > tolerance || age < -tolerance)
		PG_RETURN_BOOL(false);

	BmwStatus status = bmw_verify(bmw_signer_of_session(), &secret, &message, signatures);

	explicit_bzero(&secret, sizeof(secret));
	PG_RETURN_BOOL(status == BMW_OK);
}

/* exponential_backoff(base interval, factor float8, max interval, attempts int) */
Datum
bm_webhook_exponential_backoff(PG_FUNCTION_ARGS)
{
	int64 delays_us[BMW_BACKOFF_MAX_DELAYS];
	Datum delays[BMW_BACKOFF_MAX_DELAYS];
	int length = 0;
	BmwStatus status = bmw_backoff_exponential(
		interval_argument(PG_GETARG_INTERVAL_P(0), "base"), PG_GETARG_FLOAT8(1),
		interval_argument(PG_GETARG_INTERVAL_P(2), "max"), PG_GETARG_INT32(3), delays_us, &length);

	if (status != BMW_OK)
		ereport(
			ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid retry schedule"),
			errdetail("%s", bmw_status_text(status)),
			errhint(
				"base must be positive, factor at least 1, max between base and 30 days, attempts 1 to %d.",
				BMW_BACKOFF_MAX_DELAYS + 1));
	for (int i = 0; i < length; i++)
		delays[i] = bmw_interval_datum(delays_us[i]);
	PG_RETURN_ARRAYTYPE_P(
		construct_array(delays, length, INTERVALOID, sizeof(Interval), false, TYPALIGN_DOUBLE));
}

/* matches(patterns text[], type text): what is not a pattern, or not a type, matches nothing */
Datum
bm_webhook_matches(PG_FUNCTION_ARGS)
{
	char *type = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Datum *patterns;
	bool *nulls;
	int length;

	if (!bmw_event_type_is_valid(type, strlen(type)))
		PG_RETURN_BOOL(false);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT, &patterns, &nulls,
					  &length);
	for (int i = 0; i < length; i++)
	{
		char *pattern = nulls[i] ? NULL : TextDatumGetCString(patterns[i]);

		if (pattern != NULL && bmw_pattern_is_valid(pattern, strlen(pattern)) &&
			bmw_pattern_matches(pattern, type))
			PG_RETURN_BOOL(true);
	}
	PG_RETURN_BOOL(false);
}

/* has_equality(type regtype): is it compared by a function of pg_catalog? Nothing is evaluated. */
Datum
bm_webhook_has_equality(PG_FUNCTION_ARGS)
{
	Oid equality = lookup_type_cache(getBaseType(PG_GETARG_OID(0)), TYPECACHE_EQ_OPR)->eq_opr;

	PG_RETURN_BOOL(OidIsValid(equality) && equality < FirstNormalObjectId);
}

Datum
bm_webhook_uuid_floor(PG_FUNCTION_ARGS)
{
	TimestampTz at = PG_GETARG_TIMESTAMPTZ(0);
	pg_uuid_t *out = palloc(sizeof(pg_uuid_t));
	BmwUuid id;

	if (TIMESTAMP_NOT_FINITE(at) || bmw_unix_us(at) < 0)
	{
		bmw_refuse_without_context();
		ereport(ERROR, errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				errmsg("time is out of range for an event id"),
				errhint("The time must be finite and after 1969."));
	}
	bmw_uuid_floor(bmw_unix_us(at), &id);
	memcpy(out->data, id.bytes, UUID_LEN);
	return UUIDPGetDatum(out);
}

Datum
bm_webhook_uuid_time(PG_FUNCTION_ARGS)
{
	BmwUuid id;

	memcpy(id.bytes, PG_GETARG_UUID_P(0)->data, UUID_LEN);
	PG_RETURN_TIMESTAMPTZ(bmw_from_unix_us(bmw_uuid_unix_us(&id)));
}

static bool
has_null_argument(FunctionCallInfo fcinfo)
{
	for (int i = 0; i < PG_NARGS(); i++)
		if (PG_ARGISNULL(i))
			return true;
	return false;
}

static int64
unix_seconds(TimestampTz at)
{
	if (TIMESTAMP_NOT_FINITE(at))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("time must be finite"));

	int64 us = bmw_unix_us(at);

	return us / USECS_PER_SEC - (us % USECS_PER_SEC < 0);
}

/* The value of a header, NULL when it is absent, no text, or there twice. Names in any case. */
static char *
find_header(Jsonb *headers, const char *name)
{
	JsonbIterator *iterator = JsonbIteratorInit(&headers->root);
	JsonbIteratorToken token;
	JsonbValue item;
	char *found = NULL;

	if (!JB_ROOT_IS_OBJECT(headers))
		return NULL;
	while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_DONE)
	{
		if (token != WJB_KEY || item.val.string.len != (int) strlen(name) ||
			pg_strncasecmp(item.val.string.val, name, item.val.string.len) != 0)
			continue;
		JsonbIteratorNext(&iterator, &item, true);
		if (found != NULL || item.type != jbvString)
			return NULL;
		found = pnstrdup(item.val.string.val, item.val.string.len);
	}
	return found;
}

/* Decimal digits only, few enough that microseconds do not overflow. */
static bool
parse_seconds(const char *text, int64 *seconds)
{
	size_t len = strlen(text);

	if (len == 0 || len > 12 || strspn(text, "0123456789") != len)
		return false;
	*seconds = strtoll(text, NULL, 10);
	return true;
}

static int64
interval_argument(const Interval *interval, const char *name)
{
	int64 us;

	if (!bmw_interval_us(interval, &us) || us < 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("\"%s\" must be finite and not negative", name));
	return us;
}
