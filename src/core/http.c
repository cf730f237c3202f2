/*
 * core/http.c - the HTTP engine: many POSTs at once, one descriptor to wait for.
 *
 * How libcurl is driven; a request's way through it: http_transfer.c makes it
 * ready, http_connection.c watches over its connection, http_result.c says how
 * it ended.
 */
#include "core/http.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "core/http_internal.h"

#define MAX_EVENTS 256

static bool set_up_multi(BmwHttp *http);
static void limit_idle(BmwHttp *http);
static void collect_finished(BmwHttp *http);
static void finish(BmwHttp *http, BmwTransfer *transfer);
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *unused);
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
	for (BmwTransfer *transfer = http->made, *next; transfer != NULL; transfer = next)
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
	BmwTransfer *transfer = bmw_http_transfer_take(http);

	if (transfer == NULL)
		return BMW_ERROR_MEMORY;
	if (bmw_http_transfer_set(transfer, request) != BMW_OK ||
		curl_multi_add_handle(http->multi, transfer->easy) != CURLM_OK)
	{
		bmw_http_transfer_put_back(http, transfer);
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
	limit_idle(http);
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
	for (BmwTransfer *transfer = http->made; transfer != NULL; transfer = transfer->next_made)
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
	BmwTransfer *transfer = http->finished_head;

	if (http->handed_out != NULL)
		bmw_http_transfer_put_back(http, http->handed_out);
	http->handed_out = transfer;
	if (transfer == NULL)
		return NULL;
	http->finished_head = transfer->next;
	if (http->finished_head == NULL)
		http->finished_tail = NULL;
	http->in_flight--;
	bmw_http_result_fill(&http->result, transfer);
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
	limit_idle(http);
	/* beyond it, an idle connection makes room for a new one */
	curl_multi_setopt(http->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
					  (long) http->config.max_connections);
	return true;
}

/* libcurl counts those in use as well, and closes an idle one when another becomes idle. */
static void
limit_idle(BmwHttp *http)
{
	const int kept = http->in_flight + http->config.max_idle;

	curl_multi_setopt(
		http->multi, CURLMOPT_MAXCONNECTS,
		(long) (kept < http->config.max_connections ? kept : http->config.max_connections));
}

static void
collect_finished(BmwHttp *http)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(http->multi, &left)) != NULL)
	{
		BmwTransfer *transfer;
		CURLcode code = message->data.result;

		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
		transfer->code = code;
		finish(http, transfer);
	}
}

static void
finish(BmwHttp *http, BmwTransfer *transfer)
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
