/*
 * core/http_result.c - how a request ended, in the words of core/outcome.h.
 */
#include "core/http_internal.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "core/mask.h"
#include "core/retry_after.h"

#define HEADERS_MAX (300L * 1024) /* libcurl's own ceiling for all headers of a response */

static bool is_shown(const char *line);
static void fill_times(BmwHttpTimes *times, const BmwTransfer *transfer);
static int64_t time_us(const BmwTransfer *transfer, CURLINFO info);
static bool has_connected(CURL *easy);
static int status_of(const BmwTransfer *transfer);
static bool has_two_lengths(CURL *easy);
static BmwTransport transport_of(const BmwTransfer *transfer);
static bool was_short_of_something(const BmwTransfer *transfer);
static bool has_name(const BmwTransfer *transfer);
static bool has_too_many_headers(CURL *easy);
static int64_t retry_after_us(CURL *easy);

void
bmw_http_result_fill(BmwHttpResult *result, BmwTransfer *transfer)
{
	result->tag = transfer->tag;
	result->transport = transport_of(transfer);
	result->is_source_fault = transfer->is_source_fault;
	result->http_status = result->transport == BMW_TRANSPORT_PROXY ? 0 : status_of(transfer);
	result->retry_after_us = retry_after_us(transfer->easy);
	result->resent = transfer->sends > 1 ? transfer->sends - 1 : 0;
	fill_times(&result->times, transfer);
	result->error[0] = '\0';
	if (result->transport == BMW_TRANSPORT_PROXY)
		bmw_http_proxy_describe(transfer, result->error, sizeof(result->error));
	else if (transfer->code != CURLE_OK)
		snprintf(result->error, sizeof(result->error), "%s",
				 transfer->error[0] != '\0' ? transfer->error : curl_easy_strerror(transfer->code));
	else if (result->transport == BMW_TRANSPORT_PROTOCOL)
		snprintf(result->error, sizeof(result->error), "the answer has %s",
				 result->http_status != 0 ? "two lengths" : "no valid status");
	transfer->response[transfer->kept] = '\0';
	result->response = transfer->response;
	result->response_len = transfer->kept;
}

void
bmw_http_mask(BmwHttp *http)
{
	BmwTransfer *transfer = http->handed_out;

	for (const struct curl_slist *line = transfer->headers; line != NULL; line = line->next)
		if (!is_shown(line->data))
			bmw_mask_value(transfer->response, transfer->kept, strstr(line->data, ": ") + 2);
	bmw_mask_secrets(transfer->response, transfer->kept);
}

/* Those of ours without a signature, and those without a value. */
static bool
is_shown(const char *line)
{
	static const char *const names[] = {
		"Expect:", "content-type:", "webhook-id:", "webhook-timestamp:", "bm-webhook-attempt:"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strncasecmp(line, names[i], strlen(names[i])) == 0)
			return true;
	return strstr(line, ": ") == NULL;
}

static void
fill_times(BmwHttpTimes *times, const BmwTransfer *transfer)
{
	const bool is_new = transfer->code != CURLE_OK || has_connected(transfer->easy);

	times->name_us = is_new ? time_us(transfer, CURLINFO_NAMELOOKUP_TIME_T) : 0;
	times->connect_us = is_new ? time_us(transfer, CURLINFO_CONNECT_TIME_T) : 0;
	times->tls_us = is_new ? time_us(transfer, CURLINFO_APPCONNECT_TIME_T) : 0;
	times->first_byte_us = time_us(transfer, CURLINFO_STARTTRANSFER_TIME_T);
	times->total_us = time_us(transfer, CURLINFO_TOTAL_TIME_T);
}

/* libcurl counts from the beginning of the last stage. */
static int64_t
time_us(const BmwTransfer *transfer, CURLINFO info)
{
	curl_off_t value = 0;

	curl_easy_getinfo(transfer->easy, info, &value);
	return value > 0 && transfer->stage == BMW_STAGE_PROXY ? value + transfer->name_us : value;
}

/* Else it used a connection that was open, for which libcurl reports a few microseconds. */
static bool
has_connected(CURL *easy)
{
	long connections = 0;

	curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &connections);
	return connections > 0;
}

/* 0: none. For libcurl the status of "HTTP/22221.1" is 2221. */
static int
status_of(const BmwTransfer *transfer)
{
	long status = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	return status >= 0 && status <= 999 ? (int) status : 0;
}

/* Which contradict each other: where the answer ends is not known (RFC 9112, 6.3). libcurl goes by the last. */
static bool
has_two_lengths(CURL *easy)
{
	struct curl_header *header;
	const char *length = NULL;

	for (size_t i = 0;
		 curl_easy_header(easy, "Content-Length", i, CURLH_HEADER, -1, &header) == CURLHE_OK; i++)
	{
		if (length != NULL && strcmp(header->value, length) != 0)
			return true;
		length = header->value;
	}
	return false;
}

static BmwTransport
transport_of(const BmwTransfer *transfer)
{
	if (transfer->is_aborted)
		return BMW_TRANSPORT_ABORTED;
	if (transfer->is_blocked)
		return BMW_TRANSPORT_BLOCKED;
	/* of two addresses, the other may have been reached, or found to be dead */
	if (transfer->is_crowded &&
		(transfer->code == CURLE_COULDNT_CONNECT || transfer->code == CURLE_ABORTED_BY_CALLBACK))
		return BMW_TRANSPORT_CROWDED;
	/* the same */
	if (transfer->is_local_fault && transfer->code == CURLE_COULDNT_CONNECT)
		return BMW_TRANSPORT_LOCAL;
	if (was_short_of_something(transfer))
		return BMW_TRANSPORT_LOCAL;
	if (bmw_http_proxy_is_at_fault(transfer))
		return BMW_TRANSPORT_PROXY;
	if (transfer->is_too_large)
		return BMW_TRANSPORT_TOO_LARGE;
	switch (transfer->code)
	{
		case CURLE_OK:
			return status_of(transfer) != 0 && !has_two_lengths(transfer->easy)
					   ? BMW_TRANSPORT_OK
					   : BMW_TRANSPORT_PROTOCOL;
		case CURLE_COULDNT_RESOLVE_HOST:
			return BMW_TRANSPORT_NAME;
		case CURLE_COULDNT_CONNECT:
		case CURLE_INTERFACE_FAILED:
			return BMW_TRANSPORT_CONNECT;
		case CURLE_OPERATION_TIMEDOUT:
			return has_name(transfer) ? BMW_TRANSPORT_TIMEOUT : BMW_TRANSPORT_NAME;
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
		case CURLE_FILESIZE_EXCEEDED:
		case CURLE_OUT_OF_MEMORY: /* and of a single long one; */
#if LIBCURL_VERSION_NUM >= 0x080600
		case CURLE_TOO_LARGE: /* both have a code of their own now */
#endif
			return BMW_TRANSPORT_TOO_LARGE;
		default:
			return BMW_TRANSPORT_PROTOCOL;
	}
}

/* Names, and certificates of authorities, are read from sockets and files: of those libcurl only says that they failed. */
static bool
was_short_of_something(const BmwTransfer *transfer)
{
	switch (transfer->code)
	{
		case CURLE_COULDNT_RESOLVE_HOST:
		case CURLE_COULDNT_RESOLVE_PROXY:
		case CURLE_SSL_CACERT_BADFILE:
			return !bmw_sockets_have_room();
		case CURLE_OPERATION_TIMEDOUT: /* that a name has been resolved may not have been heard */
			return transfer->http->sockets.is_full && !has_name(transfer);
		default:
			return false;
	}
}

/* Did it get beyond the look-up of the host's name? */
static bool
has_name(const BmwTransfer *transfer)
{
	curl_off_t name_us = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_NAMELOOKUP_TIME_T, &name_us);
	return transfer->stage == BMW_STAGE_PROXY || name_us > 0;
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
