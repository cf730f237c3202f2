/*
 * core/seal.h - short texts encrypted with AES-256-GCM, by OpenSSL.
 *
 * A seal is the nonce, what became of the text, and the tag. It opens only with
 * the key and the context that it was made with: so what is copied into another
 * row, whose context is another, does not. A nonce of 12 random bytes is used
 * once: one key may make some billions of seals.
 */
#ifndef BMW_CORE_SEAL_H
#define BMW_CORE_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BMW_SEAL_KEY 32
#define BMW_SEAL_NONCE 12
#define BMW_SEAL_TAG 16
#define BMW_SEAL_EXTRA (BMW_SEAL_NONCE + BMW_SEAL_TAG) /* bytes more than the text */

/* out has room for BMW_SEAL_EXTRA more than len. False when OpenSSL fails. context: 0-terminated. */
extern bool bmw_seal_close(const uint8_t *key, const uint8_t *nonce, const char *context,
						   const void *text, size_t len, uint8_t *out);
/* out has room for len. False: it was not made with this key and context, or is damaged. */
extern bool bmw_seal_open(const uint8_t *key, const char *context, const uint8_t *seal, size_t len,
						  void *out, size_t *out_len);

#endif
