/*
 * core/http_internal.h - what the files of the HTTP engine share; nobody else includes it.
 */
#ifndef BMW_CORE_HTTP_INTERNAL_H
#define BMW_CORE_HTTP_INTERNAL_H

#include <curl/curl.h>

#include "core/http.h"
#include "core/sockets.h"

typedef struct BmwTransfer
{
	struct BmwTransfer *next;	   /* in the pool, or among the finished */
	struct BmwTransfer *next_made; /* among all that exist */
	BmwHttp *http;
	CURL *easy;
	struct curl_slist *headers;
	CURLcode code;
	bool is_running; /* libcurl has it */
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
	CURLM *multi;
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

/* Callbacks of libcurl; the first and the last have a BmwTransfer as context, the other one a BmwHttp. */
extern curl_socket_t bmw_http_connection_open(void *context, curlsocktype purpose,
											  struct curl_sockaddr *address);
extern int bmw_http_connection_close(void *context, curl_socket_t fd);
/* Runs before every request, also on a connection that is used again. */
extern int bmw_http_connection_check(void *context, char *remote_ip, char *local_ip,
									 int remote_port, int local_port);

extern void bmw_http_result_fill(BmwHttpResult *result, BmwTransfer *transfer);

#endif
