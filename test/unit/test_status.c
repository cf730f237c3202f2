/*
 * test_status.c - every error has its own sentence, fit for errdetail().
 */
#include "core/status.h"

#include <ctype.h>

#include "unit.h"

static const BmwStatus statuses[] = {
	BMW_OK,
	BMW_ERROR_MEMORY,
	BMW_ERROR_TOO_LARGE,
	BMW_ERROR_EMPTY,
	BMW_ERROR_SYNTAX,
	BMW_ERROR_URL_CHARACTER,
	BMW_ERROR_URL_SYNTAX,
	BMW_ERROR_URL_SCHEME,
	BMW_ERROR_URL_HTTPS_REQUIRED,
	BMW_ERROR_URL_USERINFO,
	BMW_ERROR_URL_FRAGMENT,
	BMW_ERROR_URL_ZONE,
	BMW_ERROR_URL_HOST,
	BMW_ERROR_URL_LOCALHOST,
	BMW_ERROR_URL_PORT,
	BMW_ERROR_ADDRESS_DENIED,
	BMW_ERROR_PORT_DENIED,
	BMW_ERROR_SECRET_PREFIX,
	BMW_ERROR_SECRET_BASE64,
	BMW_ERROR_SECRET_LENGTH,
	BMW_ERROR_SIGNATURE_MISMATCH,
	BMW_ERROR_TIMESTAMP_TOLERANCE,
	BMW_ERROR_CRYPTO,
	BMW_ERROR_HEADER_NAME,
	BMW_ERROR_HEADER_RESERVED,
	BMW_ERROR_HEADER_VALUE,
};

int
main(void)
{
	const size_t length = sizeof(statuses) / sizeof(statuses[0]);
	const char *unknown = bmw_status_text((BmwStatus) -9999);

	CHECK_TEXT(unknown, "Unknown error.");
	for (size_t i = 0; i < length; i++)
	{
		const char *text = bmw_status_text(statuses[i]);

		CHECK(isupper((unsigned char) text[0]));
		CHECK_INT(text[strlen(text) - 1], '.');
		CHECK(strchr(text, '\n') == NULL && strchr(text, '%') == NULL);
		CHECK(strcmp(text, unknown) != 0);
		for (size_t j = 0; j < i; j++)
			CHECK(strcmp(text, bmw_status_text(statuses[j])) != 0);
	}
	return unit_finish("status");
}
