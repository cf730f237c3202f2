/*
 * core/ed25519.h - signatures by ed25519 (RFC 8032), by OpenSSL.
 *
 * A pair is the 32 bytes of the private key and then the 32 of the public one. What
 * is signed is one piece of memory: the algorithm goes through it twice.
 */
#ifndef BMW_CORE_ED25519_H
#define BMW_CORE_ED25519_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BMW_ED25519_KEY 32
#define BMW_ED25519_PAIR 64
#define BMW_ED25519_SIGNATURE 64

/*
 * Keys that OpenSSL has prepared, which takes as long as a signature: those of the
 * last few hundred endpoints. Belongs to one thread.
 */
typedef struct BmwEd25519 BmwEd25519;

/* NULL when out of memory or OpenSSL lacks ed25519. */
extern BmwEd25519 *bmw_ed25519_create(void);
extern void bmw_ed25519_destroy(BmwEd25519 *signer);

/* The public key of these 32 bytes. */
extern bool bmw_ed25519_public(const uint8_t *private_key, uint8_t *public_key);
extern bool bmw_ed25519_sign(BmwEd25519 *signer, const uint8_t *pair, const void *message,
							 size_t len, uint8_t *signature);
/* False also when OpenSSL fails. */
extern bool bmw_ed25519_verify(BmwEd25519 *signer, const uint8_t *public_key, const void *message,
							   size_t len, const uint8_t *signature);

#endif
