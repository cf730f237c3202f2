/*
 * core/sign.c - Standard Webhooks 1.0 signatures, scheme v1 (HMAC-SHA256).
 *
 * The key is the decoded secret, not its text. Fetching an algorithm from
 * OpenSSL 3 costs more than the signature, so a signer fetches once and keeps
 * its context; and it keeps the last key, because re-keying costs two of the
 * compressions of a 1 KB message and a lane sends to the same endpoint again and
 * again. Base64 is written here: OpenSSL's decoder skips blanks and forgives.
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

#define SECRET_PREFIX "whsec_"
#define SIGNATURE_PREFIX "v1,"
#define PREFIX_LEN(prefix) (sizeof(prefix) - 1)
#define MAC_BYTES 32
#define MAX_BASE64_LEN ((BMW_SECRET_MAX_BYTES + 2) / 3 * 4)

struct BmwSigner
{
	EVP_MAC *mac;
	EVP_MAC_CTX *context;
	BmwSecret last; /* the key the context holds; len 0: none */
};

static BmwStatus start(BmwSigner *signer, const BmwSecret *secret);
static bool update_message(EVP_MAC_CTX *context, const BmwMessage *message);
static size_t encode_base64(const uint8_t *bytes, size_t len, char *out);
static bool decode_base64(const char *text, size_t len, uint8_t *out, size_t *out_len);
static int base64_value(char c);

BmwStatus
bmw_secret_parse(const char *text, size_t len, BmwSecret *out)
{
	const size_t prefix_len = PREFIX_LEN(SECRET_PREFIX);

	*out = (BmwSecret){0};
	if (len < prefix_len || memcmp(text, SECRET_PREFIX, prefix_len) != 0)
		return BMW_ERROR_SECRET_PREFIX;

	uint8_t bytes[MAX_BASE64_LEN / 4 * 3];
	size_t bytes_len;

	if (len - prefix_len > MAX_BASE64_LEN)
		return BMW_ERROR_SECRET_LENGTH;
	if (!decode_base64(text + prefix_len, len - prefix_len, bytes, &bytes_len))
	{
		OPENSSL_cleanse(bytes, sizeof(bytes));
		return BMW_ERROR_SECRET_BASE64;
	}

	const bool has_length = bytes_len >= BMW_SECRET_MIN_BYTES && bytes_len <= BMW_SECRET_MAX_BYTES;

	if (has_length)
	{
		memcpy(out->key, bytes, bytes_len);
		out->len = bytes_len;
	}
	OPENSSL_cleanse(bytes, sizeof(bytes));
	return has_length ? BMW_OK : BMW_ERROR_SECRET_LENGTH;
}

BmwStatus
bmw_secret_format(const uint8_t *key, size_t len, char *out)
{
	out[0] = '\0';
	if (len < BMW_SECRET_MIN_BYTES || len > BMW_SECRET_MAX_BYTES)
		return BMW_ERROR_SECRET_LENGTH;
	memcpy(out, SECRET_PREFIX, PREFIX_LEN(SECRET_PREFIX));
	encode_base64(key, len, out + PREFIX_LEN(SECRET_PREFIX));
	return BMW_OK;
}

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

	signer->mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	signer->context = signer->mac != NULL ? EVP_MAC_CTX_new(signer->mac) : NULL;
	if (signer->context == NULL || EVP_MAC_CTX_set_params(signer->context, params) != 1)
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
	OPENSSL_cleanse(&signer->last, sizeof(signer->last));
	free(signer);
}

BmwStatus
bmw_sign(BmwSigner *signer, const BmwSecret *secret, const BmwMessage *message, char *out)
{
	uint8_t mac[MAC_BYTES];
	size_t mac_len = 0;
	BmwStatus status = BMW_ERROR_MESSAGE_ID;

	out[0] = '\0';
	if (strchr(message->id, '.') == NULL)
		status = start(signer, secret);
	if (status != BMW_OK)
		return status;
	if (!update_message(signer->context, message) ||
		EVP_MAC_final(signer->context, mac, &mac_len, sizeof(mac)) != 1 || mac_len != sizeof(mac))
		return BMW_ERROR_CRYPTO;

	memcpy(out, SIGNATURE_PREFIX, PREFIX_LEN(SIGNATURE_PREFIX));
	encode_base64(mac, sizeof(mac), out + PREFIX_LEN(SIGNATURE_PREFIX));
	return BMW_OK;
}

BmwStatus
bmw_verify(BmwSigner *signer, const BmwSecret *secret, const BmwMessage *message,
		   const char *signatures)
{
	char expected[BMW_SIGNATURE_TEXT_SIZE];
	const BmwStatus status = bmw_sign(signer, secret, message, expected);

	if (status != BMW_OK)
		return status;

	bool is_match = false;

	/* All of them, without stopping at a match: time tells nothing. */
	for (const char *cursor = signatures; *cursor != '\0';)
	{
		const size_t len = strcspn(cursor, " ");

		/* The scheme is part of the text, so another scheme never matches. */
		if (len == sizeof(expected) - 1 && CRYPTO_memcmp(cursor, expected, len) == 0)
			is_match = true;
		cursor += len;
		cursor += strspn(cursor, " ");
	}
	OPENSSL_cleanse(expected, sizeof(expected));
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
	char timestamp[32];
	const int len = snprintf(timestamp, sizeof(timestamp), ".%" PRId64 ".", message->timestamp_s);

	return EVP_MAC_update(context, (const unsigned char *) message->id, strlen(message->id)) == 1 &&
		   EVP_MAC_update(context, (const unsigned char *) timestamp, (size_t) len) == 1 &&
		   EVP_MAC_update(context, message->body, message->body_len) == 1;
}

/* Padded, followed by a 0; returns the length without it. */
static size_t
encode_base64(const uint8_t *bytes, size_t len, char *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *end = out;

	for (size_t i = 0; i < len; i += 3)
	{
		const size_t rest = len - i;
		const uint32_t group = (uint32_t) bytes[i] << 16 |
							   (rest > 1 ? (uint32_t) bytes[i + 1] << 8 : 0) |
							   (rest > 2 ? (uint32_t) bytes[i + 2] : 0);

		*end++ = digits[group >> 18];
		*end++ = digits[group >> 12 & 63];
		*end++ = rest > 1 ? digits[group >> 6 & 63] : '=';
		*end++ = rest > 2 ? digits[group & 63] : '=';
	}
	*end = '\0';
	return (size_t) (end - out);
}

/* Strict: whole groups, padding only at the end, no stray bits before it. */
static bool
decode_base64(const char *text, size_t len, uint8_t *out, size_t *out_len)
{
	const size_t padding = len >= 4 && text[len - 1] == '=' ? (text[len - 2] == '=' ? 2 : 1) : 0;

	*out_len = 0;
	if (len % 4 != 0)
		return false;
	for (size_t i = 0; i < len; i += 4)
	{
		uint32_t group = 0;
		const size_t skipped = i + 4 == len ? padding : 0;

		for (size_t j = 0; j < 4; j++)
		{
			const int value = j < 4 - skipped ? base64_value(text[i + j]) : 0;

			if (value < 0)
				return false;
			group = group << 6 | (uint32_t) value;
		}
		if ((group & ((UINT32_C(1) << (8 * skipped)) - 1)) != 0)
			return false;
		for (size_t j = 0; j < 3 - skipped; j++)
			out[(*out_len)++] = (uint8_t) (group >> (16 - 8 * j));
	}
	return true;
}

static int
base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}
