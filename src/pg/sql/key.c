/*
 * pg/sql/key.c - signing keys as values of SQL.
 */
#include "postgres.h"

#include "pg/sql/key.h"

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
