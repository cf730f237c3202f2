/*
 * fuzz_certificate.c - what is accepted as a client's certificate is one, and more than one is needed for it.
 *
 * The input is PEM, as users hand it in.
 */
#include "core/certificate.h"

#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *pem = fuzz_text(data, size);
	const BmwStatus authorities = bmw_certificate_check_authorities(pem, size);
	const BmwStatus client = bmw_certificate_check_client(pem, size);

	if (authorities == BMW_OK)
		REQUIRE(strstr(pem, "-----BEGIN ") != NULL || memchr(pem, '\0', size) != NULL);
	if (client == BMW_OK)
		REQUIRE(authorities == BMW_OK);
	REQUIRE(client == BMW_OK || client == authorities || client == BMW_ERROR_CERTIFICATE_KEY ||
			client == BMW_ERROR_CERTIFICATE_KEY_SLOW);
	free(pem);
	return 0;
}
