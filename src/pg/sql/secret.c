/*
 * pg/sql/secret.c - the SQL functions about the secrets of an endpoint.
 *
 * What rotate_secret() does is written in SQL, and run as the owner of the log once the endpoint is the
 * caller's: so an owner needs no right to the table of secrets.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "core/base64.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "pg/sql/call.h"
#include "pg/sql/identity.h"
#include "pg/sql/insert.h"
#include "pg/sql/interval.h"
#include "pg/sql/key.h"
#include "pg/sql/ownership.h"
#include "pg/sql/statement.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

PG_FUNCTION_INFO_V1(bm_webhook_random_secret);
PG_FUNCTION_INFO_V1(bm_webhook_public_part);
PG_FUNCTION_INFO_V1(bm_webhook_rotate_secret);
PG_FUNCTION_INFO_V1(bm_webhook_public_key);
PG_FUNCTION_INFO_V1(bm_webhook_jwks);

/* Of a row of endpoint_secret. */
typedef struct PublicKey
{
	int64 id;
	BmwSecret key;
} PublicKey;

#define MAX_OVERLAP_US (366 * USECS_PER_DAY)
#define ENDPOINT_OF_CALLER                                                                         \
	" FROM bm_webhook.endpoint e WHERE e.id OPERATOR(pg_catalog.=) $1 AND e.deleted_at IS NULL"    \
	" AND " BMW_OWNERSHIP

static BmwStatement rotate = {
	"SELECT bm_webhook_internal.rotate_secret(e.id, $4, $5, $6)" ENDPOINT_OF_CALLER,
	6,
	{INT8OID, OIDOID, BOOLOID, INTERVALOID, TEXTOID, NAMEOID}};

/* A row without a secret when there is no such key; the newest first. */
static BmwStatement find_keys = {
	"SELECT s.id, s.secret FROM (SELECT e.id" ENDPOINT_OF_CALLER
	") e LEFT JOIN bm_webhook.endpoint_secret s ON s.endpoint_id = e.id AND s.kind = 'ed25519'"
	" AND coalesce(s.expires_at > clock_timestamp(), true) ORDER BY s.id DESC",
	3,
	{INT8OID, OIDOID, BOOLOID}};

static BmwSecretKind kind_argument(FunctionCallInfo fcinfo, int argument);
static Datum overlap(FunctionCallInfo fcinfo);
static Datum run(BmwStatement *statement, Datum *values);
static List *read_public_keys(FunctionCallInfo fcinfo);
static PublicKey *read_public_key(const BmwSqlRow *row);
static Datum as_jwks(const List *keys);
static void add_jwk(StringInfo json, const PublicKey *key);

/* random_secret(kind text); in version 0.2.0 without an argument */
Datum
bm_webhook_random_secret(PG_FUNCTION_ARGS)
{
	BmwSecret key = bmw_key_generate(kind_argument(fcinfo, 0));
	Datum result = bmw_key_datum(&key);

	explicit_bzero(&key, sizeof(key));
	return result;
}

/* public_part(secret text): of a pair of keys, the public one; of a shared key, itself */
Datum
bm_webhook_public_part(PG_FUNCTION_ARGS)
{
	BmwSecret key = bmw_key_parse(PG_GETARG_TEXT_PP(0));
	Datum result;

	if (key.kind == BMW_SECRET_ED25519)
		key = bmw_secret_public(&key);
	result = bmw_key_datum(&key);
	explicit_bzero(&key, sizeof(key));
	return result;
}

/* rotate_secret(endpoint bigint, overlap interval, kind text) */
Datum
bm_webhook_rotate_secret(PG_FUNCTION_ARGS)
{
	BmwCaller caller = bmw_ownership_caller();

	bmw_call_require(fcinfo, 0, "endpoint", "Name an id.");
	bmw_call_require(fcinfo, 1, "overlap", "Leave it out for 24 hours.");
	bmw_call_require(fcinfo, 2, "kind", "Leave it out for hmac_sha256.");
	(void) kind_argument(fcinfo, 2);
	return run(&rotate,
			   (Datum[]){PG_GETARG_DATUM(0), caller.role, caller.is_unbound, overlap(fcinfo),
						 PG_GETARG_DATUM(2), bmw_ownership_caller_name()});
}

/* public_key(endpoint bigint): the newest */
Datum
bm_webhook_public_key(PG_FUNCTION_ARGS)
{
	List *keys = read_public_keys(fcinfo);

	if (keys == NIL)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("endpoint " INT64_FORMAT " has no pair of keys", PG_GETARG_INT64(0)),
				errhint("Make one: bm_webhook.rotate_secret(endpoint, kind => 'ed25519')."));
	return bmw_key_datum(&((PublicKey *) linitial(keys))->key);
}

/* jwks(endpoint bigint): all, as RFC 7517 and RFC 8037 spell them */
Datum
bm_webhook_jwks(PG_FUNCTION_ARGS)
{
	return as_jwks(read_public_keys(fcinfo));
}

static BmwSecretKind
kind_argument(FunctionCallInfo fcinfo, int argument)
{
	BmwSecretKind kind = BMW_SECRET_HMAC;

	if (PG_NARGS() > argument && !bmw_key_kind(text_to_cstring(PG_GETARG_TEXT_PP(argument)), &kind))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("there is no such kind of secret"),
				errhint("The kinds are hmac_sha256, the default, and ed25519."));
	return kind;
}

/* As microseconds alone, so that it is the same time whatever day it is. */
static Datum
overlap(FunctionCallInfo fcinfo)
{
	int64 us;

	if (!bmw_interval_us(PG_GETARG_INTERVAL_P(1), &us) || us < 0 || us > MAX_OVERLAP_US)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("\"overlap\" is out of range"),
				errdetail("It must be between 0 and 366 days."),
				errhint("With 0 the secrets before sign no more at once."));
	return bmw_interval_datum(us);
}

/* A text of the endpoint $1; 42704 when it is not the caller's. */
static Datum
run(BmwStatement *statement, Datum *values)
{
	BmwIdentity before = bmw_identity_become(bmw_event_store_owner());
	const char *text;
	Datum result;

	SPI_connect();
	if (bmw_statement_run(statement, values) == 0)
		bmw_ownership_refuse(DatumGetInt64(values[0]));
	text = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	result = SPI_datumTransfer(CStringGetTextDatum(text), false, -1);
	SPI_finish();
	bmw_identity_return(before);
	return result;
}

/* Of the endpoint that the caller names, the newest first. 22004, 42704 */
static List *
read_public_keys(FunctionCallInfo fcinfo)
{
	BmwCaller caller = bmw_ownership_caller();
	MemoryContext context = CurrentMemoryContext;
	List *keys = NIL;
	BmwIdentity before;
	int rows;

	bmw_call_require(fcinfo, 0, "endpoint", "Name an id.");
	before = bmw_identity_become(bmw_event_store_owner());
	SPI_connect();
	rows = bmw_statement_run(&find_keys,
							 (Datum[]){PG_GETARG_DATUM(0), caller.role, caller.is_unbound});
	if (rows == 0)
		bmw_ownership_refuse(PG_GETARG_INT64(0));
	MemoryContextSwitchTo(context);
	for (int i = 0; i < rows; i++)
	{
		BmwSqlRow row = {SPI_tuptable->vals[i], SPI_tuptable->tupdesc};
		PublicKey *key = read_public_key(&row);

		keys = key != NULL ? lappend(keys, key) : keys;
	}
	SPI_finish();
	bmw_identity_return(before);
	return keys;
}

/* NULL when there is none in the row. */
static PublicKey *
read_public_key(const BmwSqlRow *row)
{
	const char *text = bmw_sql_text(row, 2, NULL);
	PublicKey *key = palloc(sizeof(*key));
	BmwSecret pair;

	if (text == NULL || bmw_secret_parse(text, strlen(text), &pair) != BMW_OK ||
		pair.kind != BMW_SECRET_ED25519)
		return NULL;
	*key = (PublicKey){.id = bmw_sql_int64(row, 1), .key = bmw_secret_public(&pair)};
	explicit_bzero(&pair, sizeof(pair));
	return key;
}

static Datum
as_jwks(const List *keys)
{
	StringInfoData json;
	ListCell *cell;

	initStringInfo(&json);
	appendStringInfoString(&json, "{\"keys\": [");
	foreach (cell, keys)
	{
		if (cell != list_head(keys))
			appendStringInfoString(&json, ", ");
		add_jwk(&json, lfirst(cell));
	}
	appendStringInfoString(&json, "]}");
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
}

/* base64url without padding: 43 of the 44 characters of 32 bytes */
static void
add_jwk(StringInfo json, const PublicKey *key)
{
	char x[BMW_BASE64_LEN(BMW_SECRET_MAX_BYTES) + 1];
	size_t len = bmw_base64_encode(key->key.key, key->key.len, x);

	for (char *c = x; *c != '\0'; c++)
		*c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
	while (len > 0 && x[len - 1] == '=')
		x[--len] = '\0';
	appendStringInfo(
		json,
		"{\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"alg\": \"EdDSA\", \"use\": \"sig\", "
		"\"kid\": \"" INT64_FORMAT "\", \"x\": \"%s\"}",
		key->id, x);
}
