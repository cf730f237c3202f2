/*
 * core/sign.h - Standard Webhooks 1.0 signatures, schemes v1 (HMAC-SHA256) and v1a (ed25519).
 *
 * Signed content: id "." timestamp "." body, byte for byte. A BmwSigner holds
 * reusable OpenSSL state and the last keys used, wiped by destroy; it belongs to
 * one thread. Nothing here logs.
 */
#ifndef BMW_CORE_SIGN_H
#define BMW_CORE_SIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/secret.h"
#include "core/status.h"

#define BMW_HEX_SIZE 65			   /* 32 bytes in hexadecimal digits + final 0 */
#define BMW_SIGNATURE_TEXT_SIZE 96 /* v1a, + base64 of 64 bytes + final 0 */

typedef struct BmwMessage
{
	const char *id;		 /* 0-terminated */
	int64_t timestamp_s; /* Unix seconds */
	const void *body;
	size_t body_len;
} BmwMessage;

typedef struct BmwSigner BmwSigner;

/* NULL when out of memory or OpenSSL lacks HMAC-SHA256 or ed25519. */
extern BmwSigner *bmw_signer_create(void);
extern void bmw_signer_destroy(BmwSigner *signer);

/*
 * Writes "v1,<base64>" or "v1a,<base64>" into out, BMW_SIGNATURE_TEXT_SIZE bytes.
 * BMW_ERROR_MESSAGE_ID for an id with a period: what is signed would be the
 * content of another message as well, with part of its id in the timestamp.
 * BMW_ERROR_SECRET_PUBLIC, BMW_ERROR_MEMORY.
 */
extern BmwStatus bmw_sign(BmwSigner *signer, const BmwSecret *secret, const BmwMessage *message,
						  char *out);
/*
 * HMAC-SHA256 of the body, or of timestamp "." body, with the text of a shared secret as key,
 * in lower-case hexadecimal digits into out, BMW_HEX_SIZE bytes.
 */
extern BmwStatus bmw_sign_hex(BmwSigner *signer, const BmwSecret *secret, const BmwMessage *message,
							  bool with_timestamp, char *out);
/*
 * Does any of the space-separated signatures in the header match? Those of
 * other schemes than the secret's are skipped; a shared key is compared in constant
 * time; of ed25519 signatures, which cost more, no more than an endpoint has are tried.
 * BMW_ERROR_SIGNATURE_MISMATCH when none does, BMW_ERROR_MESSAGE_ID as above.
 */
extern BmwStatus bmw_verify(BmwSigner *signer, const BmwSecret *secret, const BmwMessage *message,
							const char *signatures);

#endif
