/*
 * core/scheme.c - signatures as receivers expect them that were written for others.
 */
#include "core/scheme.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {
	[BMW_SCHEME_NONE] = "",
	[BMW_SCHEME_HEX] = "hex",
	[BMW_SCHEME_SHA256] = "sha256",
	[BMW_SCHEME_STRIPE] = "stripe",
};

bool
bmw_scheme_find(const char *name, BmwScheme *scheme)
{
	for (int i = BMW_SCHEME_HEX; i <= BMW_SCHEME_STRIPE; i++)
		if (strcmp(names[i], name) == 0)
		{
			*scheme = (BmwScheme) i;
			return true;
		}
	return false;
}

BmwStatus
bmw_scheme_sign(BmwSigner *signer, BmwScheme scheme, const BmwSecret *const *secrets, int length,
				const BmwMessage *message, char *out)
{
	const bool is_timed = scheme == BMW_SCHEME_STRIPE;
	size_t len = 0;

	*out = '\0';
	for (int i = 0; i < length; i++)
	{
		char digits[BMW_HEX_SIZE];

		if (secrets[i]->kind != BMW_SECRET_HMAC || (len > 0 && !is_timed))
			continue;
		if (bmw_sign_hex(signer, secrets[i], message, is_timed, digits) != BMW_OK)
			return BMW_ERROR_CRYPTO;
		if (len == 0 && is_timed)
			len += (size_t) snprintf(out, 40, "t=%" PRId64, message->timestamp_s);
		len += (size_t) snprintf(out + len, BMW_SCHEME_TEXT_SIZE - len, "%s%s",
								 scheme == BMW_SCHEME_SHA256 ? "sha256="
								 : is_timed					 ? ",v1="
															 : "",
								 digits);
	}
	return BMW_OK;
}
