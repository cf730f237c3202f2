/*
 * pg/sql/sealed.c - what is stored encrypted: secrets.
 */
#include "postgres.h"

#include "pg/sql/sealed.h"

#include "core/base64.h"
#include "core/seal.h"
#include "pg/server/key_file.h"

const char *
bmw_sealed_key_id(void)
{
	const BmwKeyRing *ring = bmw_key_file_ring();

	if (bmw_key_file_error() != NULL)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("secrets cannot be encrypted: bm_webhook.secret_key_file cannot be used"),
				errdetail("%s", bmw_key_file_error()),
				errhint("Repair the file and reload the configuration."));
	return ring != NULL ? ring->keys[0].id : NULL;
}

char *
bmw_sealed_close(const char *text, const char *context)
{
	const size_t len = strlen(text);
	uint8 *seal = palloc(len + BMW_SEAL_EXTRA);
	char *result = palloc(BMW_BASE64_LEN(len + BMW_SEAL_EXTRA) + 1);
	uint8 nonce[BMW_SEAL_NONCE];

	if (!pg_strong_random(nonce, sizeof(nonce)) ||
		!bmw_seal_close(bmw_key_file_ring()->keys[0].key, nonce, context, text, len, seal))
		ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not encrypt a secret"));
	bmw_base64_encode(seal, len + BMW_SEAL_EXTRA, result);
	pfree(seal);
	return result;
}

char *
bmw_sealed_open(const char *sealed, const char *key_id, const char *context)
{
	const BmwKeyRing *ring = bmw_key_file_ring();
	const BmwSealKey *key;
	const size_t len = strlen(sealed);
	uint8 *seal;
	char *text;
	size_t seal_len;
	size_t text_len;

	if (key_id == NULL)
		return pstrdup(sealed);
	key = ring != NULL ? bmw_key_ring_find(ring, key_id) : NULL;
	seal = palloc(len / 4 * 3 + 1);
	text = palloc(len / 4 * 3 + 1);
	if (key == NULL || !bmw_base64_decode(sealed, len, seal, &seal_len) ||
		!bmw_seal_open(key->key, context, seal, seal_len, text, &text_len))
		return NULL;
	text[text_len] = '\0';
	pfree(seal);
	return text;
}

char *
bmw_sealed_secret_context(int64 endpoint_id, int64 id, const char *kind)
{
	return psprintf("bm_webhook secret " INT64_FORMAT " " INT64_FORMAT " %s", endpoint_id, id,
					kind);
}
