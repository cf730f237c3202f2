/*
 * pg/sql/public_key.c - the SQL functions public_key() and jwks(): what receivers verify signatures v1a with.
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
#include "pg/sql/key.h"
#include "pg/sql/ownership.h"
#include "pg/sql/statement.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

PG_FUNCTION_INFO_V1(bm_webhook_public_key);
PG_FUNCTION_INFO_V1(bm_webhook_jwks);

/* Of a row of endpoint_secret. */
typedef struct PublicKey
{
	int64 id;
	BmwSecret key;
} PublicKey;

/* A row without a secret when there is no such key; the newest first. */
static BmwStatement find_keys = {
	"SELECT s.id, s.secret, s.key_id FROM (SELECT e.id" BMW_ENDPOINT_OF_CALLER
	") e LEFT JOIN bm_webhook.endpoint_secret s ON s.endpoint_id OPERATOR(pg_catalog.=) e.id"
	" AND s.kind OPERATOR(pg_catalog.=) 'ed25519'"
	" AND " BMW_SECRET_LASTS " ORDER BY s.id DESC",
	3,
	{INT8OID, OIDOID, BOOLOID}};

static List *read_public_keys(FunctionCallInfo fcinfo);
static PublicKey *read_public_key(const BmwSqlRow *row, int64 endpoint_id);
static Datum as_jwks(const List *keys);
static void add_jwk(StringInfo json, const PublicKey *key);

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
		PublicKey *key = read_public_key(&row, PG_GETARG_INT64(0));

		keys = key != NULL ? lappend(keys, key) : keys;
	}
	SPI_finish();
	bmw_identity_return(before);
	return keys;
}

/* NULL when there is none in the row. */
static PublicKey *
read_public_key(const BmwSqlRow *row, int64 endpoint_id)
{
	const BmwStoredKey stored = {.endpoint_id = endpoint_id,
								 .id = bmw_sql_int64(row, 1),
								 .kind = "ed25519",
								 .secret = bmw_sql_text(row, 2, NULL),
								 .key_id = bmw_sql_text(row, 3, NULL)};
	PublicKey *key = palloc(sizeof(*key));
	BmwSecret pair;

	if (stored.secret == NULL)
		return NULL;
	if (!bmw_key_open(&stored, &pair) || pair.kind != BMW_SECRET_ED25519)
		bmw_key_refuse(&stored);
	*key = (PublicKey){.id = stored.id, .key = bmw_secret_public(&pair)};
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
