/*
 * fuzz_key_ring.c - a key file is read as a whole or not at all, and every key has an id of its own.
 */
#include "core/key_ring.h"

#include "core/base64.h"
#include "fuzz.h"

static void
require_is_empty(const BmwKeyRing *ring)
{
	static const BmwKeyRing none;

	REQUIRE(memcmp(ring, &none, sizeof(none)) == 0);
}

static void
require_is_found(const BmwKeyRing *ring, int i)
{
	const BmwSealKey *key = &ring->keys[i];

	REQUIRE(strlen(key->id) >= 1 && strlen(key->id) <= BMW_KEY_ID_MAX);
	REQUIRE(strpbrk(key->id, ": \t\r\n#") == NULL);
	REQUIRE(bmw_key_ring_find(ring, key->id) == key);
}

/* Written again, it is the same ring. */
static void
require_is_read_again(const BmwKeyRing *ring)
{
	char text[BMW_KEY_RING_MAX * (BMW_KEY_ID_MAX + 64)];
	char key[BMW_BASE64_LEN(BMW_SEAL_KEY) + 1];
	BmwKeyRing again;
	size_t len = 0;
	int line;

	for (int i = 0; i < ring->length; i++)
	{
		bmw_base64_encode(ring->keys[i].key, BMW_SEAL_KEY, key);
		len += (size_t) snprintf(text + len, sizeof(text) - len, "%s:%s\n", ring->keys[i].id, key);
	}
	REQUIRE(bmw_key_ring_parse(text, len, &again, &line) == BMW_OK);
	REQUIRE(memcmp(ring, &again, sizeof(again)) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	BmwKeyRing ring;
	int line = -1;
	const BmwStatus status = bmw_key_ring_parse((const char *) data, size, &ring, &line);

	REQUIRE(line >= 0 && (size_t) line <= size + 1);
	if (status != BMW_OK)
	{
		require_is_empty(&ring);
		return 0;
	}
	REQUIRE(ring.length >= 1 && ring.length <= BMW_KEY_RING_MAX);
	for (int i = 0; i < ring.length; i++)
		require_is_found(&ring, i);
	require_is_read_again(&ring);
	return 0;
}
