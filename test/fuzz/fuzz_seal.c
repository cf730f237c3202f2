/*
 * fuzz_seal.c - what was sealed opens as it was, in its own place alone; nothing else opens.
 *
 * Lines: context, another context; the rest is the text, and is then tried as a seal.
 */
#include "core/seal.h"

#include "fuzz.h"

static const uint8_t key[BMW_SEAL_KEY] = "the key of all seals, 32 bytes.";

static uint8_t *
room(size_t size)
{
	uint8_t *bytes = malloc(size > 0 ? size : 1);

	REQUIRE(bytes != NULL);
	return bytes;
}

static void
require_opens_alone(const char *context, const char *other, const uint8_t *text, size_t size)
{
	static const uint8_t nonce[BMW_SEAL_NONCE] = {1, 2, 3};
	uint8_t *seal = room(size + BMW_SEAL_EXTRA);
	uint8_t *opened = room(size + BMW_SEAL_EXTRA);
	const size_t damaged = (strlen(context) * 31 + size) % (size + BMW_SEAL_EXTRA);
	size_t len = 0;

	REQUIRE(bmw_seal_close(key, nonce, context, text, size, seal));
	REQUIRE(bmw_seal_open(key, context, seal, size + BMW_SEAL_EXTRA, opened, &len));
	REQUIRE(len == size && (size == 0 || memcmp(opened, text, size) == 0));
	REQUIRE(bmw_seal_open(key, other, seal, size + BMW_SEAL_EXTRA, opened, &len) ==
			(strcmp(context, other) == 0));
	REQUIRE(!bmw_seal_open(key, context, seal, size + BMW_SEAL_EXTRA - 1, opened, &len));
	seal[damaged] ^= 0x10;
	REQUIRE(!bmw_seal_open(key, context, seal, size + BMW_SEAL_EXTRA, opened, &len) && len == 0);
	free(seal);
	free(opened);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *context = fuzz_line(&data, &size);
	char *other = fuzz_line(&data, &size);
	uint8_t *opened = room(size);
	size_t len = 1;

	require_opens_alone(context, other, data, size);
	REQUIRE(!bmw_seal_open(key, context, data, size, opened, &len) && len == 0);
	free(opened);
	free(context);
	free(other);
	return 0;
}
