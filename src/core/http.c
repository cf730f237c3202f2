/*
 * core/http.c - the HTTP engine: many POSTs at once, one descriptor to wait for.
 *
 * How libcurl is driven; a request's way through it: http_transfer.c makes it
 * ready, http_pool.c divides them, http_proxy.c leads it through a proxy,
 * http_connection.c watches over its connection,
 * http_result.c says how it ended.
 */
#include "core/http.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "core/http_internal.h"

#define MAX_EVENTS 256
#define FULL_MS 100 /* until the kernel is told again what it had no room for */

static void act(BmwHttp *http, const struct epoll_event *event);
static void collect_finished(BmwHttpPool *pool);
static void finish(BmwTransfer *transfer);
static void block_signals(sigset_t *saved);
static void restore_signals(const sigset_t *saved);

BmwHttp *
bmw_http_create(const BmwHttpConfig *config)
{
	static const BmwEgress directly;
	BmwHttp *http = calloc(1, sizeof(*http));
	sigset_t saved;
	bool is_up;

	if (http == NULL)
		return NULL;
	http->config = *config;
	if (config->egress == NULL)
		http->config.egress = &directly;
	http->sockets.epoll_fd = -1;
	(void) unsetenv("SSLKEYLOGFILE");
	block_signals(&saved);
	is_up = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK && bmw_sockets_init(&http->sockets) &&
			bmw_http_pools_make(http);
	http->shows_head = bmw_http_answer_shows_head();
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
		if (transfer->pool != NULL)
			bmw_http_pool_remove(transfer);
		curl_easy_cleanup(transfer->easy);
		curl_slist_free_all(transfer->headers);
		curl_slist_free_all(transfer->connect_to);
		free(transfer);
	}
	bmw_http_pools_free(http);
	bmw_sockets_free(&http->sockets);
	curl_global_cleanup();
	restore_signals(&saved);
	free(http);
}

BmwStatus
bmw_http_start(BmwHttp *http, const BmwHttpRequest *request)
{
	BmwHttpPool *pool = bmw_http_pool_of(http, request->url);
	BmwTransfer *transfer = bmw_http_transfer_take(http);

	if (transfer == NULL)
		return BMW_ERROR_MEMORY;
	if (pool == NULL || bmw_http_transfer_set(transfer, request) != BMW_OK ||
		!bmw_http_pool_add(pool, transfer))
	{
		bmw_http_transfer_put_back(http, transfer);
		return BMW_ERROR_MEMORY;
	}
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
	int wait_ms;

	bmw_sockets_apply(&http->sockets);
	wait_ms = http->sockets.is_full ? FULL_MS : -1;
	for (int i = 0; i < http->pools_length; i++)
	{
		const int pool_ms = bmw_http_pool_prepare_wait(&http->pools[i]);

		if (wait_ms < 0 || (pool_ms >= 0 && pool_ms < wait_ms))
			wait_ms = pool_ms;
	}
	return wait_ms;
}

void
bmw_http_drive(BmwHttp *http)
{
	struct epoll_event events[MAX_EVENTS];
	sigset_t saved;
	const int ready = bmw_sockets_ready(&http->sockets, events, MAX_EVENTS);
	int running;

	block_signals(&saved);
	for (int i = 0; i < ready; i++)
		act(http, &events[i]);
	for (BmwHttpPool *pool = http->pools; pool < http->pools + http->pools_length; pool++)
	{
		if (pool->running == 0)
			continue;
		curl_multi_socket_action(pool->multi, CURL_SOCKET_TIMEOUT, 0, &running);
		collect_finished(pool);
	}
	restore_signals(&saved);
}

void
bmw_http_abort(BmwHttp *http, bool (*is_wanted)(const void *tag, void *context), void *context)
{
	sigset_t saved;

	block_signals(&saved);
	for (BmwTransfer *transfer = http->made; transfer != NULL; transfer = transfer->next_made)
	{
		if (transfer->pool == NULL || !is_wanted(transfer->tag, context))
			continue;
		transfer->is_aborted = true;
		transfer->code = CURLE_ABORTED_BY_CALLBACK;
		finish(transfer);
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

static void
act(BmwHttp *http, const struct epoll_event *event)
{
	const int fd = event->data.fd;
	const int flags = ((event->events & (EPOLLIN | EPOLLHUP)) ? CURL_CSELECT_IN : 0) |
					  ((event->events & EPOLLOUT) ? CURL_CSELECT_OUT : 0) |
					  ((event->events & EPOLLERR) ? CURL_CSELECT_ERR : 0);
	BmwHttpPool *pool = bmw_sockets_owner(&http->sockets, fd);
	int running;

	curl_multi_socket_action(pool->multi, fd, flags, &running);
}

static void
collect_finished(BmwHttpPool *pool)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(pool->multi, &left)) != NULL)
	{
		BmwTransfer *transfer;
		CURLcode code = message->data.result;

		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
		transfer->code = code;
		if (!bmw_http_proxy_goes_on(transfer))
			finish(transfer);
	}
}

static void
finish(BmwTransfer *transfer)
{
	BmwHttp *http = transfer->http;

	if (transfer->pool != NULL)
		bmw_http_pool_remove(transfer);
	transfer->next = NULL;
	if (http->finished_tail != NULL)
		http->finished_tail->next = transfer;
	else
		http->finished_head = transfer;
	http->finished_tail = transfer;
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
