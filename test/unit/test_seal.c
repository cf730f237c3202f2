/*
 * test_seal.c - AES-256-GCM: a known answer, what opens and what does not; key files.
 */
#include "core/seal.h"

#include "core/key_ring.h"
#include "unit.h"

static const uint8_t key[BMW_SEAL_KEY] = {1, 2, 3};
static const uint8_t nonce[BMW_SEAL_NONCE] = {9, 8, 7};

/* Test case 14 of McGrew and Viega's specification of GCM: zeros, no additional data. */
static void
test_known_answer(void)
{
	static const uint8_t zeros[32];
	static const uint8_t expected[] = {0xce, 0xa7, 0x40, 0x3d, 0x4d, 0x60, 0x6b, 0x6e,
									   0x07, 0x4e, 0xc5, 0xd3, 0xba, 0xf3, 0x9d, 0x18,
									   0xd0, 0xd1, 0xc8, 0xa7, 0x99, 0x99, 0x6b, 0xf0,
									   0x26, 0x5b, 0x98, 0xb5, 0xd4, 0x8a, 0xb9, 0x19};
	uint8_t seal[16 + BMW_SEAL_EXTRA];

	CHECK(bmw_seal_close(zeros, zeros, "", zeros, 16, seal));
	CHECK(memcmp(seal, zeros, BMW_SEAL_NONCE) == 0);
	CHECK(memcmp(seal + BMW_SEAL_NONCE, expected, sizeof(expected)) == 0);
}

static void
test_opens(void)
{
	static const char text[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
	uint8_t seal[sizeof(text) + BMW_SEAL_EXTRA];
	uint8_t other[BMW_SEAL_KEY] = {1, 2, 4};
	char out[sizeof(text)];
	size_t len;

	for (size_t size = 0; size <= sizeof(text); size++)
	{
		CHECK(bmw_seal_close(key, nonce, "row 1", text, size, seal));
		CHECK(bmw_seal_open(key, "row 1", seal, size + BMW_SEAL_EXTRA, out, &len));
		CHECK(len == size && memcmp(out, text, size) == 0);
		CHECK(!bmw_seal_open(key, "row 2", seal, size + BMW_SEAL_EXTRA, out, &len));
		CHECK_INT(len, 0);
		CHECK(!bmw_seal_open(other, "row 1", seal, size + BMW_SEAL_EXTRA, out, &len));
		CHECK(!bmw_seal_open(key, "row 1", seal, size + BMW_SEAL_EXTRA - 1, out, &len));
	}
	for (size_t i = 0; i < sizeof(seal); i++)
	{
		seal[i] ^= 0x40;
		CHECK(!bmw_seal_open(key, "row 1", seal, sizeof(seal), out, &len));
		seal[i] ^= 0x40;
	}
	for (size_t i = 0; i < BMW_SEAL_EXTRA; i++)
		CHECK(!bmw_seal_open(key, "row 1", seal, i, out, &len));
}

#define K1 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define K2 "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

static BmwStatus
parse(const char *text, BmwKeyRing *ring, int *line)
{
	return bmw_key_ring_parse(text, strlen(text), ring, line);
}

static void
test_ring(void)
{
	BmwKeyRing ring;
	int line;

	CHECK_INT(parse("# of 2026\n\n  new.1:" K1 "  \r\nold_0-x:" K2, &ring, &line), BMW_OK);
	CHECK_INT(ring.length, 2);
	CHECK_TEXT(ring.keys[0].id, "new.1");
	CHECK(bmw_key_ring_find(&ring, "old_0-x") == &ring.keys[1]);
	CHECK(ring.keys[1].key[0] == 1 && ring.keys[1].key[31] == 0);
	CHECK(bmw_key_ring_find(&ring, "old_0-") == NULL);
	CHECK(bmw_key_ring_find(&ring, "") == NULL);

	CHECK_INT(parse("", &ring, &line), BMW_ERROR_EMPTY);
	CHECK_INT(parse("# nothing\n", &ring, &line), BMW_ERROR_EMPTY);
	CHECK_INT(line, 0);
	CHECK_INT(parse("a:" K1 "\nb:" K1 "x\n", &ring, &line), BMW_ERROR_KEY);
	CHECK_INT(line, 2);
	CHECK_INT(ring.length, 0);
	CHECK_INT(ring.keys[0].id[0], 0);
	CHECK_INT(parse("a:" K1 "\na:" K2 "\n", &ring, &line), BMW_ERROR_KEY_ID_TWICE);
	CHECK_INT(parse(K1, &ring, &line), BMW_ERROR_KEY_ID);
	CHECK_INT(parse(":" K1, &ring, &line), BMW_ERROR_KEY_ID);
	CHECK_INT(parse("a b:" K1, &ring, &line), BMW_ERROR_KEY_ID);
	CHECK_INT(parse("a: " K1, &ring, &line), BMW_ERROR_KEY);
	CHECK_INT(parse("a:AAAA", &ring, &line), BMW_ERROR_KEY);
	CHECK_INT(parse("a:", &ring, &line), BMW_ERROR_KEY);
	CHECK_INT(parse("a:" K1 K1, &ring, &line), BMW_ERROR_KEY);
	CHECK_INT(
		parse("0123456789012345678901234567890123456789012345678901234567890123:" K1, &ring, &line),
		BMW_ERROR_KEY_ID);
}

static void
test_too_many(void)
{
	char text[BMW_KEY_RING_MAX * 64 + 64];
	size_t len = 0;
	BmwKeyRing ring;
	int line;

	for (int i = 0; i < BMW_KEY_RING_MAX; i++)
		len += (size_t) snprintf(text + len, sizeof(text) - len, "k%d:" K1 "\n", i);
	CHECK_INT(bmw_key_ring_parse(text, len, &ring, &line), BMW_OK);
	len += (size_t) snprintf(text + len, sizeof(text) - len, "one:" K1 "\n");
	CHECK_INT(bmw_key_ring_parse(text, len, &ring, &line), BMW_ERROR_TOO_LARGE);
}

int
main(void)
{
	test_known_answer();
	test_opens();
	test_ring();
	test_too_many();
	return unit_finish("seal");
}
