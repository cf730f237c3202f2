/*
 * fuzz_challenge.c - an answer proves something only if the value stands in it, alone or as the member of an object.
 */
#include "core/challenge.h"

#include "fuzz.h"

#define VALUE "8f0c3a5d1be9"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *answer = malloc(size + 1);
	size_t length = 0;

	REQUIRE(answer != NULL);
	if (bmw_challenge_is_met(VALUE, (const char *) data, size))
	{
		for (size_t i = 0; i < size; i++)
			if (memchr(" \t\r\n", data[i], 4) == NULL)
				answer[length++] = (char) data[i];
		answer[length] = '\0';
		REQUIRE(strcmp(answer, VALUE) == 0 || strcmp(answer, "{\"challenge\":\"" VALUE "\"}") == 0);
	}
	free(answer);
	return 0;
}
