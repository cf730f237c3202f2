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

/* How far a request has come on its way; all but the first: through a proxy. */
typedef enum BmwStage
{
	BMW_STAGE_DIRECT,
	BMW_STAGE_NAME, /* the receiver's name is being resolved */
	BMW_STAGE_PROXY /* the proxy is asked for a tunnel to it, and the rest */
} BmwStage;

/* What the next line of an answer's head is, where libcurl shows it to us (http_answer.c). */
typedef enum BmwHead
{
	BMW_HEAD_STATUS,
	BMW_HEAD_FIRST_LINE,
	BMW_HEAD_LINES,
	BMW_HEAD_READ /* none: the body follows */
} BmwHead;

typedef struct BmwTransfer
{
	struct BmwTransfer *next;	   /* in the pool, or among the finished */
	struct BmwTransfer *next_made; /* among all that exist */
	BmwHttp *http;
	BmwHttpPool *pool; /* NULL: libcurl does not have it */
	CURL *easy;
	struct curl_slist *headers;
	struct curl_slist *connect_to;
	BmwStage stage;
	struct sockaddr_storage target; /* where the tunnel goes to; AF_UNSPEC: not known yet */
	int timeout_ms;
	int64_t name_us; /* that the stage before took */
	CURLcode code;
	bool is_aborted;
	bool is_blocked; /* the address policy refused */
	bool is_local_fault;
	bool is_source_fault; /* it was about the source address */
	bool is_too_large;
	bool is_crowded; /* may_enter() refused */
	int sends;		 /* how often the request was put on a connection */
	BmwHead head;
	bool head_is_in_line;	  /* the last piece did not end its line */
	int fd;					  /* that libcurl waits for; -1: none */
	unsigned reads;			  /* how often libcurl has read something */
	uint64_t received_before; /* by the connection, when it had for the first time */
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
	bool shows_head; /* of answers, before libcurl looks at it (http_answer.c) */
	BmwHttpResult result;
};

/* One to be used, from the pool or new; NULL: no memory. */
extern BmwTransfer *bmw_http_transfer_take(BmwHttp *http);
/* Makes it the transfer of this request. */
extern BmwStatus bmw_http_transfer_set(BmwTransfer *transfer, const BmwHttpRequest *request);
extern void bmw_http_transfer_put_back(BmwHttp *http, BmwTransfer *transfer);

/* Chooses the first stage. False: no memory. */
extern bool bmw_http_proxy_set(BmwTransfer *transfer, const BmwHttpRequest *request);
/* An address of the receiver that has been judged. */
extern void bmw_http_proxy_keep_target(BmwTransfer *transfer, const struct curl_sockaddr *address);
/* libcurl is done with a stage: true, another follows. Else code says how it ended. */
extern bool bmw_http_proxy_goes_on(BmwTransfer *transfer);
extern bool bmw_http_proxy_is_at_fault(const BmwTransfer *transfer);
/* Then, why: without the name and the address of the proxy, which are not for everybody. */
extern void bmw_http_proxy_describe(const BmwTransfer *transfer, char *error, size_t size);

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

/* Must this libcurl show us the head of answers, so that handles can be used again? */
extern bool bmw_http_answer_shows_head(void);
/* Answers come into the transfer. */
extern void bmw_http_answer_set(BmwTransfer *transfer);

/* What a receiver can make us calculate is limited. */
extern void bmw_http_tls_set(CURL *easy);

extern void bmw_http_result_fill(BmwHttpResult *result, BmwTransfer *transfer);

#endif
