/*
 * pg/sql/secret.c - the SQL functions about the secrets of an endpoint.
 *
 * What rotate_secret() does is written in SQL, and run as the owner of the log once the endpoint is the
 * caller's: so an owner needs no right to the table of secrets.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "pg/sql/call.h"
#include "pg/sql/identity.h"
#include "pg/sql/insert.h"
#include "pg/sql/interval.h"
#include "pg/sql/key.h"
#include "pg/sql/ownership.h"
#include "pg/sql/statement.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(bm_webhook_random_secret);
PG_FUNCTION_INFO_V1(bm_webhook_public_part);
PG_FUNCTION_INFO_V1(bm_webhook_rotate_secret);
PG_FUNCTION_INFO_V1(bm_webhook_secret);

#define MAX_OVERLAP_US (366 * USECS_PER_DAY)
static BmwStatement rotate = {
	"SELECT bm_webhook_internal.rotate_secret(e.id, $4, $5, $6)" BMW_ENDPOINT_OF_CALLER,
	6,
	{INT8OID, OIDOID, BOOLOID, INTERVALOID, TEXTOID, NAMEOID}};

static BmwStatement find_newest = {
	"SELECT s.id, s.secret, s.key_id FROM bm_webhook.endpoint_secret s, (SELECT e.id" BMW_ENDPOINT_OF_CALLER
	") e WHERE s.endpoint_id OPERATOR(pg_catalog.=) e.id AND s.kind OPERATOR(pg_catalog.=) 'hmac_sha256'"
	" AND " BMW_SECRET_LASTS " ORDER BY s.id DESC LIMIT 1",
	3,
	{INT8OID, OIDOID, BOOLOID}};

static BmwStatement note_showing = {
	"INSERT INTO bm_webhook.operation (kind, endpoint_id, application, matched, done, asked_by, acting_as, ended_at)"
	" SELECT 'show_secret', e.id, e.application, 1, 1, session_user, $2, pg_catalog.clock_timestamp()"
	" FROM bm_webhook.endpoint e WHERE e.id OPERATOR(pg_catalog.=) $1",
	2,
	{INT8OID, NAMEOID}};

static BmwSecretKind kind_argument(FunctionCallInfo fcinfo, int argument);
static Datum overlap(FunctionCallInfo fcinfo);
static Datum run(BmwStatement *statement, Datum *values);
static BmwStoredKey find_secret(FunctionCallInfo fcinfo);

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

/* secret(endpoint bigint): the newest shared one; that somebody saw it is noted */
Datum
bm_webhook_secret(PG_FUNCTION_ARGS)
{
	MemoryContext context = CurrentMemoryContext;
	Datum by = bmw_ownership_caller_name();
	BmwIdentity before;
	BmwStoredKey stored;
	BmwSecret key;
	Datum result;

	SPI_connect();
	stored = find_secret(fcinfo);
	before = bmw_identity_become(bmw_event_store_owner());
	bmw_statement_run(&note_showing, (Datum[]){PG_GETARG_DATUM(0), by});
	bmw_identity_return(before);
	if (!bmw_key_open(&stored, &key))
		bmw_key_refuse(&stored);
	MemoryContextSwitchTo(context);
	result = bmw_key_datum(&key);
	explicit_bzero(&key, sizeof(key));
	SPI_finish();
	return result;
}

/* 42704 when there is none, or the endpoint is not the caller's. */
static BmwStoredKey
find_secret(FunctionCallInfo fcinfo)
{
	BmwCaller caller = bmw_ownership_caller();
	BmwIdentity before = bmw_identity_become(bmw_event_store_owner());
	BmwSqlRow row;

	if (bmw_statement_run(&find_newest,
						  (Datum[]){PG_GETARG_DATUM(0), caller.role, caller.is_unbound}) == 0)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("endpoint " INT64_FORMAT " has no secret, or does not exist",
					   PG_GETARG_INT64(0)),
				errhint("Endpoints are the rows of bm_webhook.endpoint."));
	bmw_identity_return(before);
	row = (BmwSqlRow){SPI_tuptable->vals[0], SPI_tuptable->tupdesc};
	return (BmwStoredKey){.endpoint_id = PG_GETARG_INT64(0),
						  .id = bmw_sql_int64(&row, 1),
						  .kind = "hmac_sha256",
						  .secret = bmw_sql_text(&row, 2, NULL),
						  .key_id = bmw_sql_text(&row, 3, NULL)};
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
