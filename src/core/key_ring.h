/*
 * core/key_ring.h - the keys of a key file: the first one encrypts, all decrypt.
 *
 * Lines "id:key", the key being the base64 of 32 bytes; empty lines and lines that
 * begin with # are ignored, and so are blanks around a line.
 */
#ifndef BMW_CORE_KEY_RING_H
#define BMW_CORE_KEY_RING_H

#include <stddef.h>
#include <stdint.h>

#include "core/seal.h"
#include "core/status.h"

#define BMW_KEY_RING_MAX 32
#define BMW_KEY_ID_MAX 63 /* bytes */
#define BMW_KEY_FILE_MAX 16384

typedef struct BmwSealKey
{
	char id[BMW_KEY_ID_MAX + 1];
	uint8_t key[BMW_SEAL_KEY];
} BmwSealKey;

typedef struct BmwKeyRing
{
	int length;
	BmwSealKey keys[BMW_KEY_RING_MAX];
} BmwKeyRing;

/*
 * At an error *line is the one that is wrong, from 1 on, 0 for all; the ring is then
 * empty and wiped. BMW_ERROR_KEY_ID, _KEY_ID_TWICE, _KEY, _TOO_LARGE (too many), _EMPTY.
 */
extern BmwStatus bmw_key_ring_parse(const char *text, size_t len, BmwKeyRing *out, int *line);
/* NULL: there is no such key. */
extern const BmwSealKey *bmw_key_ring_find(const BmwKeyRing *ring, const char *id);

#endif
