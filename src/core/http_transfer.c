/*
 * core/http_transfer.c - libcurl's easy handles: what is asked of each request.
 *
 * They are made once and used again; what never differs between requests is set
 * when the handle is made (set_fixed_options), the rest in bmw_http_transfer_set.
 * Needs libcurl 7.87 (CURLOPT_QUICK_EXIT).
 */
#include "core/http_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/header.h"

#define CONNECTION_LIFETIME_S 3600L

static BmwTransfer *make_transfer(BmwHttp *http);
static void set_fixed_options(BmwTransfer *transfer);
static void set_proxy_options(CURL *easy, const BmwProxy *proxy);
static void set_credentials(CURL *easy, const BmwProxy *proxy);
static bool set_tls(CURL *easy, const BmwHttpRequest *request);
static bool set_blob(CURL *easy, CURLoption option, const char *text);
static struct curl_slist *make_headers(const BmwHttpRequest *request);
static bool append_header(struct curl_slist **list, const char *line);

BmwTransfer *
bmw_http_transfer_take(BmwHttp *http)
{
	BmwTransfer *transfer = http->pool;

	if (transfer == NULL)
		return make_transfer(http);
	http->pool = transfer->next;
	return transfer;
}

void
bmw_http_transfer_put_back(BmwHttp *http, BmwTransfer *transfer)
{
	curl_slist_free_all(transfer->headers);
	transfer->headers = NULL;
	transfer->next = http->pool;
	http->pool = transfer;
}

BmwStatus
bmw_http_transfer_set(BmwTransfer *transfer, const BmwHttpRequest *request)
{
	CURL *easy = transfer->easy;

	transfer->code = CURLE_OK;
	transfer->is_blocked = transfer->is_local_fault = transfer->is_too_large = false;
	transfer->is_aborted = transfer->is_source_fault = transfer->is_crowded = false;
	transfer->sends = 0;
	transfer->fd = -1;
	transfer->received = transfer->kept = transfer->reads = 0;
	transfer->head = BMW_HEAD_STATUS;
	transfer->head_is_in_line = false;
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
	return set_tls(easy, request) && bmw_http_proxy_set(transfer, request) ? BMW_OK
																		   : BMW_ERROR_MEMORY;
}

/* Connections are used again by requests with the same alone: libcurl compares them. */
static bool
set_tls(CURL *easy, const BmwHttpRequest *request)
{
	return set_blob(easy, CURLOPT_CAINFO_BLOB, request->authorities) &&
		   set_blob(easy, CURLOPT_SSLCERT_BLOB, request->client) &&
		   set_blob(easy, CURLOPT_SSLKEY_BLOB, request->client);
}

static bool
set_blob(CURL *easy, CURLoption option, const char *text)
{
	struct curl_blob blob = {.data = (void *) text, .flags = CURL_BLOB_COPY};

	if (text == NULL)
		return curl_easy_setopt(easy, option, NULL) == CURLE_OK;
	blob.len = strlen(text);
	return curl_easy_setopt(easy, option, &blob) == CURLE_OK;
}

static BmwTransfer *
make_transfer(BmwHttp *http)
{
	BmwTransfer *transfer = calloc(1, sizeof(*transfer));

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

/* What guards us holds for every request: see the comment of each group. */
static void
set_fixed_options(BmwTransfer *transfer)
{
	CURL *easy = transfer->easy;
	const BmwHttpConfig *config = &transfer->http->config;

	/* the server's environment must not divert a request; the proxies of it: see http_proxy.c */
	curl_easy_setopt(easy, CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
	set_proxy_options(easy, &config->egress->proxy);

	/* libcurl ignores a length that is too large for a number, unless there is a limit */
	curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t) INT64_MAX);

	/* only what was registered, only where the policy lets it go */
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, bmw_http_connection_open);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, bmw_http_connection_close);
	curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, transfer->http);
	curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, bmw_http_connection_check);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);

	bmw_http_tls_set(easy);
	/* a directory of certificates costs 20 ms for each new connection */
	curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	if (config->ca_file != NULL && config->ca_file[0] != '\0')
		curl_easy_setopt(easy, CURLOPT_CAINFO, config->ca_file);

	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_MAXLIFETIME_CONN, CONNECTION_LIFETIME_S);
	curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, BMW_HTTP_IDLE_S);
	curl_easy_setopt(easy, CURLOPT_POST, 1L);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, config->user_agent);
	bmw_http_answer_set(transfer);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
}

/* A tunnel also for http: the receiver is then the address that was judged. */
static void
set_proxy_options(CURL *easy, const BmwProxy *proxy)
{
	curl_easy_setopt(easy, CURLOPT_HTTPPROXYTUNNEL, 1L);
	curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(easy, CURLOPT_HEADEROPT, (long) CURLHEADER_SEPARATE);
	curl_easy_setopt(easy, CURLOPT_PROXYAUTH, (long) CURLAUTH_BASIC);
	curl_easy_setopt(easy, CURLOPT_SOCKS5_AUTH, (long) CURLAUTH_BASIC);
	if (proxy->user[0] != '\0')
		set_credentials(easy, proxy);
}

/*
 * In one text, which every libcurl decodes: before 8.8 it also decoded them when they were set
 * apart, afterwards it does not.
 */
static void
set_credentials(CURL *easy, const BmwProxy *proxy)
{
	char *user = curl_easy_escape(easy, proxy->user, 0);
	char *password = curl_easy_escape(easy, proxy->password, 0);
	char both[2 * 3 * BMW_PROXY_WORD_SIZE];

	if (user != NULL && password != NULL)
	{
		snprintf(both, sizeof(both), "%s:%s", user, password);
		curl_easy_setopt(easy, CURLOPT_PROXYUSERPWD, both);
		explicit_bzero(both, sizeof(both));
	}
	curl_free(user);
	curl_free(password);
}

static struct curl_slist *
make_headers(const BmwHttpRequest *request)
{
	struct curl_slist *list = NULL;
	char line[BMW_HEADER_LINE_SIZE];

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
