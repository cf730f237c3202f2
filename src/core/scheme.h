/*
 * core/scheme.h - signatures as receivers expect them that were written for others.
 *
 * HMAC-SHA256 in hexadecimal digits, with the text of a secret (whsec_...) as its key:
 * over the body, as GitHub and Meta sign; or over timestamp "." body, as Stripe does. One
 * header carries it, beside those of Standard Webhooks.
 */
#ifndef BMW_CORE_SCHEME_H
#define BMW_CORE_SCHEME_H

#include <stdbool.h>

#include "core/sign.h"

typedef enum BmwScheme
{
	BMW_SCHEME_NONE,
	BMW_SCHEME_HEX,	   /* the digits alone */
	BMW_SCHEME_SHA256, /* sha256=... */
	BMW_SCHEME_STRIPE  /* t=...,v1=... */
} BmwScheme;

#define BMW_SCHEME_TEXT_SIZE (40 + BMW_MAX_SECRETS * (4 + BMW_HEX_SIZE))

/* endpoint.signature_scheme; false: there is no such scheme. */
extern bool bmw_scheme_find(const char *name, BmwScheme *scheme);
/*
 * The value of the header into out, BMW_SCHEME_TEXT_SIZE bytes; '' when none of the secrets is
 * a shared key. Of several, Stripe's form has a signature for each, and the others have one place: the
 * first of them signs. BMW_ERROR_CRYPTO.
 */
extern BmwStatus bmw_scheme_sign(BmwSigner *signer, BmwScheme scheme,
								 const BmwSecret *const *secrets, int length,
								 const BmwMessage *message, char *out);

#endif
