/*
 * test_sign.c - known answers (Standard Webhooks, RFC 4231), secrets, verifying; scheme v1.
 *
 * RFC 4231 signs plain data; a message with id "", no timestamp and no dots
 * does not exist, so its vectors are checked through OpenSSL's one-shot HMAC,
 * which they validate, and which then validates bmw_sign() on random messages.
 */
#include "core/sign.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

#include "unit.h"

#define SPEC_SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define SPEC_SIGNATURE "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
#define SPEC_BODY "{\"test\": 2432232314}"

static const BmwMessage spec_message = {
	.id = "msg_p5jXN8AQM9LWM0D4loKWxJek",
	.timestamp_s = 1614265330,
	.body = SPEC_BODY,
	.body_len = sizeof(SPEC_BODY) - 1,
};

static void
reference_hex(const void *key, size_t key_len, const void *data, size_t len, char *hex)
{
	unsigned char mac[32];

	HMAC(EVP_sha256(), key, (int) key_len, data, len, mac, NULL);
	for (size_t i = 0; i < sizeof(mac); i++)
		snprintf(hex + 2 * i, 3, "%02x", mac[i]);
}

static void
test_rfc_4231(void)
{
	char hex[65];
	uint8_t key[131];
	uint8_t data[50];

	memset(key, 0x0b, 20);
	reference_hex(key, 20, "Hi There", 8, hex);
	CHECK_TEXT(hex, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	reference_hex("Jefe", 4, "what do ya want for nothing?", 28, hex);
	CHECK_TEXT(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, 131);
	memset(data, 0xdd, 50);
	reference_hex(key, 20, data, 50, hex);
	CHECK_TEXT(hex, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
	for (int i = 0; i < 25; i++)
		key[i] = (uint8_t) (i + 1);
	memset(data, 0xcd, 50);
	reference_hex(key, 25, data, 50, hex);
	CHECK_TEXT(hex, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
}

static void
test_specification(BmwSigner *signer)
{
	BmwSecret secret;
	char signature[BMW_SIGNATURE_TEXT_SIZE];

	CHECK_INT(bmw_secret_parse(SPEC_SECRET, strlen(SPEC_SECRET), &secret), BMW_OK);
	CHECK_INT(secret.len, 24);
	/* Twice: the second time with the key that the signer kept. */
	for (int i = 0; i < 2; i++)
	{
		CHECK_INT(bmw_sign(signer, &secret, &spec_message, signature), BMW_OK);
		CHECK_TEXT(signature, SPEC_SIGNATURE);
	}
}

/* What bmw_sign() must give, from the one-shot function and OpenSSL's base64. */
static void
reference_signature(const BmwSecret *secret, const BmwMessage *message, char *out)
{
	const size_t size = strlen(message->id) + 32 + message->body_len;
	char *content = malloc(size);
	const int prefix =
		snprintf(content, size, "%s.%" PRId64 ".", message->id, message->timestamp_s);
	unsigned char mac[32];

	memcpy(content + prefix, message->body, message->body_len);
	HMAC(EVP_sha256(), secret->key, (int) secret->len, (unsigned char *) content,
		 (size_t) prefix + message->body_len, mac, NULL);
	memcpy(out, "v1,", 3);
	EVP_EncodeBlock((unsigned char *) out + 3, mac, sizeof(mac));
	free(content);
}

static void
test_random_messages(BmwSigner *signer)
{
	uint64_t seed = 42;
	uint8_t body[3000];
	BmwSecret secrets[4] = {[3] = {.len = 24}}; /* the last: a key of zeros */
	int wrong = 0;

	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = (uint8_t) unit_random(&seed);
	for (int i = 0; i < 3; i++)
	{
		secrets[i].len = (size_t) (24 + 20 * i); /* 24, 44, 64 */
		for (size_t j = 0; j < secrets[i].len; j++)
			secrets[i].key[j] = (uint8_t) unit_random(&seed);
	}
	/* The same length and another key must not be taken for the last one. */
	secrets[1].len = secrets[0].len;

	for (int i = 0; i < 3000; i++)
	{
		const BmwSecret *secret = &secrets[unit_random(&seed) % 4];
		const BmwMessage message = {"01990f3c", (int64_t) (unit_random(&seed) >> 20), body,
									(size_t) i};
		char actual[BMW_SIGNATURE_TEXT_SIZE];
		char expected[BMW_SIGNATURE_TEXT_SIZE];

		reference_signature(secret, &message, expected);
		wrong += bmw_sign(signer, secret, &message, actual) != BMW_OK;
		wrong += strcmp(actual, expected) != 0;
	}
	CHECK_INT(wrong, 0);
}

static BmwStatus
parse(const char *text)
{
	BmwSecret secret;
	const BmwStatus status = bmw_secret_parse(text, strlen(text), &secret);

	CHECK(status == BMW_OK || secret.len == 0);
	return status;
}

static void
test_secret_syntax(void)
{
	CHECK_INT(parse(""), BMW_ERROR_SECRET_PREFIX);
	CHECK_INT(parse("whsec"), BMW_ERROR_SECRET_PREFIX);
	CHECK_INT(parse("WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), BMW_ERROR_SECRET_PREFIX);
	CHECK_INT(parse("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), BMW_ERROR_SECRET_PREFIX);
	CHECK_INT(parse("whsec_"), BMW_ERROR_SECRET_LENGTH);
	CHECK_INT(parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS"), BMW_ERROR_SECRET_BASE64);
	CHECK_INT(parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa w"), BMW_ERROR_SECRET_BASE64);
	CHECK_INT(parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa-_"), BMW_ERROR_SECRET_BASE64);
	CHECK_INT(parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"), BMW_ERROR_SECRET_BASE64);
	CHECK_INT(parse("whsec_MfKQ9r8GKYqrTwjUPD8I=PZIo2LaLaSw"), BMW_ERROR_SECRET_BASE64);
	CHECK_INT(parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwA==="), BMW_ERROR_SECRET_BASE64);
	CHECK_INT(parse("whsec_===="), BMW_ERROR_SECRET_BASE64);
	/* 25 bytes; a "B" would leave bits over that no encoder writes. */
	CHECK_INT(parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAA=="), BMW_OK);
	CHECK_INT(parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAB=="), BMW_ERROR_SECRET_BASE64);
	CHECK_INT(parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAAA="), BMW_OK);
	CHECK_INT(parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAAB="), BMW_ERROR_SECRET_BASE64);

	BmwSecret secret;

	/* A 0 byte inside is not an end. */
	CHECK_INT(bmw_secret_parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa\0w", 38, &secret),
			  BMW_ERROR_SECRET_BASE64);
}

static void
test_secret_round_trip(void)
{
	uint8_t key[BMW_SECRET_MAX_BYTES + 1];
	char text[BMW_SECRET_TEXT_SIZE];
	char reference[128];

	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t) (i * 37 + 250);
	CHECK_INT(bmw_secret_format(&(BmwSecret){.len = BMW_SECRET_MIN_BYTES - 1}, text),
			  BMW_ERROR_SECRET_LENGTH);
	CHECK_INT(bmw_secret_format(&(BmwSecret){.len = BMW_SECRET_MAX_BYTES + 1}, text),
			  BMW_ERROR_SECRET_LENGTH);
	for (size_t len = BMW_SECRET_MIN_BYTES; len <= BMW_SECRET_MAX_BYTES; len++)
	{
		BmwSecret secret = {.len = len};

		memcpy(secret.key, key, len);
		CHECK_INT(bmw_secret_format(&secret, text), BMW_OK);
		EVP_EncodeBlock((unsigned char *) reference, key, (int) len);
		CHECK_TEXT(text + 6, reference);
		CHECK_INT(bmw_secret_parse(text, strlen(text), &secret), BMW_OK);
		CHECK_INT(secret.len, len);
		CHECK(memcmp(secret.key, key, len) == 0);
	}
	/* One byte less and one more than may be. */
	for (int len = BMW_SECRET_MIN_BYTES - 1; len <= BMW_SECRET_MAX_BYTES + 1; len += 42)
	{
		memcpy(reference, "whsec_", 6);
		EVP_EncodeBlock((unsigned char *) reference + 6, key, len);
		CHECK_INT(parse(reference), BMW_ERROR_SECRET_LENGTH);
	}
}

static void
test_verify(BmwSigner *signer)
{
	BmwSecret secret;
	BmwMessage message = spec_message;

	bmw_secret_parse(SPEC_SECRET, strlen(SPEC_SECRET), &secret);
	CHECK_INT(bmw_verify(signer, &secret, &message, SPEC_SIGNATURE), BMW_OK);
	CHECK_INT(bmw_verify(signer, &secret, &message, "v1a,abc  v2,x " SPEC_SIGNATURE " v1,zzz"),
			  BMW_OK);
	CHECK_INT(bmw_verify(signer, &secret, &message, ""), BMW_ERROR_SIGNATURE_MISMATCH);
	CHECK_INT(bmw_verify(signer, &secret, &message, "   "), BMW_ERROR_SIGNATURE_MISMATCH);
	CHECK_INT(bmw_verify(signer, &secret, &message, SPEC_SIGNATURE "x"),
			  BMW_ERROR_SIGNATURE_MISMATCH);
	CHECK_INT(bmw_verify(signer, &secret, &message, SPEC_SIGNATURE "," SPEC_SIGNATURE),
			  BMW_ERROR_SIGNATURE_MISMATCH);
	CHECK_INT(
		bmw_verify(signer, &secret, &message, "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
		BMW_ERROR_SIGNATURE_MISMATCH);
	CHECK_INT(bmw_verify(signer, &secret, &message, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
			  BMW_ERROR_SIGNATURE_MISMATCH);
	CHECK_INT(
		bmw_verify(signer, &secret, &message, "v1,h0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
		BMW_ERROR_SIGNATURE_MISMATCH);
	message.timestamp_s++;
	CHECK_INT(bmw_verify(signer, &secret, &message, SPEC_SIGNATURE), BMW_ERROR_SIGNATURE_MISMATCH);
	message = spec_message;
	message.body_len--;
	CHECK_INT(bmw_verify(signer, &secret, &message, SPEC_SIGNATURE), BMW_ERROR_SIGNATURE_MISMATCH);
	message = spec_message;
	message.id = "msg_p5jXN8AQM9LWM0D4loKWxJel";
	CHECK_INT(bmw_verify(signer, &secret, &message, SPEC_SIGNATURE), BMW_ERROR_SIGNATURE_MISMATCH);
	message.id = "a.1";
	CHECK_INT(bmw_verify(signer, &secret, &message, SPEC_SIGNATURE), BMW_ERROR_MESSAGE_ID);
	secret.key[23] ^= 1;
	CHECK_INT(bmw_verify(signer, &secret, &spec_message, SPEC_SIGNATURE),
			  BMW_ERROR_SIGNATURE_MISMATCH);
	secret.len = 0;
	CHECK_INT(bmw_verify(signer, &secret, &spec_message, SPEC_SIGNATURE), BMW_ERROR_SECRET_LENGTH);
}

int
main(void)
{
	BmwSigner *signer = bmw_signer_create();

	CHECK(signer != NULL);
	test_rfc_4231();
	test_specification(signer);
	test_random_messages(signer);
	test_secret_syntax();
	test_secret_round_trip();
	test_verify(signer);
	bmw_signer_destroy(signer);
	bmw_signer_destroy(NULL);
	return unit_finish("sign");
}
