/*
 * core/secret.h - the keys of Standard Webhooks 1.0 as text.
 *
 * whsec_ and the base64 of 24 to 64 bytes, a key that both sides share (v1);
 * whsk_ and whpk_, a pair of ed25519 keys (v1a). A private key is the 32 bytes
 * that it is made of and then the 32 of the public key, as libsodium has it; the
 * first half alone is accepted as well.
 */
#ifndef BMW_CORE_SECRET_H
#define BMW_CORE_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

#define BMW_SECRET_MIN_BYTES 24
#define BMW_SECRET_MAX_BYTES 64
#define BMW_SECRET_TEXT_SIZE 96 /* prefix + base64 of 64 bytes + final 0 */
#define BMW_MAX_SECRETS 16		/* of an endpoint: each is a signature in every request */

typedef enum BmwSecretKind
{
	BMW_SECRET_HMAC,
	BMW_SECRET_ED25519,
	BMW_SECRET_ED25519_PUBLIC /* verifies, and cannot sign */
} BmwSecretKind;

typedef struct BmwSecret
{
	BmwSecretKind kind;
	uint8_t key[BMW_SECRET_MAX_BYTES];
	size_t len;
	int64_t expires_us; /* Unix microseconds, from when on it signs no more; 0: never */
} BmwSecret;

/*
 * Strict base64 (padding required, nothing else allowed, no stray bits in the
 * last character) after the prefix. BMW_ERROR_SECRET_PREFIX, _BASE64, _LENGTH,
 * _KEY_LENGTH; *out is then empty. The halves of a pair are not compared.
 */
extern BmwStatus bmw_secret_parse(const char *text, size_t len, BmwSecret *out);
/* out has BMW_SECRET_TEXT_SIZE bytes. BMW_ERROR_SECRET_LENGTH or _KEY_LENGTH. */
extern BmwStatus bmw_secret_format(const BmwSecret *secret, char *out);
/* A key of these random bytes: all of a shared one, the first half of a pair. */
extern BmwStatus bmw_secret_make(BmwSecretKind kind, const uint8_t random[32], BmwSecret *out);
/* BMW_ERROR_SECRET_PAIR when the second half is not the public key of the first. */
extern BmwStatus bmw_secret_check(const BmwSecret *secret);
/* The public key of a pair. */
extern BmwSecret bmw_secret_public(const BmwSecret *pair);

#endif
