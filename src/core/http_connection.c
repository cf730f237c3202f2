/*
 * core/http_connection.c - which connections are opened, and which may be used.
 *
 * The address policy is asked twice: with the socket address about to be
 * connected, and, for connections that are used again, before the request is
 * sent.
 */
#include "core/http_internal.h"

#include <errno.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>

static bool is_short_of_something(int error);

curl_socket_t
bmw_http_connection_open(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
	BmwTransfer *transfer = context;
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
	if (fd >= 0 && bmw_sockets_opened(&transfer->http->sockets, fd, transfer->pool))
	{
		transfer->pool->open++;
		transfer->http->open++;
		return fd;
	}
	/* anything else is about the address: IPv6 on a host without it, for example */
	transfer->is_local_fault = fd >= 0 || is_short_of_something(errno);
	if (fd >= 0)
		close(fd);
	if (config->socket_closed != NULL)
		config->socket_closed();
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

	(void) easy;
	(void) unused;
	return bmw_sockets_want(&pool->http->sockets, fd, events, pool) ? 0 : -1;
}

int
bmw_http_connection_check(void *context, char *remote_ip, char *local_ip, int remote_port,
						  int local_port)
{
	BmwTransfer *transfer = context;
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

static bool
is_short_of_something(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}
