/*
 * core/http_answer.c - the answer of a receiver, as libcurl hands it over: its beginning is kept.
 *
 * Before 8.1.1 libcurl keeps a pointer to the last header of the handle's former answer, which is freed: an
 * answer whose head begins with a folded line would be written there. With these we are given the head as
 * well (CURLOPT_HEADER), line by line and before libcurl looks at it, and break such an answer off.
 *
 * What comes between the chunks of a body and after them nobody hands over: the connection is asked how much
 * it was. libcurl reads until there is no more, and meanwhile nobody else is served.
 */
#include "core/http_internal.h"

#include <linux/tcp.h>
#include <string.h>

#define LIBCURL_WITHOUT_STALE_HEADERS 0x080101u
#define ANSWER_MAX (2 * BMW_HTTP_RESPONSE_MAX) /* with all that is around its body */
#define READS 32							   /* after so many it is asked */

static size_t on_body(char *bytes, size_t size, size_t count, void *context);
static size_t on_head_and_body(char *bytes, size_t size, size_t count, void *context);
static int on_progress(void *context, curl_off_t total_down, curl_off_t down, curl_off_t total_up,
					   curl_off_t up);
static uint64_t received(const BmwTransfer *transfer);
static bool read_head(BmwTransfer *transfer, const char *bytes, size_t len);
static BmwHead after_head(const BmwTransfer *transfer);

bool
bmw_http_answer_shows_head(void)
{
	return curl_version_info(CURLVERSION_NOW)->version_num < LIBCURL_WITHOUT_STALE_HEADERS;
}

void
bmw_http_answer_set(BmwTransfer *transfer)
{
	const bool shows_head = transfer->http->shows_head;

	curl_easy_setopt(transfer->easy, CURLOPT_HEADER, (long) shows_head);
	curl_easy_setopt(transfer->easy, CURLOPT_WRITEFUNCTION,
					 shows_head ? on_head_and_body : on_body);
	curl_easy_setopt(transfer->easy, CURLOPT_WRITEDATA, transfer);
	curl_easy_setopt(transfer->easy, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(transfer->easy, CURLOPT_XFERINFODATA, transfer);
	curl_easy_setopt(transfer->easy, CURLOPT_NOPROGRESS, 0L);
}

static size_t
on_body(char *bytes, size_t size, size_t count, void *context)
{
	BmwTransfer *transfer = context;
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

static size_t
on_head_and_body(char *bytes, size_t size, size_t count, void *context)
{
	BmwTransfer *transfer = context;

	if (transfer->head == BMW_HEAD_READ)
		return on_body(bytes, size, count, context);
	return read_head(transfer, bytes, size * count) ? size * count : 0;
}

/* libcurl calls this whenever it has read something. */
static int
on_progress(void *context, curl_off_t total_down, curl_off_t down, curl_off_t total_up,
			curl_off_t up)
{
	BmwTransfer *transfer = context;

	(void) total_down;
	(void) down;
	(void) total_up;
	(void) up;
	if (++transfer->reads % READS != 0)
		return 0;
	if (transfer->reads == READS)
		transfer->received_before = received(transfer);
	transfer->is_too_large |= received(transfer) > transfer->received_before + ANSWER_MAX;
	return transfer->is_too_large;
}

/* By its connection, since that was opened; 0: it has none. */
static uint64_t
received(const BmwTransfer *transfer)
{
	struct tcp_info info = {0};
	socklen_t size = sizeof(info);

	if (transfer->fd >= 0)
		getsockopt(transfer->fd, IPPROTO_TCP, TCP_INFO, &info, &size);
	return info.tcpi_bytes_received;
}

/* A line, or a piece of one of more than 16 KB. False: a folded line that follows none. */
static bool
read_head(BmwTransfer *transfer, const char *bytes, size_t len)
{
	const bool continues = transfer->head_is_in_line;

	transfer->head_is_in_line = bytes[len - 1] != '\n';
	if (continues)
		return true;
	if (transfer->head == BMW_HEAD_FIRST_LINE && (bytes[0] == ' ' || bytes[0] == '\t'))
		return false;
	if (bytes[0] == '\n' || bytes[0] == '\r') /* for libcurl the head ends with any such line */
		transfer->head = after_head(transfer);
	else
		transfer->head = transfer->head == BMW_HEAD_STATUS ? BMW_HEAD_FIRST_LINE : BMW_HEAD_LINES;
	return true;
}

/* Interim answers (100 to 199 without 101, which libcurl takes for the last) are followed by another. */
static BmwHead
after_head(const BmwTransfer *transfer)
{
	long status = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	return status / 100 == 1 && status != 101 ? BMW_HEAD_STATUS : BMW_HEAD_READ;
}
