/*
 * core/http_tls.c - what a receiver can make us calculate by TLS.
 *
 * It chooses the numbers of a handshake, and how many messages it sends in it and afterwards: OpenSSL
 * reads all that there are before it returns, whatever libcurl's time limit says.
 */
#include "core/http_internal.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

#define CURVES "X25519:P-256:X448:P-521:P-384"
#define MAX_AUTHORITIES 6 /* below one that is trusted; on the web two or three */
#define MAX_MESSAGES 100  /* of a connection, beside data: a handshake has ten, a ticket is one */

static bool uses_openssl(void);
static CURLcode limit(CURL *easy, void *tls, void *unused);
static bool limit_handshake(SSL_CTX *tls);
static void count_message(int is_written, int version, int type, const void *bytes, size_t len,
						  SSL *connection, void *unused);

static int messages_index; /* of how many a connection has received; 0: not asked for yet */

void
bmw_http_tls_set(CURL *easy)
{
	/* the receiver chooses the numbers of DHE: large ones cost a second for each new connection */
	curl_easy_setopt(easy, CURLOPT_SSL_CIPHER_LIST, "DEFAULT:!kDHE");
	if (uses_openssl())
		curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, limit);
}

/* What the callback is given is of the library that libcurl was built with. */
static bool
uses_openssl(void)
{
	const char *library = curl_version_info(CURLVERSION_NOW)->ssl_version;

	return library != NULL && strncmp(library, "OpenSSL/", 8) == 0;
}

static CURLcode
limit(CURL *easy, void *tls, void *unused)
{
	(void) easy;
	(void) unused;
	if (messages_index == 0)
		messages_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	if (messages_index < 0 || !limit_handshake(tls))
		return CURLE_SSL_CONNECT_ERROR;
	SSL_CTX_set_msg_callback(tls, count_message);
	return CURLE_OK;
}

/*
 * Each signature takes 8 ms if the exponent has 3,072 bits. Of a longer chain none is verified. A key
 * exchange of ffdhe8192 takes 17 ms, of a curve less than one. OpenSSL knows the first one from 3.5 on,
 * and may leave out what it does not know from 3.3 on.
 */
static bool
limit_handshake(SSL_CTX *tls)
{
	SSL_CTX_set_verify_depth(tls, MAX_AUTHORITIES);
	if (!SSL_CTX_set1_groups_list(tls, "?X25519MLKEM768:" CURVES) &&
		!SSL_CTX_set1_groups_list(tls, CURVES))
		return false;
	ERR_clear_error();
	return true;
}

/* Nothing more is read from a connection with too many: what follows is taken for its end. */
static void
count_message(int is_written, int version, int type, const void *bytes, size_t len, SSL *connection,
			  void *unused)
{
	uintptr_t messages = (uintptr_t) SSL_get_ex_data(connection, messages_index) + 1;

	(void) version;
	(void) bytes;
	(void) len;
	(void) unused;
	if (is_written || type != SSL3_RT_HANDSHAKE)
		return;
	SSL_set_ex_data(connection, messages_index, (void *) messages);
	if (messages == MAX_MESSAGES)
		SSL_set0_rbio(connection, BIO_new(BIO_s_null()));
}
