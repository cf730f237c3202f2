/*
 * core/seal.c - short texts encrypted with AES-256-GCM, by OpenSSL.
 */
#include "core/seal.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

static bool begin(EVP_CIPHER_CTX *cipher, const uint8_t *key, const uint8_t *nonce,
				  const char *context, int is_closing);

bool
bmw_seal_close(const uint8_t *key, const uint8_t *nonce, const char *context, const void *text,
			   size_t len, uint8_t *out)
{
	EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
	uint8_t *body = out + BMW_SEAL_NONCE;
	int written = 0;
	int rest = 0;
	const bool is_done =
		len <= INT_MAX && begin(cipher, key, nonce, context, 1) &&
		EVP_CipherUpdate(cipher, body, &written, text, (int) len) == 1 &&
		EVP_CipherFinal_ex(cipher, body + written, &rest) == 1 &&
		(size_t) (written + rest) == len &&
		EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, BMW_SEAL_TAG, body + len) == 1;

	memcpy(out, nonce, BMW_SEAL_NONCE);
	EVP_CIPHER_CTX_free(cipher);
	return is_done;
}

bool
bmw_seal_open(const uint8_t *key, const char *context, const uint8_t *seal, size_t len, void *out,
			  size_t *out_len)
{
	EVP_CIPHER_CTX *cipher;
	const uint8_t *body = seal + BMW_SEAL_NONCE;
	const size_t body_len = len - BMW_SEAL_EXTRA;
	int written = 0;
	int rest = 0;
	bool is_done;

	*out_len = 0;
	if (len < BMW_SEAL_EXTRA || len > INT_MAX)
		return false;
	cipher = EVP_CIPHER_CTX_new();
	is_done = begin(cipher, key, seal, context, 0) &&
			  EVP_CipherUpdate(cipher, out, &written, body, (int) body_len) == 1 &&
			  EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, BMW_SEAL_TAG,
								  (void *) (body + body_len)) == 1 &&
			  EVP_CipherFinal_ex(cipher, (uint8_t *) out + written, &rest) == 1;
	EVP_CIPHER_CTX_free(cipher);
	/* nobody uses what the tag does not vouch for */
	if (!is_done)
		OPENSSL_cleanse(out, body_len);
	*out_len = is_done ? (size_t) (written + rest) : 0;
	return is_done;
}

static bool
begin(EVP_CIPHER_CTX *cipher, const uint8_t *key, const uint8_t *nonce, const char *context,
	  int is_closing)
{
	int ignored;

	return cipher != NULL &&
		   EVP_CipherInit_ex(cipher, EVP_aes_256_gcm(), NULL, key, nonce, is_closing) == 1 &&
		   EVP_CipherUpdate(cipher, NULL, &ignored, (const uint8_t *) context,
							(int) strlen(context)) == 1;
}
