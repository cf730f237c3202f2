/*
 * core/request.c - what a request for an event consists of, beside its body.
 */
#include "core/request.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SECOND_US INT64_C(1000000)

static bool sign(BmwSigner *signer, const BmwRequestSource *source, BmwRequestHeaders *out);
static bool has_expired(const BmwSecret *secret, int64_t now_us);
static void add(BmwRequestHeaders *headers, const char *name, const char *value);
static bool has(const BmwRequestHeaders *headers, const char *name);

bool
bmw_request_headers(BmwSigner *signer, const BmwRequestSource *source, BmwRequestHeaders *out)
{
	out->length = 0;
	if (!sign(signer, source, out))
		return false;
	snprintf(out->timestamp, sizeof(out->timestamp), "%" PRId64, source->now_us / SECOND_US);
	snprintf(out->attempt, sizeof(out->attempt), "%d", source->attempt);
	add(out, "content-type", "application/json");
	add(out, "webhook-id", source->event_id);
	add(out, "webhook-timestamp", out->timestamp);
	add(out, "webhook-signature", out->signatures);
	add(out, "bm-webhook-attempt", out->attempt);
	if (out->scheme_signature[0] != '\0')
		add(out, source->scheme_header, out->scheme_signature);
	for (int i = 0; i < source->headers_length; i++)
		add(out, source->headers[i].name, source->headers[i].value);
	return true;
}

void
bmw_request_add_libcurls(BmwRequestHeaders *headers, const char *url, const char *user_agent,
						 size_t body_len)
{
	const char *scheme = strstr(url, "://");
	const char *host = scheme != NULL ? scheme + 3 : url;

	snprintf(headers->host, sizeof(headers->host), "%.*s", (int) strcspn(host, "/?"), host);
	snprintf(headers->body_length, sizeof(headers->body_length), "%zu", body_len);
	add(headers, "host", headers->host);
	add(headers, "user-agent", user_agent);
	if (!has(headers, "accept"))
		add(headers, "accept", "*/*");
	add(headers, "content-length", headers->body_length);
}

/* One signature for each secret, newest first, separated by a space; false: not all, or none. */
static bool
sign(BmwSigner *signer, const BmwRequestSource *source, BmwRequestHeaders *out)
{
	const BmwMessage message = {.id = source->event_id,
								.timestamp_s = source->now_us / SECOND_US,
								.body = source->body.bytes,
								.body_len = source->body.length};
	const BmwSecret *secrets[BMW_MAX_SECRETS];
	char *end = out->signatures;
	int length = 0;

	*end = out->scheme_signature[0] = '\0';
	for (int i = 0; i < source->secrets_length && length < BMW_MAX_SECRETS; i++)
		if (!has_expired(&source->secrets[i], source->now_us))
			secrets[length++] = &source->secrets[i];
	for (int i = 0; i < length; i++)
	{
		if (i > 0)
			*end++ = ' ';
		if (bmw_sign(signer, secrets[i], &message, end) != BMW_OK)
			return false;
		end += strlen(end);
	}
	if (source->scheme != BMW_SCHEME_NONE &&
		bmw_scheme_sign(signer, source->scheme, secrets, length, &message, out->scheme_signature) !=
			BMW_OK)
		return false;
	return length > 0;
}

static bool
has_expired(const BmwSecret *secret, int64_t now_us)
{
	return secret->expires_us != 0 && secret->expires_us <= now_us;
}

static void
add(BmwRequestHeaders *headers, const char *name, const char *value)
{
	if (headers->length < BMW_REQUEST_MAX_HEADERS)
		headers->items[headers->length++] = (BmwHttpHeader){name, value};
}

static bool
has(const BmwRequestHeaders *headers, const char *name)
{
	for (int i = 0; i < headers->length; i++)
		if (strcasecmp(headers->items[i].name, name) == 0)
			return true;
	return false;
}
