/*
 * core/status.h - the one error enum of the core.
 *
 * Functions of the core that can fail return a BmwStatus: BMW_OK is zero,
 * errors are negative. bmw_status_text() gives a sentence for a user, fit for
 * errdetail(): capitalised, with a final period, without any value in it.
 */
#ifndef BMW_CORE_STATUS_H
#define BMW_CORE_STATUS_H

typedef enum BmwStatus
{
	BMW_OK = 0,
	BMW_ERROR_MEMORY = -1,
	BMW_ERROR_TOO_LARGE = -2,
	BMW_ERROR_EMPTY = -3,
	BMW_ERROR_SYNTAX = -4,

	BMW_ERROR_URL_CHARACTER = -10, /* blank, control, back-slash, non-ASCII */
	BMW_ERROR_URL_SYNTAX = -11,
	BMW_ERROR_URL_SCHEME = -12,
	BMW_ERROR_URL_HTTPS_REQUIRED = -13,
	BMW_ERROR_URL_USERINFO = -14,
	BMW_ERROR_URL_FRAGMENT = -15,
	BMW_ERROR_URL_ZONE = -16,
	BMW_ERROR_URL_HOST = -17, /* no host, single label, numeric last label */
	BMW_ERROR_URL_LOCALHOST = -18,
	BMW_ERROR_URL_PORT = -19,

	BMW_ERROR_ADDRESS_DENIED = -30,
	BMW_ERROR_PORT_DENIED = -31,

	BMW_ERROR_SECRET_PREFIX = -40,
	BMW_ERROR_SECRET_BASE64 = -41,
	BMW_ERROR_SECRET_LENGTH = -42,
	BMW_ERROR_SIGNATURE_MISMATCH = -43,
	BMW_ERROR_TIMESTAMP_TOLERANCE = -44,
	BMW_ERROR_CRYPTO = -45,
	BMW_ERROR_MESSAGE_ID = -46,
	BMW_ERROR_SECRET_KEY_LENGTH = -47,
	BMW_ERROR_SECRET_PAIR = -48,
	BMW_ERROR_SECRET_PUBLIC = -49,

	BMW_ERROR_HEADER_NAME = -50,
	BMW_ERROR_HEADER_RESERVED = -51,
	BMW_ERROR_HEADER_VALUE = -52,

	BMW_ERROR_KEY_ID = -60,
	BMW_ERROR_KEY_ID_TWICE = -61,
	BMW_ERROR_KEY = -62,

	BMW_ERROR_CERTIFICATE = -70,
	BMW_ERROR_CERTIFICATE_KEY = -71,
	BMW_ERROR_CERTIFICATE_KEY_SLOW = -72
} BmwStatus;

/* A constant sentence for the status; never NULL. */
extern const char *bmw_status_text(BmwStatus status);

#endif
