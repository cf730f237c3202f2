/*
 * fuzz_scheme.c - a signature header of another vendor's form is one line of the form that its name says.
 *
 * Lines: name of the scheme, then up to 16 secrets up to an empty line; the rest is the body.
 */
#include "core/scheme.h"

#include "fuzz.h"

typedef struct Secrets
{
	BmwSecret items[BMW_MAX_SECRETS];
	const BmwSecret *list[BMW_MAX_SECRETS];
	int length;
	int shared;
} Secrets;

static Secrets
read_secrets(const uint8_t **data, size_t *size)
{
	Secrets secrets = {0};
	bool is_end = false;

	while (!is_end && secrets.length < BMW_MAX_SECRETS)
	{
		BmwSecret *secret = &secrets.items[secrets.length];
		char *line = fuzz_line(data, size);

		is_end = line[0] == '\0';
		if (bmw_secret_parse(line, strlen(line), secret) == BMW_OK)
		{
			secrets.shared += secret->kind == BMW_SECRET_HMAC;
			secrets.length++;
		}
		free(line);
	}
	return secrets;
}

/* 64 lower-case digits; what follows them. */
static const char *
skip_digits(const char *c)
{
	REQUIRE(strspn(c, "0123456789abcdef") == BMW_HEX_SIZE - 1);
	return c + BMW_HEX_SIZE - 1;
}

static const char *
skip(const char *c, const char *prefix)
{
	REQUIRE(strncmp(c, prefix, strlen(prefix)) == 0);
	return c + strlen(prefix);
}

static void
require_has_form(BmwScheme scheme, int shared, const char *header)
{
	const char *c = header;

	REQUIRE(strlen(header) < BMW_SCHEME_TEXT_SIZE);
	if (shared > 0 && scheme == BMW_SCHEME_STRIPE)
		for (c = skip(c, "t=-9223372036854775808"); shared > 0; shared--)
			c = skip_digits(skip(c, ",v1="));
	else if (shared > 0)
		c = skip_digits(scheme == BMW_SCHEME_SHA256 ? skip(c, "sha256=") : c);
	REQUIRE(*c == '\0');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	BmwSigner *signer = bmw_signer_create();
	char *name = fuzz_line(&data, &size);
	Secrets secrets = read_secrets(&data, &size);
	/* the longest of all timestamps */
	const BmwMessage message = {"msg_1", INT64_MIN, data, size};
	BmwScheme scheme = BMW_SCHEME_NONE;
	char *header = malloc(BMW_SCHEME_TEXT_SIZE);

	REQUIRE(signer != NULL && header != NULL);
	for (int i = 0; i < secrets.length; i++)
		secrets.list[i] = &secrets.items[i];
	if (!bmw_scheme_find(name, &scheme))
		scheme = (BmwScheme) (BMW_SCHEME_HEX + size % 3);
	REQUIRE(bmw_scheme_sign(signer, scheme, secrets.list, secrets.length, &message, header) ==
			BMW_OK);
	require_has_form(scheme, secrets.shared, header);
	bmw_signer_destroy(signer);
	free(header);
	free(name);
	return 0;
}
