/*
 * core/sign.c - Standard Webhooks 1.0 signatures, schemes v1 (HMAC-SHA256) and v1a (ed25519).
 *
 * The key is the decoded secret, not its text. Fetching an algorithm from
 * OpenSSL 3 costs more than the signature, so a signer fetches once and keeps
 * its context; and it keeps the last key, because re-keying costs two of the
 * compressions of a 1 KB message and a lane sends to the same endpoint again and
 * again.
 */
#include "core/sign.h"

#include <inttypes.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base64.h"
#include "core/ed25519.h"

#define HMAC_PREFIX "v1,"
#define ED25519_PREFIX "v1a,"
#define PREFIX_LEN(prefix) (sizeof(prefix) - 1)
#define MAC_BYTES 32
#define TIMESTAMP_SIZE 32
#define MAX_TRIED BMW_MAX_SECRETS

struct BmwSigner
{
	EVP_MAC *mac;
	EVP_MAC_CTX *context;
	BmwSecret last; /* the key the context holds; len 0: none */
	BmwEd25519 *ed25519;
};

static BmwStatus sign_hmac(BmwSigner *signer, const BmwSecret *secret, const BmwMessage *message,
						   char *out);
static BmwStatus sign_ed25519(BmwSigner *signer, const BmwSecret *secret, const BmwMessage *message,
							  char *out);
static BmwStatus verify_hmac(BmwSigner *signer, const BmwSecret *secret, const BmwMessage *message,
							 const char *signatures);
static BmwStatus verify_ed25519(BmwSigner *signer, const BmwSecret *secret,
								const BmwMessage *message, const char *signatures);
static BmwStatus start(BmwSigner *signer, const BmwSecret *secret);
static bool update_message(EVP_MAC_CTX *context, const BmwMessage *message);
static int format_timestamp(const BmwMessage *message, char *out);
static void *join(const BmwMessage *message, size_t *len);
static bool decode_signature(const char *text, size_t len, uint8_t *signature);

BmwSigner *
bmw_signer_create(void)
{
	BmwSigner *signer = calloc(1, sizeof(BmwSigner));

	if (signer == NULL)
		return NULL;

	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *) "SHA256", 0),
		OSSL_PARAM_construct_end(),
	};

	signer->ed25519 = bmw_ed25519_create();
	signer->mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	signer->context = signer->mac != NULL ? EVP_MAC_CTX_new(signer->mac) : NULL;
	if (signer->ed25519 == NULL || signer->context == NULL ||
		EVP_MAC_CTX_set_params(signer->context, params) != 1)
	{
		bmw_signer_destroy(signer);
		return NULL;
	}
	return signer;
}

void
bmw_signer_destroy(BmwSigner *signer)
{
	if (signer == NULL)
		return;
	EVP_MAC_CTX_free(signer->context);
	EVP_MAC_free(signer->mac);
	bmw_ed25519_destroy(signer->ed25519);
	OPENSSL_cleanse(&signer->last, sizeof(signer->last));
	free(signer);
}

BmwStatus
bmw_sign(BmwSigner *signer, const BmwSecret *secret, const BmwMessage *message, char *out)
{
	out[0] = '\0';
	if (strchr(message->id, '.') != NULL)
		return BMW_ERROR_MESSAGE_ID;
	switch (secret->kind)
	{
		case BMW_SECRET_HMAC:
			return sign_hmac(signer, secret, message, out);
		case BMW_SECRET_ED25519:
			return sign_ed25519(signer, secret, message, out);
		case BMW_SECRET_ED25519_PUBLIC:
			break;
	}
	return BMW_ERROR_SECRET_PUBLIC;
}

BmwStatus
bmw_sign_hex(BmwSigner *signer, const BmwSecret *secret, const BmwMessage *message,
			 bool with_timestamp, char *out)
{
	char key[BMW_SECRET_TEXT_SIZE];
	char timestamp[TIMESTAMP_SIZE];
	uint8_t mac[MAC_BYTES];
	size_t mac_len = 0;
	const int len = format_timestamp(message, timestamp) - 1; /* without the first period */
	bool is_done = bmw_secret_format(secret, key) == BMW_OK;

	signer->last.len = 0;
	is_done = is_done && EVP_MAC_init(signer->context, (uint8_t *) key, strlen(key), NULL) == 1;
	OPENSSL_cleanse(key, sizeof(key));
	if (with_timestamp)
		is_done = is_done &&
				  EVP_MAC_update(signer->context, (uint8_t *) timestamp + 1, (size_t) len) == 1;
	if (!is_done || EVP_MAC_update(signer->context, message->body, message->body_len) != 1 ||
		EVP_MAC_final(signer->context, mac, &mac_len, sizeof(mac)) != 1 || mac_len != sizeof(mac))
		return BMW_ERROR_CRYPTO;
	for (size_t i = 0; i < sizeof(mac); i++)
		snprintf(out + 2 * i, 3, "%02x", mac[i]);
	return BMW_OK;
}

BmwStatus
bmw_verify(BmwSigner *signer, const BmwSecret *secret, const BmwMessage *message,
		   const char *signatures)
{
	if (strchr(message->id, '.') != NULL)
		return BMW_ERROR_MESSAGE_ID;
	return secret->kind == BMW_SECRET_HMAC ? verify_hmac(signer, secret, message, signatures)
										   : verify_ed25519(signer, secret, message, signatures);
}

static BmwStatus
sign_hmac(BmwSigner *signer, const BmwSecret *secret, const BmwMessage *message, char *out)
{
	uint8_t mac[MAC_BYTES];
	size_t mac_len = 0;
	const BmwStatus status = start(signer, secret);

	if (status != BMW_OK)
		return status;
	if (!update_message(signer->context, message) ||
		EVP_MAC_final(signer->context, mac, &mac_len, sizeof(mac)) != 1 || mac_len != sizeof(mac))
		return BMW_ERROR_CRYPTO;

	memcpy(out, HMAC_PREFIX, PREFIX_LEN(HMAC_PREFIX));
	bmw_base64_encode(mac, sizeof(mac), out + PREFIX_LEN(HMAC_PREFIX));
	return BMW_OK;
}

static BmwStatus
sign_ed25519(BmwSigner *signer, const BmwSecret *secret, const BmwMessage *message, char *out)
{
	uint8_t signature[BMW_ED25519_SIGNATURE];
	size_t len;
	void *content;
	bool is_done;

	if (secret->len != BMW_ED25519_PAIR)
		return BMW_ERROR_SECRET_KEY_LENGTH;
	content = join(message, &len);
	if (content == NULL)
		return BMW_ERROR_MEMORY;
	is_done = bmw_ed25519_sign(signer->ed25519, secret->key, content, len, signature);
	free(content);
	if (!is_done)
		return BMW_ERROR_CRYPTO;
	memcpy(out, ED25519_PREFIX, PREFIX_LEN(ED25519_PREFIX));
	bmw_base64_encode(signature, sizeof(signature), out + PREFIX_LEN(ED25519_PREFIX));
	return BMW_OK;
}

static BmwStatus
verify_hmac(BmwSigner *signer, const BmwSecret *secret, const BmwMessage *message,
			const char *signatures)
{
	char expected[BMW_SIGNATURE_TEXT_SIZE];
	const BmwStatus status = sign_hmac(signer, secret, message, expected);
	const size_t expected_len = status == BMW_OK ? strlen(expected) : 0;
	bool is_match = false;

	if (status != BMW_OK)
		return status;
	/* All of them, without stopping at a match: time tells nothing. */
	for (const char *cursor = signatures; *cursor != '\0';)
	{
		const size_t len = strcspn(cursor, " ");

		/* The scheme is part of the text, so another scheme never matches. */
		if (len == expected_len && CRYPTO_memcmp(cursor, expected, len) == 0)
			is_match = true;
		cursor += len;
		cursor += strspn(cursor, " ");
	}
	OPENSSL_cleanse(expected, sizeof(expected));
	return is_match ? BMW_OK : BMW_ERROR_SIGNATURE_MISMATCH;
}

static BmwStatus
verify_ed25519(BmwSigner *signer, const BmwSecret *secret, const BmwMessage *message,
			   const char *signatures)
{
	const size_t skipped = secret->kind == BMW_SECRET_ED25519 ? BMW_ED25519_KEY : 0;
	uint8_t signature[BMW_ED25519_SIGNATURE];
	size_t len;
	void *content = join(message, &len);
	bool is_match = false;
	int tried = 0;

	if (content == NULL)
		return BMW_ERROR_MEMORY;
	for (const char *cursor = signatures; *cursor != '\0' && !is_match && tried < MAX_TRIED;)
	{
		const size_t word_len = strcspn(cursor, " ");

		if (decode_signature(cursor, word_len, signature))
		{
			tried++;
			is_match =
				bmw_ed25519_verify(signer->ed25519, secret->key + skipped, content, len, signature);
		}
		cursor += word_len;
		cursor += strspn(cursor, " ");
	}
	free(content);
	return is_match ? BMW_OK : BMW_ERROR_SIGNATURE_MISMATCH;
}

/* Begins a new message; sets the key only when it is another one. */
static BmwStatus
start(BmwSigner *signer, const BmwSecret *secret)
{
	if (secret->len == 0 || secret->len > sizeof(secret->key))
		return BMW_ERROR_SECRET_LENGTH;

	/* Both keys are ours, so this comparison has nobody to tell anything. */
	const bool is_same =
		signer->last.len == secret->len && memcmp(signer->last.key, secret->key, secret->len) == 0;

	if (is_same)
		return EVP_MAC_init(signer->context, NULL, 0, NULL) == 1 ? BMW_OK : BMW_ERROR_CRYPTO;

	signer->last.len = 0;
	if (EVP_MAC_init(signer->context, secret->key, secret->len, NULL) != 1)
		return BMW_ERROR_CRYPTO;
	signer->last = *secret;
	return BMW_OK;
}

static bool
update_message(EVP_MAC_CTX *context, const BmwMessage *message)
{
	char timestamp[TIMESTAMP_SIZE];
	const int len = format_timestamp(message, timestamp);

	return EVP_MAC_update(context, (const unsigned char *) message->id, strlen(message->id)) == 1 &&
		   EVP_MAC_update(context, (const unsigned char *) timestamp, (size_t) len) == 1 &&
		   EVP_MAC_update(context, message->body, message->body_len) == 1;
}

static int
format_timestamp(const BmwMessage *message, char *out)
{
	return snprintf(out, TIMESTAMP_SIZE, ".%" PRId64 ".", message->timestamp_s);
}

/* What is signed, in one piece: malloc'd, NULL when out of memory. */
static void *
join(const BmwMessage *message, size_t *len)
{
	char timestamp[TIMESTAMP_SIZE];
	const size_t id_len = strlen(message->id);
	const size_t timestamp_len = (size_t) format_timestamp(message, timestamp);
	char *content = malloc(id_len + timestamp_len + message->body_len);

	if (content == NULL)
		return NULL;
	memcpy(content, message->id, id_len);
	memcpy(content + id_len, timestamp, timestamp_len);
	if (message->body_len > 0)
		memcpy(content + id_len + timestamp_len, message->body, message->body_len);
	*len = id_len + timestamp_len + message->body_len;
	return content;
}

static bool
decode_signature(const char *text, size_t len, uint8_t *signature)
{
	const size_t prefix_len = PREFIX_LEN(ED25519_PREFIX);
	uint8_t bytes[BMW_BASE64_LEN(BMW_ED25519_SIGNATURE) / 4 * 3];
	size_t bytes_len;

	if (len != prefix_len + BMW_BASE64_LEN(BMW_ED25519_SIGNATURE) ||
		memcmp(text, ED25519_PREFIX, prefix_len) != 0 ||
		!bmw_base64_decode(text + prefix_len, len - prefix_len, bytes, &bytes_len) ||
		bytes_len != BMW_ED25519_SIGNATURE)
		return false;
	memcpy(signature, bytes, BMW_ED25519_SIGNATURE);
	return true;
}
