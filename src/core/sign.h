/*
 * core/sign.h - Standard Webhooks 1.0 signatures, scheme v1 (HMAC-SHA256).
 *
 * Signed content: id "." timestamp "." body, byte for byte. A secret is the
 * text whsec_ + base64 of 24 to 64 bytes. A BmwSigner holds reusable OpenSSL
 * state and the last key used, wiped by destroy; it belongs to one thread.
 * Nothing here logs.
 */
#ifndef BMW_CORE_SIGN_H
#define BMW_CORE_SIGN_H

#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

#define BMW_SECRET_MIN_BYTES 24
#define BMW_SECRET_MAX_BYTES 64
#define BMW_MAX_SECRETS 16		   /* of an endpoint: each is a signature in every request */
#define BMW_SECRET_TEXT_SIZE 96	   /* whsec_ + base64 of 64 bytes + final 0 */
#define BMW_SIGNATURE_TEXT_SIZE 48 /* v1, + base64 of 32 bytes + final 0 */

typedef struct BmwSecret
{
	uint8_t key[BMW_SECRET_MAX_BYTES];
	size_t len;
	int64_t expires_us; /* Unix microseconds, from when on it signs no more; 0: never */
} BmwSecret;

typedef struct BmwMessage
{
	const char *id;		 /* 0-terminated */
	int64_t timestamp_s; /* Unix seconds */
	const void *body;
	size_t body_len;
} BmwMessage;

typedef struct BmwSigner BmwSigner;

/*
 * Strict base64 (padding required, nothing else allowed, no stray bits in the
 * last character) after whsec_. BMW_ERROR_SECRET_PREFIX, _BASE64, _LENGTH; *out
 * is then empty.
 */
extern BmwStatus bmw_secret_parse(const char *text, size_t len, BmwSecret *out);
/* out has BMW_SECRET_TEXT_SIZE bytes. BMW_ERROR_SECRET_LENGTH outside 24..64. */
extern BmwStatus bmw_secret_format(const uint8_t *key, size_t len, char *out);

/* NULL when out of memory or OpenSSL lacks HMAC-SHA256. */
extern BmwSigner *bmw_signer_create(void);
extern void bmw_signer_destroy(BmwSigner *signer);

/*
 * Writes "v1,<base64>" into out, BMW_SIGNATURE_TEXT_SIZE bytes.
 * BMW_ERROR_MESSAGE_ID for an id with a period: what is signed would be the
 * content of another message as well, with part of its id in the timestamp.
 */
extern BmwStatus bmw_sign(BmwSigner *signer, const BmwSecret *secret, const BmwMessage *message,
						  char *out);
/*
 * Does any of the space-separated signatures in the header match? Unknown
 * schemes are skipped; the comparison takes constant time.
 * BMW_ERROR_SIGNATURE_MISMATCH when none does, BMW_ERROR_MESSAGE_ID as above.
 */
extern BmwStatus bmw_verify(BmwSigner *signer, const BmwSecret *secret, const BmwMessage *message,
							const char *signatures);

#endif
