/*
 * fuzz_sign.c - a secret has one spelling, and only its own signature verifies.
 *
 * Lines: secret, header webhook-signature; the rest is the body.
 */
#include "core/sign.h"

#include <stdbool.h>

#include "fuzz.h"

/* One of the words of the header? */
static bool
has_word(const char *header, const char *word)
{
	const size_t len = strlen(word);

	for (const char *c = header; *c != '\0'; c += strcspn(c, " "), c += *c == ' ')
	{
		if (strcspn(c, " ") == len && memcmp(c, word, len) == 0)
			return true;
	}
	return false;
}

static void
require_is_canonical(const BmwSecret *secret, const char *text)
{
	char again[BMW_SECRET_TEXT_SIZE];

	REQUIRE(bmw_secret_format(secret, again) == BMW_OK);
	/* of a pair, the first half alone is another spelling */
	REQUIRE(strcmp(again, text) == 0 ||
			(secret->kind == BMW_SECRET_ED25519 && strlen(text) < strlen(again)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const known = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
	BmwSecret secret;
	char signature[BMW_SIGNATURE_TEXT_SIZE];
	BmwSigner *signer = bmw_signer_create();
	char *text = fuzz_line(&data, &size);
	char *header = fuzz_line(&data, &size);
	const BmwMessage message = {"msg_1", 1700000000, data, size};

	if (bmw_secret_parse(text, strlen(text), &secret) == BMW_OK)
		require_is_canonical(&secret, text);
	if (secret.len == 0 || bmw_sign(signer, &secret, &message, signature) != BMW_OK ||
		bmw_secret_check(&secret) != BMW_OK)
		REQUIRE(bmw_secret_parse(known, strlen(known), &secret) == BMW_OK);
	REQUIRE(bmw_sign(signer, &secret, &message, signature) == BMW_OK);
	REQUIRE(bmw_verify(signer, &secret, &message, signature) == BMW_OK);
	REQUIRE((bmw_verify(signer, &secret, &message, header) == BMW_OK) ==
			has_word(header, signature));
	bmw_signer_destroy(signer);
	free(text);
	free(header);
	return 0;
}
