/*
 * core/ed25519.c - signatures by ed25519 (RFC 8032), by OpenSSL.
 */
#include "core/ed25519.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define KEPT 512 /* keys; each has one place, by its public half */

typedef struct Kept
{
	EVP_PKEY *key; /* NULL: none */
	uint8_t pair[BMW_ED25519_PAIR];
} Kept;

struct BmwEd25519
{
	EVP_MD_CTX *context;
	Kept kept[KEPT];
};

static EVP_PKEY *keep(BmwEd25519 *signer, const uint8_t *pair);

BmwEd25519 *
bmw_ed25519_create(void)
{
	BmwEd25519 *signer = calloc(1, sizeof(*signer));
	const uint8_t any[BMW_ED25519_KEY] = {1};
	uint8_t public_key[BMW_ED25519_KEY];

	if (signer == NULL)
		return NULL;
	signer->context = EVP_MD_CTX_new();
	if (signer->context != NULL && bmw_ed25519_public(any, public_key))
		return signer;
	bmw_ed25519_destroy(signer);
	return NULL;
}

void
bmw_ed25519_destroy(BmwEd25519 *signer)
{
	if (signer == NULL)
		return;
	for (size_t i = 0; i < KEPT; i++)
		EVP_PKEY_free(signer->kept[i].key);
	EVP_MD_CTX_free(signer->context);
	OPENSSL_cleanse(signer, sizeof(*signer));
	free(signer);
}

bool
bmw_ed25519_public(const uint8_t *private_key, uint8_t *public_key)
{
	EVP_PKEY *key =
		EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, private_key, BMW_ED25519_KEY);
	size_t len = BMW_ED25519_KEY;
	const bool is_done = key != NULL && EVP_PKEY_get_raw_public_key(key, public_key, &len) == 1 &&
						 len == BMW_ED25519_KEY;

	EVP_PKEY_free(key);
	return is_done;
}

bool
bmw_ed25519_sign(BmwEd25519 *signer, const uint8_t *pair, const void *message, size_t len,
				 uint8_t *signature)
{
	EVP_PKEY *key = keep(signer, pair);
	size_t signature_len = BMW_ED25519_SIGNATURE;
	const bool is_done =
		key != NULL && EVP_DigestSignInit(signer->context, NULL, NULL, NULL, key) == 1 &&
		EVP_DigestSign(signer->context, signature, &signature_len, message, len) == 1 &&
		signature_len == BMW_ED25519_SIGNATURE;

	EVP_MD_CTX_reset(signer->context);
	return is_done;
}

bool
bmw_ed25519_verify(BmwEd25519 *signer, const uint8_t *public_key, const void *message, size_t len,
				   const uint8_t *signature)
{
	EVP_PKEY *key =
		EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, BMW_ED25519_KEY);
	const bool is_right =
		key != NULL && EVP_DigestVerifyInit(signer->context, NULL, NULL, NULL, key) == 1 &&
		EVP_DigestVerify(signer->context, signature, BMW_ED25519_SIGNATURE, message, len) == 1;

	EVP_MD_CTX_reset(signer->context);
	EVP_PKEY_free(key);
	return is_right;
}

/* NULL when OpenSSL fails. */
static EVP_PKEY *
keep(BmwEd25519 *signer, const uint8_t *pair)
{
	const uint8_t *public_key = pair + BMW_ED25519_KEY;
	Kept *kept = &signer->kept[(public_key[0] | public_key[1] << 8) % KEPT];

	if (kept->key != NULL && memcmp(kept->pair, pair, sizeof(kept->pair)) == 0)
		return kept->key;
	EVP_PKEY_free(kept->key);
	memcpy(kept->pair, pair, sizeof(kept->pair));
	kept->key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, pair, BMW_ED25519_KEY);
	return kept->key;
}
