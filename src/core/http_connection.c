/*
 * core/http_connection.c - which connections are opened, and which may be used.
 *
 * The address policy is asked twice: with the socket address about to be
 * connected, and, for connections that are used again, before the request is
 * sent. So is whether one more may go to that address.
 */
#include "core/http_internal.h"

#include <errno.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

typedef union Address
{
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
} Address;

static curl_socket_t open_socket(BmwTransfer *transfer, const struct curl_sockaddr *address);
static bool bind_source(BmwTransfer *transfer, int fd, const struct sockaddr *source,
						socklen_t len);
static void receiver_of(const BmwTransfer *transfer, const char *remote_ip, int remote_port,
						Address *receiver);
static bool may_enter(BmwTransfer *transfer, const struct sockaddr *receiver);
static bool is_short_of_something(int error);

curl_socket_t
bmw_http_connection_open(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
	BmwTransfer *transfer = context;

	(void) purpose;
	/* that of the proxy, which is the administrator's */
	if (transfer->stage == BMW_STAGE_PROXY)
		return may_enter(transfer, (const struct sockaddr *) &transfer->target)
				   ? open_socket(transfer, address)
				   : CURL_SOCKET_BAD;
	/* one denied address in an answer denies the rest of it */
	if (transfer->is_blocked ||
		bmw_address_check(transfer->http->config.policy, &address->addr) != BMW_OK)
	{
		transfer->is_blocked = true;
		return CURL_SOCKET_BAD;
	}
	if (transfer->stage == BMW_STAGE_DIRECT)
		return may_enter(transfer, &address->addr) ? open_socket(transfer, address)
												   : CURL_SOCKET_BAD;
	bmw_http_proxy_keep_target(transfer, address);
	return CURL_SOCKET_BAD;
}

int
bmw_http_connection_close(void *context, curl_socket_t fd)
{
	BmwHttp *http = context;
	BmwHttpPool *pool = bmw_sockets_owner(&http->sockets, fd);

	pool->open--;
	http->open--;
	bmw_sockets_closing(&http->sockets, fd);
	if (http->config.socket_closed != NULL)
		http->config.socket_closed();
	return close(fd);
}

int
bmw_http_connection_want(CURL *easy, curl_socket_t fd, int what, void *context, void *unused)
{
	BmwHttpPool *pool = context;
	uint8_t events = what == CURL_POLL_IN	   ? EPOLLIN
					 : what == CURL_POLL_OUT   ? EPOLLOUT
					 : what == CURL_POLL_INOUT ? (EPOLLIN | EPOLLOUT)
											   : 0;
	BmwTransfer *transfer = NULL;

	(void) unused;
	curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
	if (transfer != NULL) /* else a handle of libcurl's own, by which it closes */
		transfer->fd = events != 0 ? fd : -1;
	return bmw_sockets_want(&pool->http->sockets, fd, events, pool) ? 0 : -1;
}

int
bmw_http_connection_check(void *context, char *remote_ip, char *local_ip, int remote_port,
						  int local_port)
{
	BmwTransfer *transfer = context;
	Address receiver;

	(void) local_ip;
	(void) local_port;
	receiver_of(transfer, remote_ip, remote_port, &receiver);
	if (transfer->is_blocked ||
		bmw_address_check(transfer->http->config.policy, &receiver.any) != BMW_OK)
	{
		transfer->is_blocked = true;
		return CURL_PREREQFUNC_ABORT;
	}
	if (!may_enter(transfer, &receiver.any))
		return CURL_PREREQFUNC_ABORT;
	transfer->sends++;
	return CURL_PREREQFUNC_OK;
}

/* Of a tunnel, its end is what counts, and not the proxy. */
static void
receiver_of(const BmwTransfer *transfer, const char *remote_ip, int remote_port, Address *receiver)
{
	*receiver = (Address){0};
	if (transfer->stage == BMW_STAGE_PROXY)
		memcpy(receiver, &transfer->target, sizeof(*receiver));
	else if (inet_pton(AF_INET, remote_ip, &receiver->v4.sin_addr) == 1)
	{
		receiver->v4.sin_family = AF_INET;
		receiver->v4.sin_port = htons((uint16_t) remote_port);
	}
	else if (inet_pton(AF_INET6, remote_ip, &receiver->v6.sin6_addr) == 1)
	{
		receiver->v6.sin6_family = AF_INET6;
		receiver->v6.sin6_port = htons((uint16_t) remote_port);
	}
}

static bool
may_enter(BmwTransfer *transfer, const struct sockaddr *receiver)
{
	const BmwHttpConfig *config = &transfer->http->config;

	if (config->may_enter == NULL || config->may_enter(config->context, transfer->tag, receiver))
		return true;
	transfer->is_crowded = true;
	return false;
}

static curl_socket_t
open_socket(BmwTransfer *transfer, const struct curl_sockaddr *address)
{
	const BmwHttpConfig *config = &transfer->http->config;
	socklen_t source_len;
	const struct sockaddr *source =
		bmw_sources_of(&config->egress->sources, address->family, &source_len);
	int fd;

	if (source == NULL)
		return CURL_SOCKET_BAD;
	if (config->may_open_socket != NULL && !config->may_open_socket())
	{
		transfer->is_local_fault = true;
		return CURL_SOCKET_BAD;
	}
	fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	if (fd >= 0 && bind_source(transfer, fd, source, source_len) &&
		bmw_sockets_opened(&transfer->http->sockets, fd, transfer->pool))
	{
		transfer->pool->open++;
		transfer->http->open++;
		return fd;
	}
	/* anything else is about the address: IPv6 on a host without it, for example */
	transfer->is_local_fault |= fd >= 0 || is_short_of_something(errno);
	if (fd >= 0)
		close(fd);
	if (config->socket_closed != NULL)
		config->socket_closed();
	return CURL_SOCKET_BAD;
}

/* libcurl can only be given one address, of one family. */
static bool
bind_source(BmwTransfer *transfer, int fd, const struct sockaddr *source, socklen_t len)
{
	const int is_on = 1;

	if (len == 0)
		return true;
	/* the port is chosen with the connection: so one address has 64,000 ports to each receiver */
	(void) setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &is_on, sizeof(is_on));
	if (bind(fd, source, len) == 0)
		return true;
	transfer->is_source_fault = true;
	return false;
}

static bool
is_short_of_something(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}
