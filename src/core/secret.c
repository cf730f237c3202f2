/*
 * core/secret.c - the keys of Standard Webhooks 1.0 as text.
 */
#include "core/secret.h"

#include <openssl/crypto.h>
#include <string.h>

#include "core/base64.h"
#include "core/ed25519.h"

typedef struct Spelling
{
	const char *prefix;
	BmwSecretKind kind;
	size_t min_bytes;
	size_t max_bytes;
} Spelling;

static const Spelling spellings[] = {
	[BMW_SECRET_HMAC] = {"whsec_", BMW_SECRET_HMAC, BMW_SECRET_MIN_BYTES, BMW_SECRET_MAX_BYTES},
	[BMW_SECRET_ED25519] = {"whsk_", BMW_SECRET_ED25519, BMW_ED25519_PAIR, BMW_ED25519_PAIR},
	[BMW_SECRET_ED25519_PUBLIC] = {"whpk_", BMW_SECRET_ED25519_PUBLIC, BMW_ED25519_KEY,
								   BMW_ED25519_KEY},
};

static const Spelling *find_spelling(const char *text, size_t len);
static BmwStatus parse_key(const Spelling *spelling, const char *text, size_t len, BmwSecret *out);
static bool has_length(const BmwSecret *secret);
static BmwStatus length_error(BmwSecretKind kind);

BmwStatus
bmw_secret_parse(const char *text, size_t len, BmwSecret *out)
{
	const Spelling *spelling = find_spelling(text, len);
	BmwStatus status = BMW_ERROR_SECRET_PREFIX;

	*out = (BmwSecret){0};
	if (spelling != NULL)
	{
		const size_t prefix_len = strlen(spelling->prefix);

		status = parse_key(spelling, text + prefix_len, len - prefix_len, out);
	}
	if (status != BMW_OK)
		OPENSSL_cleanse(out, sizeof(*out));
	return status;
}

BmwStatus
bmw_secret_format(const BmwSecret *secret, char *out)
{
	const char *prefix = spellings[secret->kind].prefix;

	out[0] = '\0';
	if (!has_length(secret))
		return length_error(secret->kind);
	memcpy(out, prefix, strlen(prefix));
	bmw_base64_encode(secret->key, secret->len, out + strlen(prefix));
	return BMW_OK;
}

BmwStatus
bmw_secret_make(BmwSecretKind kind, const uint8_t random[32], BmwSecret *out)
{
	*out = (BmwSecret){.kind = kind, .len = 32};
	memcpy(out->key, random, 32);
	if (kind != BMW_SECRET_ED25519)
		return BMW_OK;
	out->len = BMW_ED25519_PAIR;
	return bmw_ed25519_public(out->key, out->key + BMW_ED25519_KEY) ? BMW_OK : BMW_ERROR_CRYPTO;
}

BmwStatus
bmw_secret_check(const BmwSecret *secret)
{
	uint8_t public[BMW_ED25519_KEY];

	if (secret->kind != BMW_SECRET_ED25519)
		return BMW_OK;
	if (!bmw_ed25519_public(secret->key, public))
		return BMW_ERROR_CRYPTO;
	return memcmp(public, secret->key + BMW_ED25519_KEY, sizeof(public)) == 0
			   ? BMW_OK
			   : BMW_ERROR_SECRET_PAIR;
}

BmwSecret
bmw_secret_public(const BmwSecret *pair)
{
	BmwSecret public = {.kind = BMW_SECRET_ED25519_PUBLIC, .len = BMW_ED25519_KEY};

	memcpy(public.key, pair->key + BMW_ED25519_KEY, BMW_ED25519_KEY);
	return public;
}

static const Spelling *
find_spelling(const char *text, size_t len)
{
	for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++)
	{
		const size_t prefix_len = strlen(spellings[i].prefix);

		if (len >= prefix_len && memcmp(text, spellings[i].prefix, prefix_len) == 0)
			return &spellings[i];
	}
	return NULL;
}

static BmwStatus
parse_key(const Spelling *spelling, const char *text, size_t len, BmwSecret *out)
{
	uint8_t bytes[BMW_BASE64_LEN(BMW_SECRET_MAX_BYTES) / 4 * 3];
	BmwStatus status = BMW_ERROR_SECRET_BASE64;

	out->kind = spelling->kind;
	if (len > BMW_BASE64_LEN(BMW_SECRET_MAX_BYTES))
		return length_error(out->kind);
	if (bmw_base64_decode(text, len, bytes, &out->len))
	{
		memcpy(out->key, bytes, out->len < sizeof(out->key) ? out->len : sizeof(out->key));
		status = BMW_OK;
	}
	/* the half that the other one is computed from */
	if (status == BMW_OK && out->kind == BMW_SECRET_ED25519 && out->len == BMW_ED25519_KEY)
		status = bmw_secret_make(out->kind, bytes, out);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	return status == BMW_OK && !has_length(out) ? length_error(out->kind) : status;
}

static bool
has_length(const BmwSecret *secret)
{
	const Spelling *spelling = &spellings[secret->kind];

	return secret->len >= spelling->min_bytes && secret->len <= spelling->max_bytes;
}

static BmwStatus
length_error(BmwSecretKind kind)
{
	return kind == BMW_SECRET_HMAC ? BMW_ERROR_SECRET_LENGTH : BMW_ERROR_SECRET_KEY_LENGTH;
}
