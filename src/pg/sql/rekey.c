/*
 * pg/sql/rekey.c - the SQL function rekey(), and what else SQL asks about the keys that secrets are encrypted with.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "pg/server/key_file.h"
#include "pg/server/notify.h"
#include "pg/sql/as_owner.h"
#include "pg/sql/call.h"
#include "pg/sql/key.h"
#include "pg/sql/ownership.h"
#include "pg/sql/sealed.h"
#include "pg/sql/sealed_headers.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(bm_webhook_rekey);
PG_FUNCTION_INFO_V1(bm_webhook_secret_key);
PG_FUNCTION_INFO_V1(bm_webhook_opens);
PG_FUNCTION_INFO_V1(bm_webhook_opens_headers);
PG_FUNCTION_INFO_V1(bm_webhook_secret_storage);

static BmwStatement begin_rekey = {
	"SELECT operation, matched FROM bm_webhook_internal.begin_rekey($1, $2, $3)",
	3,
	{TEXTOID, BOOLOID, NAMEOID}};

/* rekey(dry_run boolean) */
Datum
bm_webhook_rekey(PG_FUNCTION_ARGS)
{
	const char *key_id = bmw_sealed_key_id();
	Datum values[3] = {0, PG_GETARG_DATUM(0), bmw_ownership_caller_name()};
	Datum columns[2];
	bool nulls[2];

	bmw_call_require(fcinfo, 0, "dry_run", "Leave it out to encrypt.");
	bmw_ownership_require_administrator("encrypt all secrets anew");
	if (key_id == NULL)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("there is no key to encrypt secrets with"),
				errhint("Set bm_webhook.secret_key_file, and reload the configuration."));
	values[0] = CStringGetTextDatum(key_id);
	(void) bmw_as_owner_run(&begin_rekey, values, NULL, columns, nulls);
	bmw_notify_operation();
	return bmw_call_row(fcinfo, columns, nulls);
}

/* secret_key(): the id of the key that secrets are encrypted with, null for none */
Datum
bm_webhook_secret_key(PG_FUNCTION_ARGS)
{
	const char *key_id = bmw_sealed_key_id();

	if (key_id == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(key_id));
}

/* opens(endpoint, id, kind, secret, key_id): the columns of endpoint_secret */
Datum
bm_webhook_opens(PG_FUNCTION_ARGS)
{
	BmwStoredKey stored = {.endpoint_id = PG_GETARG_INT64(0),
						   .id = PG_GETARG_INT64(1),
						   .kind = bmw_call_text(fcinfo, 2),
						   .secret = bmw_call_text(fcinfo, 3),
						   .key_id = bmw_call_text(fcinfo, 4)};
	char *plain;

	for (int i = 0; i < 4; i++)
		if (PG_ARGISNULL(i))
			PG_RETURN_BOOL(false);
	plain = bmw_sealed_open(stored.secret, stored.key_id,
							bmw_sealed_secret_context(stored.endpoint_id, stored.id, stored.kind));
	if (plain != NULL)
		explicit_bzero(plain, strlen(plain));
	PG_RETURN_BOOL(plain != NULL);
}

/* opens_headers(endpoint, credentials, key_id) */
Datum
bm_webhook_opens_headers(PG_FUNCTION_ARGS)
{
	BmwSealedHeaders headers;

	PG_RETURN_BOOL(bmw_sealed_headers_open(PG_GETARG_INT64(0), bmw_call_text(fcinfo, 1),
										   bmw_call_text(fcinfo, 2), &headers));
}

/* secret_storage(): how secrets are stored, for status() */
Datum
bm_webhook_secret_storage(PG_FUNCTION_ARGS)
{
	const BmwKeyRing *ring = bmw_key_file_ring();
	const char *storage = "plain text: bm_webhook.secret_key_file is not set";

	if (ring != NULL)
		storage = psprintf("encrypted with key \"%s\"", ring->keys[0].id);
	else if (bmw_key_file_error() != NULL)
		storage = psprintf("unusable: bm_webhook.secret_key_file: %s", bmw_key_file_error());
	PG_RETURN_TEXT_P(cstring_to_text(storage));
}
