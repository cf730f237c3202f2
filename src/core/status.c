/*
 * core/status.c - the sentence for each error of the core.
 *
 * The sentences reach users as errdetail(): capitalised, with a final period,
 * and never with a value in them, because the value may be a secret or a URL
 * with a token. The switch has no default, so that the compiler finds the
 * status that was added without a sentence.
 */
#include "core/status.h"

const char *
bmw_status_text(BmwStatus status)
{
	switch (status)
	{
		case BMW_OK:
			return "No error.";
		case BMW_ERROR_MEMORY:
			return "Out of memory.";
		case BMW_ERROR_TOO_LARGE:
			return "The value is too large.";
		case BMW_ERROR_EMPTY:
			return "The value is empty.";
		case BMW_ERROR_SYNTAX:
			return "The value is not well-formed.";
		case BMW_ERROR_URL_CHARACTER:
			return "The URL contains a blank, a control character, a backslash or a non-ASCII character.";
		case BMW_ERROR_URL_SYNTAX:
			return "The URL is not well-formed.";
		case BMW_ERROR_URL_SCHEME:
			return "The URL does not begin with \"https://\" or \"http://\".";
		case BMW_ERROR_URL_HTTPS_REQUIRED:
			return "The URL must begin with \"https://\".";
		case BMW_ERROR_URL_USERINFO:
			return "The URL contains a user name or password.";
		case BMW_ERROR_URL_FRAGMENT:
			return "The URL contains a fragment.";
		case BMW_ERROR_URL_ZONE:
			return "The URL contains an IPv6 zone identifier.";
		case BMW_ERROR_URL_HOST:
			return "The host of the URL is neither a fully qualified domain name nor a canonical address.";
		case BMW_ERROR_URL_LOCALHOST:
			return "The host of the URL is \"localhost\".";
		case BMW_ERROR_URL_PORT:
			return "The port of the URL is not a number from 1 to 65535.";
		case BMW_ERROR_ADDRESS_DENIED:
			return "The address is not in a network that requests may go to.";
		case BMW_ERROR_PORT_DENIED:
			return "The port is not one that requests may go to.";
		case BMW_ERROR_SECRET_PREFIX:
			return "The secret does not begin with \"whsec_\", \"whsk_\" or \"whpk_\".";
		case BMW_ERROR_SECRET_BASE64:
			return "The secret is not padded base64 after its prefix.";
		case BMW_ERROR_SECRET_LENGTH:
			return "The secret is not between 24 and 64 bytes long.";
		case BMW_ERROR_SIGNATURE_MISMATCH:
			return "No signature matches.";
		case BMW_ERROR_TIMESTAMP_TOLERANCE:
			return "The timestamp is too far from the current time.";
		case BMW_ERROR_CRYPTO:
			return "The cryptographic library failed.";
		case BMW_ERROR_MESSAGE_ID:
			return "The id of the message contains a period.";
		case BMW_ERROR_SECRET_KEY_LENGTH:
			return "The key is not as long as one of ed25519 is.";
		case BMW_ERROR_SECRET_PAIR:
			return "The second half of the key is not the public key of the first.";
		case BMW_ERROR_SECRET_PUBLIC:
			return "A public key cannot sign.";
		case BMW_ERROR_KEY_ID:
			return "It does not begin with the id of a key (letters, digits, \".\", \"_\" and \"-\") and a colon.";
		case BMW_ERROR_KEY_ID_TWICE:
			return "Another key has the same id.";
		case BMW_ERROR_KEY:
			return "The key is not the base64 of 32 bytes.";
		case BMW_ERROR_CERTIFICATE:
			return "It does not begin with a certificate in PEM.";
		case BMW_ERROR_CERTIFICATE_KEY:
			return "It has no private key of its first certificate, or one with a password.";
		case BMW_ERROR_CERTIFICATE_KEY_SLOW:
			return "Its private key is none of RSA of at most 4096 bits, EC, Ed25519 and Ed448.";
		case BMW_ERROR_HEADER_NAME:
			return "The header name is not a valid HTTP token.";
		case BMW_ERROR_HEADER_RESERVED:
			return "The header is reserved.";
		case BMW_ERROR_HEADER_VALUE:
			return "The header value contains a control character, or a leading or trailing blank.";
	}
	return "Unknown error.";
}
