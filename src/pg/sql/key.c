/*
 * pg/sql/key.c - signing keys as values of SQL.
 */
#include "postgres.h"

#include "pg/sql/key.h"

#include "pg/sql/sealed.h"
#include "utils/builtins.h"

bool
bmw_key_kind(const char *name, BmwSecretKind *kind)
{
	*kind = strcmp(name, "ed25519") == 0 ? BMW_SECRET_ED25519 : BMW_SECRET_HMAC;
	return *kind == BMW_SECRET_ED25519 || strcmp(name, "hmac_sha256") == 0;
}

BmwSecret
bmw_key_parse(const text *value)
{
	BmwSecret key;
	BmwStatus status = bmw_secret_parse(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value), &key);

	if (status == BMW_OK)
		status = bmw_secret_check(&key);
	if (status != BMW_OK)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid secret"),
				errdetail("%s", bmw_status_text(status)),
				errhint("A secret is whsec_ followed by the base64 of %d to %d bytes; keys of "
						"ed25519 are whsk_ (private) and whpk_ (public).",
						BMW_SECRET_MIN_BYTES, BMW_SECRET_MAX_BYTES));
	return key;
}

BmwSecret
bmw_key_generate(BmwSecretKind kind)
{
	uint8 random[32];
	BmwSecret key;

	if (!pg_strong_random(random, sizeof(random)) || bmw_secret_make(kind, random, &key) != BMW_OK)
		ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate a secret"));
	explicit_bzero(random, sizeof(random));
	return key;
}

bool
bmw_key_open(const BmwStoredKey *stored, BmwSecret *key)
{
	char *context = bmw_sealed_secret_context(stored->endpoint_id, stored->id, stored->kind);
	char *plain = bmw_sealed_open(stored->secret, stored->key_id, context);
	bool is_open = plain != NULL && bmw_secret_parse(plain, strlen(plain), key) == BMW_OK;

	if (plain != NULL)
		explicit_bzero(plain, strlen(plain));
	return is_open;
}

void
bmw_key_refuse(const BmwStoredKey *stored)
{
	ereport(
		ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		errmsg("secret " INT64_FORMAT " of endpoint " INT64_FORMAT " cannot be decrypted",
			   stored->id, stored->endpoint_id),
		errhint(
			"Its key must be in the file that bm_webhook.secret_key_file names, and it opens in the "
			"row alone that it was encrypted for."));
}

Datum
bmw_key_datum(const BmwSecret *key)
{
	char text[BMW_SECRET_TEXT_SIZE];
	Datum result;

	(void) bmw_secret_format(key, text);
	result = CStringGetTextDatum(text);
	explicit_bzero(text, sizeof(text));
	return result;
}
