/*
 * core/http_internal.h - what the files of the HTTP engine share; nobody else includes it.
 */
#ifndef BMW_CORE_HTTP_INTERNAL_H
#define BMW_CORE_HTTP_INTERNAL_H

#include <curl/curl.h>

#include "core/http.h"
#include "core/sockets.h"

#define BMW_HTTP_IDLE_S 60L /* many balancers close connections soon after */

/* A multi handle of libcurl. */
typedef struct BmwHttpPool
{
	BmwHttp *http;
	CURLM *multi; /* NULL: not used at the moment */
	int running;  /* transfers */
	int open;	  /* sockets */
	int64_t idle_since_ms;
} BmwHttpPool;

typedef struct BmwTransfer
{
	struct BmwTransfer *next;	   /* in the pool, or among the finished */
	struct BmwTransfer *next_made; /* among all that exist */
	BmwHttp *http;
	BmwHttpPool *pool; /* NULL: libcurl does not have it */
	CURL *easy;
	struct curl_slist *headers;
	CURLcode code;
	bool is_aborted;
	bool is_blocked; /* the address policy refused */
	bool is_local_fault;
	bool is_too_large;
	int sends; /* how often the request was put on a connection */
	size_t received;
	size_t kept;
	void *tag;
	char error[CURL_ERROR_SIZE];
	char response[BMW_HTTP_RESPONSE_KEEP + 1];
} BmwTransfer;

struct BmwHttp
{
	BmwHttpConfig config;
	BmwHttpPool *pools;
	int pools_length;
	int running; /* of all pools */
	int open;	 /* of all pools */
	BmwSockets sockets;
	BmwTransfer *made;
	BmwTransfer *pool; /* ready to be used */
	BmwTransfer *finished_head;
	BmwTransfer *finished_tail;
	BmwTransfer *handed_out; /* its result is with the caller */
	int in_flight;
	BmwHttpResult result;
};

/* One to be used, from the pool or new; NULL: no memory. */
extern BmwTransfer *bmw_http_transfer_take(BmwHttp *http);
/* Makes it the transfer of this request. */
extern BmwStatus bmw_http_transfer_set(BmwTransfer *transfer, const BmwHttpRequest *request);
extern void bmw_http_transfer_put_back(BmwHttp *http, BmwTransfer *transfer);

/* False: no memory. */
extern bool bmw_http_pools_make(BmwHttp *http);
/* Breaks off nothing: all transfers must have been removed. */
extern void bmw_http_pools_free(BmwHttp *http);
/* The one for this URL, ready; NULL: no memory. */
extern BmwHttpPool *bmw_http_pool_of(BmwHttp *http, const char *url);
extern bool bmw_http_pool_add(BmwHttpPool *pool, BmwTransfer *transfer);
extern void bmw_http_pool_remove(BmwTransfer *transfer);
/* How long to wait at most, as bmw_http_prepare_wait(); closes one that was idle for a minute. */
extern int bmw_http_pool_prepare_wait(BmwHttpPool *pool);
/* Without transfers in it. */
extern void bmw_http_pool_close(BmwHttpPool *pool);

/*
 * Callbacks of libcurl; the context is a BmwTransfer for the first and the last, a BmwHttp
 * for the second, a BmwHttpPool for the third.
 */
extern curl_socket_t bmw_http_connection_open(void *context, curlsocktype purpose,
											  struct curl_sockaddr *address);
extern int bmw_http_connection_close(void *context, curl_socket_t fd);
extern int bmw_http_connection_want(CURL *easy, curl_socket_t fd, int what, void *context,
									void *unused);
/* Runs before every request, also on a connection that is used again. */
extern int bmw_http_connection_check(void *context, char *remote_ip, char *local_ip,
									 int remote_port, int local_port);

extern void bmw_http_result_fill(BmwHttpResult *result, BmwTransfer *transfer);

#endif
