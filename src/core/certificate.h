/*
 * core/certificate.h - certificates and keys as PEM: are they what they should be?
 *
 * They are used by libcurl, and looked at here before they are stored. A key that is protected by
 * a password is refused: there is nobody to type it.
 */
#ifndef BMW_CORE_CERTIFICATE_H
#define BMW_CORE_CERTIFICATE_H

#include <stddef.h>

#include "core/status.h"

#define BMW_CERTIFICATE_MAX_BYTES 65536

/* At least one certificate. BMW_ERROR_CERTIFICATE, _TOO_LARGE, _MEMORY. */
extern BmwStatus bmw_certificate_check_authorities(const char *pem, size_t len);
/* A certificate, those between it and its authority, and its private key. BMW_ERROR_CERTIFICATE_KEY(_SLOW) as well. */
extern BmwStatus bmw_certificate_check_client(const char *pem, size_t len);

#endif
