/*
 * fuzz_credentials.c - what a sign-in sends is taken whole or not at all.
 *
 * The console is a program of its own, not part of the archive of src/core: its file is included.
 */
#include "console/credentials.c"

#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const BmwCredentials empty;
	char *text = fuzz_text(data, size);
	BmwCredentials credentials;

	if (bmw_credentials_parse(text, size, &credentials))
	{
		REQUIRE(size > 2 && memchr(data, '{', size) != NULL && memchr(data, '}', size) != NULL);
		REQUIRE(strnlen(credentials.user, BMW_USER_SIZE) - 1 < BMW_USER_SIZE - 1);
		REQUIRE(strnlen(credentials.password, BMW_PASSWORD_SIZE) - 1 < BMW_PASSWORD_SIZE - 1);
	}
	else
		REQUIRE(memcmp(&credentials, &empty, sizeof(empty)) == 0);
	free(text);
	return 0;
}
