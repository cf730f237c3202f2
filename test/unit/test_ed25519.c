/*
 * test_ed25519.c - known answers (RFC 8032, section 7.1), keys as text, scheme v1a.
 */
#include "core/ed25519.h"

#include <stdlib.h>

#include "core/sign.h"
#include "unit.h"

typedef struct Vector
{
	const char *private_key;
	const char *public_key;
	const char *message;
	const char *signature;
} Vector;

static const Vector vectors[] = {
	{"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
	 "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
	 "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd2"
	 "5bf5f0595bbe24655141438e7a100b"},
	{"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
	 "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
	 "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c38"
	 "7b2eaeb4302aeeb00d291612bb0c00"},
	{"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
	 "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
	 "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a"
	 "7c15e9716ed28dc027beceea1ec40a"},
};

static size_t
from_hex(const char *hex, uint8_t *out)
{
	size_t len = 0;

	for (; hex[2 * len] != '\0'; len++)
	{
		const char digits[3] = {hex[2 * len], hex[2 * len + 1], '\0'};

		out[len] = (uint8_t) strtoul(digits, NULL, 16);
	}
	return len;
}

static void
test_rfc_8032(void)
{
	BmwEd25519 *signer = bmw_ed25519_create();

	CHECK(signer != NULL);
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
	{
		uint8_t pair[BMW_ED25519_PAIR];
		uint8_t public_key[BMW_ED25519_KEY];
		uint8_t message[2];
		uint8_t expected[BMW_ED25519_SIGNATURE];
		uint8_t signature[BMW_ED25519_SIGNATURE];
		const size_t len = from_hex(vectors[i].message, message);

		from_hex(vectors[i].private_key, pair);
		from_hex(vectors[i].public_key, pair + BMW_ED25519_KEY);
		from_hex(vectors[i].signature, expected);
		CHECK(bmw_ed25519_public(pair, public_key));
		CHECK(memcmp(public_key, pair + BMW_ED25519_KEY, sizeof(public_key)) == 0);
		/* twice: the second time with the key that is kept */
		for (int k = 0; k < 2; k++)
		{
			CHECK(bmw_ed25519_sign(signer, pair, message, len, signature));
			CHECK(memcmp(signature, expected, sizeof(signature)) == 0);
		}
		CHECK(bmw_ed25519_verify(signer, public_key, message, len, signature));
		signature[i] ^= 1;
		CHECK(!bmw_ed25519_verify(signer, public_key, message, len, signature));
	}
	bmw_ed25519_destroy(signer);
	bmw_ed25519_destroy(NULL);
}

static BmwSecret
pair_of(uint8_t first)
{
	const uint8_t random[32] = {first};
	BmwSecret pair;

	CHECK_INT(bmw_secret_make(BMW_SECRET_ED25519, random, &pair), BMW_OK);
	return pair;
}

static BmwStatus
parse(const char *text)
{
	BmwSecret secret;

	return bmw_secret_parse(text, strlen(text), &secret);
}

static void
test_text(void)
{
	const BmwSecret pair = pair_of(1);
	BmwSecret public = bmw_secret_public(&pair);
	BmwSecret again;
	char text[BMW_SECRET_TEXT_SIZE];

	CHECK_INT(bmw_secret_format(&pair, text), BMW_OK);
	CHECK_INT(strlen(text), 5 + 88);
	CHECK(memcmp(text, "whsk_", 5) == 0);
	CHECK_INT(bmw_secret_parse(text, strlen(text), &again), BMW_OK);
	CHECK(again.kind == BMW_SECRET_ED25519 && memcmp(again.key, pair.key, 64) == 0);
	CHECK_INT(bmw_secret_check(&again), BMW_OK);
	again.key[63] ^= 1;
	CHECK_INT(bmw_secret_check(&again), BMW_ERROR_SECRET_PAIR);

	CHECK_INT(bmw_secret_format(&public, text), BMW_OK);
	CHECK_INT(strlen(text), 5 + 44);
	CHECK_INT(bmw_secret_parse(text, strlen(text), &again), BMW_OK);
	CHECK(again.kind == BMW_SECRET_ED25519_PUBLIC && memcmp(again.key, pair.key + 32, 32) == 0);
	CHECK_INT(bmw_secret_check(&again), BMW_OK);

	/* the first half alone */
	CHECK_INT(bmw_secret_parse("whsk_AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 49, &again),
			  BMW_OK);
	CHECK(again.len == 64 && memcmp(again.key, pair.key, 64) == 0);

	CHECK_INT(parse("whsk_"), BMW_ERROR_SECRET_KEY_LENGTH);
	CHECK_INT(parse("whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), BMW_ERROR_SECRET_KEY_LENGTH);
	CHECK_INT(parse("whpk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), BMW_ERROR_SECRET_KEY_LENGTH);
	CHECK_INT(parse("whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa w"), BMW_ERROR_SECRET_BASE64);
	CHECK_INT(parse("whxk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), BMW_ERROR_SECRET_PREFIX);
}

/* As many as could have the same place among the keys that are kept. */
static void
test_sign(BmwSigner *signer)
{
	const BmwMessage message = {"msg_1", 1700000000, "{}", 2};
	int wrong = 0;

	for (int i = 0; i < 300; i++)
	{
		const BmwSecret pair = pair_of((uint8_t) i);
		const BmwSecret public = bmw_secret_public(&pair);
		char signature[BMW_SIGNATURE_TEXT_SIZE];
		char header[2 * BMW_SIGNATURE_TEXT_SIZE];

		wrong += bmw_sign(signer, &pair, &message, signature) != BMW_OK;
		wrong += strlen(signature) != 4 + 88;
		snprintf(header, sizeof(header), "v1,AAAA v1a,AAAA  %s", signature);
		wrong += bmw_verify(signer, &public, &message, header) != BMW_OK;
		wrong += bmw_verify(signer, &pair, &message, signature) != BMW_OK;
	}
	CHECK_INT(wrong, 0);
}

/* So often this word, and then that one. */
static void
repeat(char *out, size_t size, const char *word, int times, const char *last)
{
	size_t len = 0;

	for (int i = 0; i < times; i++)
		len += (size_t) snprintf(out + len, size - len, "%s ", word);
	snprintf(out + len, size - len, "%s", last);
}

static void
test_verify(BmwSigner *signer)
{
	const BmwSecret pair = pair_of(1);
	const BmwSecret other = pair_of(2);
	const BmwSecret public = bmw_secret_public(&pair);
	const BmwMessage empty = {"msg_1", 1700000000, NULL, 0};
	BmwMessage message = {"msg_1", 1700000000, "{}", 2};
	char right[BMW_SIGNATURE_TEXT_SIZE];
	char wrong[BMW_SIGNATURE_TEXT_SIZE];
	char header[20 * BMW_SIGNATURE_TEXT_SIZE];

	CHECK_INT(bmw_sign(signer, &pair, &message, right), BMW_OK);
	CHECK_INT(bmw_sign(signer, &other, &message, wrong), BMW_OK);
	CHECK_INT(bmw_verify(signer, &public, &message, wrong), BMW_ERROR_SIGNATURE_MISMATCH);
	CHECK_INT(bmw_verify(signer, &public, &message, ""), BMW_ERROR_SIGNATURE_MISMATCH);
	CHECK_INT(bmw_verify(signer, &public, &empty, right), BMW_ERROR_SIGNATURE_MISMATCH);
	CHECK_INT(bmw_sign(signer, &public, &message, wrong), BMW_ERROR_SECRET_PUBLIC);
	message.id = "msg_2";
	CHECK_INT(bmw_verify(signer, &public, &message, right), BMW_ERROR_SIGNATURE_MISMATCH);
	message.id = "a.1";
	CHECK_INT(bmw_verify(signer, &public, &message, right), BMW_ERROR_MESSAGE_ID);
	CHECK_INT(bmw_sign(signer, &pair, &message, wrong), BMW_ERROR_MESSAGE_ID);

	/* no more are tried than an endpoint can have */
	message.id = "msg_1";
	CHECK_INT(bmw_sign(signer, &other, &message, wrong), BMW_OK);
	repeat(header, sizeof(header), wrong, BMW_MAX_SECRETS - 1, right);
	CHECK_INT(bmw_verify(signer, &public, &message, header), BMW_OK);
	repeat(header, sizeof(header), wrong, BMW_MAX_SECRETS, right);
	CHECK_INT(bmw_verify(signer, &public, &message, header), BMW_ERROR_SIGNATURE_MISMATCH);
}

int
main(void)
{
	BmwSigner *signer = bmw_signer_create();

	test_rfc_8032();
	test_text();
	test_sign(signer);
	test_verify(signer);
	bmw_signer_destroy(signer);
	return unit_finish("ed25519");
}
