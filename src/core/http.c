/*
 * core/http.c - the HTTP engine: many POSTs at once, one descriptor to wait for.
 *
 * Easy handles are made once and used again; what never differs between
 * requests is set when the handle is made (set_fixed_options), the rest in
 * set_request_options. The address policy is asked twice: with the socket
 * address about to be connected, and, for connections that are used again,
 * before the request is sent. Needs libcurl 7.87 (CURLOPT_QUICK_EXIT).
 */
#include "core/http.h"

#include <errno.h>
#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/retry_after.h"
#include "core/sockets.h"

#define MAX_EVENTS 256
#define HEADER_LINE_SIZE 9216 /* longer than any header that can be registered */
#define CONNECTION_LIFETIME_S 3600L
#define HEADERS_MAX (300L * 1024) /* libcurl's own ceiling for all headers of a response */

typedef struct Transfer
{
	struct Transfer *next;		/* in the pool, or among the finished */
	struct Transfer *next_made; /* among all that exist */
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
} Transfer;

struct BmwHttp
{
	BmwHttpConfig config;
	CURLM *multi;
	BmwSockets sockets;
	Transfer *made;
	Transfer *pool; /* ready to be used */
	Transfer *finished_head;
	Transfer *finished_tail;
	Transfer *handed_out; /* its result is with the caller */
	int in_flight;
	BmwHttpResult result;
};

static bool set_up_multi(BmwHttp *http);
static Transfer *take_transfer(BmwHttp *http);
static Transfer *make_transfer(BmwHttp *http);
static void put_back(BmwHttp *http, Transfer *transfer);
static void set_fixed_options(Transfer *transfer);
static BmwStatus set_request_options(Transfer *transfer, const BmwHttpRequest *request);
static bool append_header(struct curl_slist **list, const char *line);
static struct curl_slist *make_headers(const BmwHttpRequest *request);
static void collect_finished(BmwHttp *http);
static void finish(BmwHttp *http, Transfer *transfer);
static void fill_result(BmwHttpResult *result, Transfer *transfer);
static void fill_times(BmwHttpTimes *times, CURL *easy);
static BmwTransport transport_of(const Transfer *transfer);
static bool has_name(CURL *easy);
static bool has_too_many_headers(CURL *easy);
static int64_t retry_after_us(CURL *easy);
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *unused);
static curl_socket_t on_open_socket(void *context, curlsocktype purpose,
									struct curl_sockaddr *address);
static bool is_short_of_something(int error);
static int on_close_socket(void *context, curl_socket_t fd);
static int on_before_request(void *context, char *remote_ip, char *local_ip, int remote_port,
							 int local_port);
static size_t on_response(char *bytes, size_t size, size_t count, void *context);
static void block_signals(sigset_t *saved);
static void restore_signals(const sigset_t *saved);

BmwHttp *
bmw_http_create(const BmwHttpConfig *config)
{
	BmwHttp *http = calloc(1, sizeof(*http));
	sigset_t saved;
	bool is_up;

	if (http == NULL)
		return NULL;
	http->config = *config;
	http->sockets.epoll_fd = -1;
	(void) unsetenv("SSLKEYLOGFILE");
	block_signals(&saved);
	is_up = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK && set_up_multi(http);
	restore_signals(&saved);
	if (is_up)
		return http;
	bmw_http_destroy(http);
	return NULL;
}

void
bmw_http_destroy(BmwHttp *http)
{
	sigset_t saved;

	if (http == NULL)
		return;
	block_signals(&saved);
	for (Transfer *transfer = http->made, *next; transfer != NULL; transfer = next)
	{
		next = transfer->next_made;
		curl_multi_remove_handle(http->multi, transfer->easy);
		curl_easy_cleanup(transfer->easy);
		curl_slist_free_all(transfer->headers);
		free(transfer);
	}
	if (http->multi != NULL)
		curl_multi_cleanup(http->multi);
	bmw_sockets_free(&http->sockets);
	curl_global_cleanup();
	restore_signals(&saved);
	free(http);
}

BmwStatus
bmw_http_start(BmwHttp *http, const BmwHttpRequest *request)
{
	Transfer *transfer = take_transfer(http);

	if (transfer == NULL)
		return BMW_ERROR_MEMORY;
	if (set_request_options(transfer, request) != BMW_OK ||
		curl_multi_add_handle(http->multi, transfer->easy) != CURLM_OK)
	{
		put_back(http, transfer);
		return BMW_ERROR_MEMORY;
	}
	transfer->is_running = true;
	http->in_flight++;
	return BMW_OK;
}

int
bmw_http_fd(const BmwHttp *http)
{
	return http->sockets.epoll_fd;
}

int
bmw_http_prepare_wait(BmwHttp *http)
{
	long timeout_ms = -1;

	bmw_sockets_apply(&http->sockets);
	curl_multi_timeout(http->multi, &timeout_ms);
	return (int) timeout_ms;
}

void
bmw_http_drive(BmwHttp *http)
{
	struct epoll_event events[MAX_EVENTS];
	sigset_t saved;
	int running;
	int ready = bmw_sockets_ready(&http->sockets, events, MAX_EVENTS);

	block_signals(&saved);
	for (int i = 0; i < ready; i++)
	{
		int flags = ((events[i].events & (EPOLLIN | EPOLLHUP)) ? CURL_CSELECT_IN : 0) |
					((events[i].events & EPOLLOUT) ? CURL_CSELECT_OUT : 0) |
					((events[i].events & EPOLLERR) ? CURL_CSELECT_ERR : 0);

		curl_multi_socket_action(http->multi, events[i].data.fd, flags, &running);
	}
	curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect_finished(http);
	restore_signals(&saved);
}

void
bmw_http_abort(BmwHttp *http, bool (*is_wanted)(const void *tag, void *context), void *context)
{
	sigset_t saved;

	block_signals(&saved);
	for (Transfer *transfer = http->made; transfer != NULL; transfer = transfer->next_made)
	{
		if (!transfer->is_running || !is_wanted(transfer->tag, context))
			continue;
		transfer->is_aborted = true;
		transfer->code = CURLE_ABORTED_BY_CALLBACK;
		finish(http, transfer);
	}
	restore_signals(&saved);
}

const BmwHttpResult *
bmw_http_next(BmwHttp *http)
{
	Transfer *transfer = http->finished_head;

	if (http->handed_out != NULL)
		put_back(http, http->handed_out);
	http->handed_out = transfer;
	if (transfer == NULL)
		return NULL;
	http->finished_head = transfer->next;
	if (http->finished_head == NULL)
		http->finished_tail = NULL;
	http->in_flight--;
	fill_result(&http->result, transfer);
	return &http->result;
}

int
bmw_http_in_flight(const BmwHttp *http)
{
	return http->in_flight;
}

static bool
set_up_multi(BmwHttp *http)
{
	if (!bmw_sockets_init(&http->sockets) || (http->multi = curl_multi_init()) == NULL)
		return false;
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long) http->config.max_connections);
	/* the other one lets idle connections stay beyond it until one in use comes back */
	curl_multi_setopt(http->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
					  (long) http->config.max_connections);
	return true;
}

static Transfer *
take_transfer(BmwHttp *http)
{
	Transfer *transfer = http->pool;

	if (transfer == NULL)
		return make_transfer(http);
	http->pool = transfer->next;
	return transfer;
}

static Transfer *
make_transfer(BmwHttp *http)
{
	Transfer *transfer = calloc(1, sizeof(*transfer));

	if (transfer == NULL)
		return NULL;
	transfer->http = http;
	transfer->easy = curl_easy_init();
	if (transfer->easy == NULL)
	{
		free(transfer);
		return NULL;
	}
	set_fixed_options(transfer);
	transfer->next_made = http->made;
	http->made = transfer;
	return transfer;
}

static void
put_back(BmwHttp *http, Transfer *transfer)
{
	curl_slist_free_all(transfer->headers);
	transfer->headers = NULL;
	transfer->next = http->pool;
	http->pool = transfer;
}

/* What guards us holds for every request: see the comment of each group. */
static void
set_fixed_options(Transfer *transfer)
{
	CURL *easy = transfer->easy;
	const BmwHttpConfig *config = &transfer->http->config;

	/* the server's environment must not divert a request */
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(easy, CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);

	/* only what was registered, only where the policy lets it go */
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
	curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, transfer->http);
	curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_before_request);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);

	/* a directory of certificates costs 20 ms for each new connection */
	curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	if (config->ca_file != NULL && config->ca_file[0] != '\0')
		curl_easy_setopt(easy, CURLOPT_CAINFO, config->ca_file);

	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_MAXLIFETIME_CONN, CONNECTION_LIFETIME_S);
	curl_easy_setopt(easy, CURLOPT_POST, 1L);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, config->user_agent);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_response);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
}

static BmwStatus
set_request_options(Transfer *transfer, const BmwHttpRequest *request)
{
	CURL *easy = transfer->easy;

	transfer->code = CURLE_OK;
	transfer->is_blocked = transfer->is_local_fault = transfer->is_too_large = false;
	transfer->is_aborted = false;
	transfer->sends = 0;
	transfer->received = transfer->kept = 0;
	transfer->tag = request->tag;
	transfer->error[0] = '\0';
	transfer->headers = make_headers(request);
	if (transfer->headers == NULL || curl_easy_setopt(easy, CURLOPT_URL, request->url) != CURLE_OK)
		return BMW_ERROR_MEMORY;
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) request->body_len);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) request->timeout_ms);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long) request->connect_timeout_ms);
	return BMW_OK;
}

static struct curl_slist *
make_headers(const BmwHttpRequest *request)
{
	struct curl_slist *list = NULL;
	char line[HEADER_LINE_SIZE];

	/* without this libcurl waits a second for "100 Continue" before large bodies */
	if (!append_header(&list, "Expect:"))
		return NULL;
	for (int i = 0; i < request->headers_length; i++)
	{
		const BmwHttpHeader *header = &request->headers[i];

		/* libcurl's spelling of a header without value is "Name;" */
		snprintf(line, sizeof(line), header->value[0] != '\0' ? "%s: %s" : "%s;%s", header->name,
				 header->value);
		if (!append_header(&list, line))
			return NULL;
	}
	return list;
}

static bool
append_header(struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*list, line);

	if (longer == NULL)
	{
		curl_slist_free_all(*list);
		*list = NULL;
		return false;
	}
	*list = longer;
	return true;
}

static void
collect_finished(BmwHttp *http)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(http->multi, &left)) != NULL)
	{
		Transfer *transfer;
		CURLcode code = message->data.result;

		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
		transfer->code = code;
		finish(http, transfer);
	}
}

static void
finish(BmwHttp *http, Transfer *transfer)
{
	curl_multi_remove_handle(http->multi, transfer->easy);
	transfer->is_running = false;
	transfer->next = NULL;
	if (http->finished_tail != NULL)
		http->finished_tail->next = transfer;
	else
		http->finished_head = transfer;
	http->finished_tail = transfer;
}

static void
fill_result(BmwHttpResult *result, Transfer *transfer)
{
	long http_status = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &http_status);
	result->tag = transfer->tag;
	result->transport = transport_of(transfer);
	result->http_status = (int) http_status;
	result->retry_after_us = retry_after_us(transfer->easy);
	result->resent = transfer->sends > 1 ? transfer->sends - 1 : 0;
	fill_times(&result->times, transfer->easy);
	result->error[0] = '\0';
	if (transfer->code != CURLE_OK)
		snprintf(result->error, sizeof(result->error), "%s",
				 transfer->error[0] != '\0' ? transfer->error : curl_easy_strerror(transfer->code));
	transfer->response[transfer->kept] = '\0';
	result->response = transfer->response;
	result->response_len = transfer->kept;
}

static void
fill_times(BmwHttpTimes *times, CURL *easy)
{
	curl_off_t value;

	curl_easy_getinfo(easy, CURLINFO_NAMELOOKUP_TIME_T, &value);
	times->name_us = value;
	curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME_T, &value);
	times->connect_us = value;
	curl_easy_getinfo(easy, CURLINFO_APPCONNECT_TIME_T, &value);
	times->tls_us = value;
	curl_easy_getinfo(easy, CURLINFO_STARTTRANSFER_TIME_T, &value);
	times->first_byte_us = value;
	curl_easy_getinfo(easy, CURLINFO_TOTAL_TIME_T, &value);
	times->total_us = value;
}

static BmwTransport
transport_of(const Transfer *transfer)
{
	if (transfer->is_aborted)
		return BMW_TRANSPORT_ABORTED;
	if (transfer->is_blocked)
		return BMW_TRANSPORT_BLOCKED;
	/* of two addresses, the other may have been reached */
	if (transfer->is_local_fault && transfer->code == CURLE_COULDNT_CONNECT)
		return BMW_TRANSPORT_LOCAL;
	if (transfer->is_too_large)
		return BMW_TRANSPORT_TOO_LARGE;
	switch (transfer->code)
	{
		case CURLE_OK:
			return BMW_TRANSPORT_OK;
		case CURLE_COULDNT_RESOLVE_HOST:
			return BMW_TRANSPORT_NAME;
		case CURLE_COULDNT_CONNECT:
		case CURLE_INTERFACE_FAILED:
			return BMW_TRANSPORT_CONNECT;
		case CURLE_OPERATION_TIMEDOUT:
			return has_name(transfer->easy) ? BMW_TRANSPORT_TIMEOUT : BMW_TRANSPORT_NAME;
		case CURLE_SSL_CONNECT_ERROR:
		case CURLE_PEER_FAILED_VERIFICATION:
		case CURLE_SSL_CERTPROBLEM:
		case CURLE_SSL_CIPHER:
		case CURLE_SSL_CACERT_BADFILE:
		case CURLE_SSL_ISSUER_ERROR:
		case CURLE_SSL_INVALIDCERTSTATUS:
		case CURLE_SSL_CLIENTCERT:
			return BMW_TRANSPORT_TLS;
		case CURLE_GOT_NOTHING:
		case CURLE_SEND_ERROR:
		case CURLE_PARTIAL_FILE:
			return BMW_TRANSPORT_RESET;
		case CURLE_RECV_ERROR: /* also what libcurl says of 300 KB of headers, */
			return has_too_many_headers(transfer->easy) ? BMW_TRANSPORT_TOO_LARGE
														: BMW_TRANSPORT_RESET;
		case CURLE_OUT_OF_MEMORY: /* and of a single long one; */
#if LIBCURL_VERSION_NUM >= 0x080600
		case CURLE_TOO_LARGE: /* both have a code of their own now */
#endif
			return BMW_TRANSPORT_TOO_LARGE;
		default:
			return BMW_TRANSPORT_PROTOCOL;
	}
}

/* Did it get beyond the look-up of the host's name? */
static bool
has_name(CURL *easy)
{
	curl_off_t name_us = 0;

	curl_easy_getinfo(easy, CURLINFO_NAMELOOKUP_TIME_T, &name_us);
	return name_us > 0;
}

static bool
has_too_many_headers(CURL *easy)
{
	long size = 0;

	curl_easy_getinfo(easy, CURLINFO_HEADER_SIZE, &size);
	return size > HEADERS_MAX;
}

static int64_t
retry_after_us(CURL *easy)
{
	struct curl_header *header;

	if (curl_easy_header(easy, "Retry-After", 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
		return BMW_RETRY_AFTER_NONE;
	return bmw_retry_after_parse(header->value, time(NULL));
}

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *unused)
{
	BmwHttp *http = context;
	uint8_t events = what == CURL_POLL_IN	   ? EPOLLIN
					 : what == CURL_POLL_OUT   ? EPOLLOUT
					 : what == CURL_POLL_INOUT ? (EPOLLIN | EPOLLOUT)
											   : 0;

	(void) easy;
	(void) unused;
	return bmw_sockets_want(&http->sockets, fd, events) ? 0 : -1;
}

static curl_socket_t
on_open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
	Transfer *transfer = context;
	const BmwHttpConfig *config = &transfer->http->config;
	int fd;

	(void) purpose;
	/* one denied address in an answer denies the rest of it */
	if (transfer->is_blocked || bmw_address_check(config->policy, &address->addr) != BMW_OK)
	{
		transfer->is_blocked = true;
		return CURL_SOCKET_BAD;
	}
	if (config->may_open_socket != NULL && !config->may_open_socket())
	{
		transfer->is_local_fault = true;
		return CURL_SOCKET_BAD;
	}
	fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	if (fd >= 0 && bmw_sockets_opened(&transfer->http->sockets, fd))
		return fd;
	/* anything else is about the address: IPv6 on a host without it, for example */
	transfer->is_local_fault = fd >= 0 || is_short_of_something(errno);
	if (fd >= 0)
		close(fd);
	if (config->socket_closed != NULL)
		config->socket_closed();
	return CURL_SOCKET_BAD;
}

static bool
is_short_of_something(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static int
on_close_socket(void *context, curl_socket_t fd)
{
	BmwHttp *http = context;

	bmw_sockets_closing(&http->sockets, fd);
	if (http->config.socket_closed != NULL)
		http->config.socket_closed();
	return close(fd);
}

/* Runs before every request, also on a connection that is used again. */
static int
on_before_request(void *context, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
	Transfer *transfer = context;
	union
	{
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address = {0};

	(void) local_ip;
	(void) local_port;
	if (inet_pton(AF_INET, remote_ip, &address.v4.sin_addr) == 1)
	{
		address.v4.sin_family = AF_INET;
		address.v4.sin_port = htons((uint16_t) remote_port);
	}
	else if (inet_pton(AF_INET6, remote_ip, &address.v6.sin6_addr) == 1)
	{
		address.v6.sin6_family = AF_INET6;
		address.v6.sin6_port = htons((uint16_t) remote_port);
	}
	if (!transfer->is_blocked &&
		bmw_address_check(transfer->http->config.policy, &address.any) == BMW_OK)
	{
		transfer->sends++;
		return CURL_PREREQFUNC_OK;
	}
	transfer->is_blocked = true;
	return CURL_PREREQFUNC_ABORT;
}

static size_t
on_response(char *bytes, size_t size, size_t count, void *context)
{
	Transfer *transfer = context;
	size_t len = size * count;
	size_t room = BMW_HTTP_RESPONSE_KEEP - transfer->kept;
	size_t keep = len < room ? len : room;

	memcpy(transfer->response + transfer->kept, bytes, keep);
	transfer->kept += keep;
	transfer->received += len;
	if (transfer->received <= BMW_HTTP_RESPONSE_MAX)
		return len;
	transfer->is_too_large = true;
	return 0;
}

static void
block_signals(sigset_t *saved)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, saved);
}

static void
restore_signals(const sigset_t *saved)
{
	pthread_sigmask(SIG_SETMASK, saved, NULL);
}
