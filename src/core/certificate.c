/*
 * core/certificate.c - certificates and keys as PEM: are they what they should be?
 */
#include "core/certificate.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <string.h>

#define RSA_MAX_BITS 4096 /* 4 ms for a signature; four times as many bits: 200 ms */

static X509 *read_first(const char *pem, size_t len);
static EVP_PKEY *read_key(const char *pem, size_t len);
static bool is_fast(const EVP_PKEY *key);
static int no_password(char *out, int size, int is_writing, void *context);

BmwStatus
bmw_certificate_check_authorities(const char *pem, size_t len)
{
	X509 *first;

	if (len > BMW_CERTIFICATE_MAX_BYTES)
		return BMW_ERROR_TOO_LARGE;
	first = read_first(pem, len);
	X509_free(first);
	return first != NULL ? BMW_OK : BMW_ERROR_CERTIFICATE;
}

BmwStatus
bmw_certificate_check_client(const char *pem, size_t len)
{
	const BmwStatus status = bmw_certificate_check_authorities(pem, len);
	X509 *certificate;
	EVP_PKEY *key;
	bool is_pair;
	bool is_slow;

	if (status != BMW_OK)
		return status;
	certificate = read_first(pem, len);
	key = read_key(pem, len);
	is_pair = certificate != NULL && key != NULL && X509_check_private_key(certificate, key) == 1;
	is_slow = is_pair && !is_fast(key);
	EVP_PKEY_free(key);
	X509_free(certificate);
	ERR_clear_error();
	if (is_slow)
		return BMW_ERROR_CERTIFICATE_KEY_SLOW;
	return is_pair ? BMW_OK : BMW_ERROR_CERTIFICATE_KEY;
}

/* NULL: there is none, or one that comes first is damaged. */
static X509 *
read_first(const char *pem, size_t len)
{
	BIO *bio = BIO_new_mem_buf(pem, (int) len);
	X509 *certificate = bio != NULL ? PEM_read_bio_X509(bio, NULL, no_password, NULL) : NULL;

	BIO_free(bio);
	ERR_clear_error();
	return certificate;
}

static EVP_PKEY *
read_key(const char *pem, size_t len)
{
	BIO *bio = BIO_new_mem_buf(pem, (int) len);
	EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;

	BIO_free(bio);
	return key;
}

/* Each new connection costs the dispatcher a signature, and it serves others as well. */
static bool
is_fast(const EVP_PKEY *key)
{
	switch (EVP_PKEY_base_id(key))
	{
		case EVP_PKEY_RSA:
		case EVP_PKEY_RSA_PSS:
			return EVP_PKEY_bits(key) <= RSA_MAX_BITS;
		case EVP_PKEY_EC:
		case EVP_PKEY_ED25519:
		case EVP_PKEY_ED448:
			return true;
		default:
			return false;
	}
}

static int
no_password(char *out, int size, int is_writing, void *context)
{
	(void) out;
	(void) size;
	(void) is_writing;
	(void) context;
	return -1;
}
