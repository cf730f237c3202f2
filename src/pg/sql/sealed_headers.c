/*
 * pg/sql/sealed_headers.c - the headers of an endpoint, encrypted.
 */
#include "postgres.h"

#include "pg/sql/sealed_headers.h"

#include "lib/stringinfo.h"
#include "pg/sql/sealed.h"

static char *context_of(int64 endpoint_id);
static char *cut_line(char **rest);

char *
bmw_sealed_headers_close(int64 endpoint_id, const BmwSealedHeaders *headers)
{
	StringInfoData block;
	char *sealed;

	initStringInfo(&block);
	for (int i = 0; i < headers->length; i++)
		appendStringInfo(&block, "%s\n%s\n", headers->items[i].name, headers->items[i].value);
	sealed = bmw_sealed_close(block.data, context_of(endpoint_id));
	explicit_bzero(block.data, block.len);
	return sealed;
}

bool
bmw_sealed_headers_open(int64 endpoint_id, const char *sealed, const char *key_id,
						BmwSealedHeaders *out)
{
	char *block = key_id != NULL ? bmw_sealed_open(sealed, key_id, context_of(endpoint_id)) : NULL;
	int lines = 0;

	*out = (BmwSealedHeaders){0};
	if (block == NULL)
		return false;
	for (const char *c = block; *c != '\0'; c++)
		lines += *c == '\n';
	out->items = palloc(sizeof(*out->items) * Max(lines / 2, 1));
	for (char *rest = block; out->length < lines / 2; out->length++)
	{
		const char *name = cut_line(&rest);

		out->items[out->length] = (BmwHttpHeader){name, cut_line(&rest)};
	}
	return true;
}

static char *
context_of(int64 endpoint_id)
{
	return psprintf("bm_webhook headers " INT64_FORMAT, endpoint_id);
}

/* Ends it where its line ends, and goes on behind it. */
static char *
cut_line(char **rest)
{
	char *line = *rest;
	char *end = strchr(line, '\n');

	*end = '\0';
	*rest = end + 1;
	return line;
}
