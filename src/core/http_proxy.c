/*
 * core/http_proxy.c - requests through a proxy, in two stages of the same transfer.
 *
 * libcurl would only resolve the name of the proxy. So first it resolves that of the receiver, as
 * if it were to connect to it; each address is judged by http_connection.c, which opens no socket.
 * Then the proxy is asked for a tunnel to one of these addresses. The name stays what the
 * certificate is verified for.
 */
#include "core/http_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define CONNECT_TO_SIZE (INET6_ADDRSTRLEN + sizeof("::[]:65535"))

static bool set_way(BmwTransfer *transfer);
static struct curl_slist *make_connect_to(const struct sockaddr_storage *target);
static bool leave_time(BmwTransfer *transfer);
static void fail(BmwTransfer *transfer);

bool
bmw_http_proxy_set(BmwTransfer *transfer, const BmwHttpRequest *request)
{
	const BmwProxy *proxy = &transfer->http->config.egress->proxy;

	transfer->stage =
		proxy->url[0] == '\0' || request->is_direct ? BMW_STAGE_DIRECT : BMW_STAGE_NAME;
	transfer->target.ss_family = AF_UNSPEC;
	transfer->timeout_ms = request->timeout_ms;
	transfer->name_us = 0;
	return set_way(transfer);
}

void
bmw_http_proxy_keep_target(BmwTransfer *transfer, const struct curl_sockaddr *address)
{
	const int known = transfer->target.ss_family;

	/* a proxy may well have no IPv6 */
	if (known == AF_INET || (known == AF_INET6 && address->family == AF_INET6))
		return;
	memcpy(&transfer->target, &address->addr,
		   address->family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
}

bool
bmw_http_proxy_goes_on(BmwTransfer *transfer)
{
	BmwHttpPool *pool = transfer->pool;

	if (transfer->stage != BMW_STAGE_NAME || transfer->is_blocked ||
		transfer->target.ss_family == AF_UNSPEC || !leave_time(transfer))
		return false;
	transfer->stage = BMW_STAGE_PROXY;
	transfer->error[0] = '\0';
	if (!set_way(transfer))
	{
		fail(transfer);
		return false;
	}
	bmw_http_pool_remove(transfer);
	if (bmw_http_pool_add(pool, transfer))
		return true;
	fail(transfer);
	return false;
}

bool
bmw_http_proxy_is_at_fault(const BmwTransfer *transfer)
{
	long status = 0;

	if (transfer->stage != BMW_STAGE_PROXY || transfer->code == CURLE_OK)
		return false;
	if (transfer->code == CURLE_COULDNT_RESOLVE_PROXY || transfer->code == CURLE_COULDNT_CONNECT ||
		transfer->code == CURLE_PROXY)
		return true;
	if (transfer->http->config.egress->proxy.is_socks || transfer->sends > 0 ||
		transfer->code == CURLE_OPERATION_TIMEDOUT)
		return false;
	/* with a status of success its answer may still have been cut short, or have had no end */
	curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_CONNECTCODE, &status);
	return status / 100 != 2 || transfer->code == CURLE_RECV_ERROR;
}

void
bmw_http_proxy_describe(const BmwTransfer *transfer, char *error, size_t size)
{
	long status = 0;
	long reply = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_CONNECTCODE, &status);
	curl_easy_getinfo(transfer->easy, CURLINFO_PROXY_ERROR, &reply);
	if (transfer->code == CURLE_COULDNT_RESOLVE_PROXY)
		snprintf(error, size, "the name of the proxy could not be resolved");
	else if (status != 0 && status / 100 != 2)
		snprintf(error, size, "the proxy answered CONNECT with HTTP status %ld", status);
	else if (transfer->code == CURLE_COULDNT_CONNECT)
		snprintf(error, size, "the proxy could not be reached");
	else if (reply == CURLPX_USER_REJECTED || reply == CURLPX_NO_AUTH)
		snprintf(error, size, "the proxy did not accept our credentials");
	else
		snprintf(error, size, "the proxy made no connection (%s)",
				 curl_easy_strerror(transfer->code));
}

/* Nothing of the environment, in any stage: neither option is ever left unset. */
static bool
set_way(BmwTransfer *transfer)
{
	const BmwProxy *proxy = &transfer->http->config.egress->proxy;
	const bool is_proxied = transfer->stage == BMW_STAGE_PROXY;
	CURL *easy = transfer->easy;

	curl_slist_free_all(transfer->connect_to);
	transfer->connect_to = is_proxied ? make_connect_to(&transfer->target) : NULL;
	if (is_proxied && transfer->connect_to == NULL)
		return false;
	/* a connection that is open would be used without asking which address to open */
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, transfer->stage == BMW_STAGE_NAME ? 1L : 0L);
	curl_easy_setopt(easy, CURLOPT_CONNECT_TO, transfer->connect_to);
	return curl_easy_setopt(easy, CURLOPT_NOPROXY, is_proxied ? "" : "*") == CURLE_OK &&
		   curl_easy_setopt(easy, CURLOPT_PROXY, is_proxied ? proxy->url : "") == CURLE_OK;
}

/* libcurl's HOST:PORT:CONNECT-TO-HOST:CONNECT-TO-PORT, for any host and port. */
static struct curl_slist *
make_connect_to(const struct sockaddr_storage *target)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *) target;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *) target;
	const bool is_v6 = target->ss_family == AF_INET6;
	char address[INET6_ADDRSTRLEN];
	char text[CONNECT_TO_SIZE];

	inet_ntop(target->ss_family, is_v6 ? (const void *) &v6->sin6_addr : &v4->sin_addr, address,
			  sizeof(address));
	snprintf(text, sizeof(text), is_v6 ? "::[%s]:%d" : "::%s:%d", address,
			 ntohs(is_v6 ? v6->sin6_port : v4->sin_port));
	return curl_slist_append(NULL, text);
}

/* Both stages together may take as long as one request. */
static bool
leave_time(BmwTransfer *transfer)
{
	curl_off_t spent_us = 0;
	long left_ms;

	curl_easy_getinfo(transfer->easy, CURLINFO_TOTAL_TIME_T, &spent_us);
	transfer->name_us = spent_us;
	left_ms = transfer->timeout_ms - (long) (spent_us / 1000);
	if (left_ms > 0)
		return curl_easy_setopt(transfer->easy, CURLOPT_TIMEOUT_MS, left_ms) == CURLE_OK;
	transfer->code = CURLE_OPERATION_TIMEDOUT;
	return false;
}

static void
fail(BmwTransfer *transfer)
{
	transfer->is_local_fault = true;
	transfer->code = CURLE_COULDNT_CONNECT;
}
