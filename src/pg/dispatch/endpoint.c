/*
 * pg/dispatch/endpoint.c - what is needed to send to an endpoint.
 *
 * One allocation with all its texts behind it, because there may be a hundred
 * thousand of them: the struct, its headers, its secrets, then the texts.
 */
#include "postgres.h"

#include "pg/dispatch/endpoint.h"

#include <stdlib.h>

#include "core/header.h"

static size_t size_of(const BmwEndpointRow *row);
static size_t text_size(const char *text);
static const char *copy(const char *text, char **space);
static void set_scheme(BmwEndpoint *endpoint, const BmwEndpointRow *row, char **space);
static void add_secret(BmwEndpoint *endpoint, const BmwEndpointRow *row, int i);

BmwEndpoint *
bmw_endpoint_create(const BmwEndpointRow *row)
{
	BmwEndpoint *endpoint = malloc(size_of(row));
	char *space;

	if (endpoint == NULL)
		return NULL;
	*endpoint = (BmwEndpoint){.timeout_ms = row->timeout_ms,
							  .is_thin = row->is_thin,
							  .is_direct = row->is_direct,
							  .is_sealed = row->is_sealed,
							  .headers_length = row->headers_length,
							  .headers = (BmwHttpHeader *) (endpoint + 1)};
	endpoint->secrets = (BmwSecret *) (endpoint->headers + row->headers_length);
	space = (char *) (endpoint->secrets + row->secrets_length);
	endpoint->url = copy(row->url, &space);
	set_scheme(endpoint, row, &space);
	endpoint->authorities = copy(row->authorities, &space);
	endpoint->client = copy(row->client, &space);
	endpoint->owner = (BmwSubscription){.endpoint_id = row->id,
										.application = copy(row->application, &space),
										.since_us = row->since_us};
	for (int i = 0; i < row->headers_length; i++)
		endpoint->headers[i] = (BmwHttpHeader){.name = copy(row->header_names[i], &space),
											   .value = copy(row->header_values[i], &space)};
	for (int i = 0; i < row->secrets_length; i++)
		add_secret(endpoint, row, i);
	return endpoint;
}

static void
set_scheme(BmwEndpoint *endpoint, const BmwEndpointRow *row, char **space)
{
	if (row->scheme_header == NULL || row->scheme == NULL ||
		!bmw_scheme_find(row->scheme, &endpoint->scheme) ||
		!bmw_header_can_be_sent(row->scheme_header, ""))
		return;
	endpoint->scheme_header = copy(row->scheme_header, space);
}

/* Those that cannot be used are left out. */
static void
add_secret(BmwEndpoint *endpoint, const BmwEndpointRow *row, int i)
{
	BmwSecret *secret = &endpoint->secrets[endpoint->secrets_length];

	if (bmw_secret_parse(row->secrets[i], strlen(row->secrets[i]), secret) != BMW_OK)
		return;
	secret->expires_us = row->secrets_expire_us[i];
	endpoint->secrets_length++;
}

int64
bmw_endpoint_secret_until_us(const BmwEndpoint *endpoint)
{
	int64 until_us = 0;

	for (int i = 0; i < endpoint->secrets_length; i++)
	{
		if (endpoint->secrets[i].expires_us == 0)
			return 0;
		until_us = Max(until_us, endpoint->secrets[i].expires_us);
	}
	return until_us;
}

static size_t
size_of(const BmwEndpointRow *row)
{
	size_t size = sizeof(BmwEndpoint) + text_size(row->url) + text_size(row->application) +
				  text_size(row->scheme_header) + text_size(row->authorities) +
				  text_size(row->client);

	size += sizeof(BmwHttpHeader) * row->headers_length + sizeof(BmwSecret) * row->secrets_length;
	for (int i = 0; i < row->headers_length; i++)
		size += text_size(row->header_names[i]) + text_size(row->header_values[i]);
	return size;
}

static size_t
text_size(const char *text)
{
	return text != NULL ? strlen(text) + 1 : 0;
}

static const char *
copy(const char *text, char **space)
{
	const char *result = text != NULL ? *space : NULL;

	if (text != NULL)
		memcpy(*space, text, strlen(text) + 1);
	*space += text_size(text);
	return result;
}
