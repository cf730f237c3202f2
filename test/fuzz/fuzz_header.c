/*
 * fuzz_header.c - a header that is accepted cannot end its line, nor replace one of ours.
 *
 * The first line is the name, the rest is the value.
 */
#include "core/header.h"

#include <strings.h>

#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *name = fuzz_line(&data, &size);
	char *value = fuzz_text(data, size);
	const BmwStatus status = bmw_header_check(name, strlen(name), value, size);

	if (status == BMW_OK)
	{
		REQUIRE(strpbrk(name, ": \t\r\n\"") == NULL && name[0] != '\0');
		REQUIRE(strlen(value) == size && strpbrk(value, "\r\n") == NULL);
		REQUIRE(strncasecmp(name, "webhook-", 8) != 0 && strcasecmp(name, "content-length") != 0);
	}
	free(name);
	free(value);
	return 0;
}
