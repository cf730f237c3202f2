/*
 * core/http.h - the HTTP engine: many POSTs at once, one descriptor to wait for.
 *
 * libcurl's multi interface, driven by socket_action, over one epoll set whose
 * descriptor (bmw_http_fd) nests in somebody else's wait. Nothing here blocks,
 * logs or reads a clock of ours. Every libcurl callback lives in http.c and
 * none of them can raise an error. All signals are blocked while libcurl runs,
 * because its name resolver starts threads that must not run our handlers.
 *
 * Usage: start requests, then for ever: bmw_http_prepare_wait(), wait until
 * bmw_http_fd() is readable or that time has passed, bmw_http_drive(),
 * bmw_http_next() until NULL.
 */
#ifndef BMW_CORE_HTTP_H
#define BMW_CORE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/address.h"
#include "core/egress.h"
#include "core/outcome.h"
#include "core/status.h"

#define BMW_HTTP_RESPONSE_KEEP 2048			/* bytes of a response that are kept */
#define BMW_HTTP_RESPONSE_MAX (1024 * 1024) /* bytes of a response that are read */
#define BMW_HTTP_ERROR_SIZE 256				/* as libcurl's */

typedef struct BmwHttpConfig
{
	int max_connections; /* kept alive and in use together */
	int max_idle;		 /* kept alive, for a minute */
	int pools; /* 1 or more: over which hosts are divided; each may have max_connections */
	const char *user_agent;
	const char *ca_file;			/* NULL or '': libcurl's default */
	const BmwAddressPolicy *policy; /* borrowed; must outlive the engine */
	const BmwEgress *egress;		/* likewise, and must not change; NULL: directly */

	/*
	 * Asked before a socket is opened, told after it was closed; NULL: no limit.
	 * Must not raise an error or call libcurl.
	 */
	bool (*may_open_socket)(void);
	void (*socket_closed)(void);

	/*
	 * Asked before a request connects to an address and before it is sent on a connection that is open;
	 * with a proxy the address is that of the receiver. NULL: all may. The same holds for it.
	 */
	bool (*may_enter)(void *context, void *tag, const struct sockaddr *address);
	void *context; /* of may_enter */
} BmwHttpConfig;

/* Names and values are already checked (core/header.h). */
typedef struct BmwHttpHeader
{
	const char *name;
	const char *value;
} BmwHttpHeader;

typedef struct BmwHttpRequest
{
	const char *url;
	const BmwHttpHeader *headers;
	int headers_length;
	const char *body; /* borrowed until the result has been taken */
	size_t body_len;
	const char *authorities; /* PEM, in place of the configured ones; NULL: those */
	const char *client;		 /* PEM: a certificate and its key, to show; NULL: none */
	bool is_direct;			 /* not through the proxy */
	int timeout_ms;			 /* the whole attempt */
	int connect_timeout_ms;
	void *tag; /* handed back with the result */
} BmwHttpRequest;

/* Microseconds from the start of the attempt; 0 where a stage was not reached, or was not needed. */
typedef struct BmwHttpTimes
{
	int64_t name_us;
	int64_t connect_us;
	int64_t tls_us;
	int64_t first_byte_us;
	int64_t total_us;
} BmwHttpTimes;

/* Valid until the next call of bmw_http_next(). */
typedef struct BmwHttpResult
{
	void *tag;
	BmwTransport transport;
	bool is_source_fault;	/* BMW_TRANSPORT_LOCAL because its source address is not ours */
	int http_status;		/* 0: none */
	int64_t retry_after_us; /* BMW_RETRY_AFTER_NONE when absent */
	int resent;				/* times that libcurl sent it again by itself */
	BmwHttpTimes times;
	char error[BMW_HTTP_ERROR_SIZE]; /* '' when the transport was fine */
	const char *response;			 /* its first bytes, 0-terminated, not checked for encoding */
	size_t response_len;
} BmwHttpResult;

typedef struct BmwHttp BmwHttp;

/* Calls curl_global_init(): in the process that will send, never earlier. NULL on failure. */
extern BmwHttp *bmw_http_create(const BmwHttpConfig *config);
/* Breaks off what is in flight; no results are handed out. */
extern void bmw_http_destroy(BmwHttp *http);

/* Starts a request. BMW_ERROR_MEMORY when it cannot; then no result follows. */
extern BmwStatus bmw_http_start(BmwHttp *http, const BmwHttpRequest *request);
extern int bmw_http_fd(const BmwHttp *http);
/*
 * Tells the epoll set what to wait for (put off until here, because most
 * connections are used again at once) and returns how long to wait at most:
 * -1 without limit, 0 drive at once.
 */
extern int bmw_http_prepare_wait(BmwHttp *http);
/* Does what can be done now, without blocking. */
extern void bmw_http_drive(BmwHttp *http);
/*
 * Breaks off the requests whose tag is_wanted() says yes to. Their results follow
 * like any other, with BMW_TRANSPORT_ABORTED; the receiver may have got them.
 */
extern void bmw_http_abort(BmwHttp *http, bool (*is_wanted)(const void *tag, void *context),
						   void *context);
/* A finished request, NULL when there is none. */
extern const BmwHttpResult *bmw_http_next(BmwHttp *http);
/* Overwrites in the response of that result what gives back header values, signatures or secrets (mask.h). */
extern void bmw_http_mask(BmwHttp *http);
extern int bmw_http_in_flight(const BmwHttp *http);

#endif
