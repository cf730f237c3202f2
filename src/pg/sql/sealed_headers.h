/*
 * pg/sql/sealed_headers.h - the headers of an endpoint, encrypted.
 *
 * What endpoint.credentials is: the seal of names and values, each on a line of its own,
 * which none of them can have in it; in UTF-8. Its context is the endpoint.
 */
#ifndef BMW_PG_SQL_SEALED_HEADERS_H
#define BMW_PG_SQL_SEALED_HEADERS_H

#include "postgres.h"

#include "core/http.h"

typedef struct BmwSealedHeaders
{
	BmwHttpHeader *items; /* palloc'd, with their texts */
	int length;
} BmwSealedHeaders;

/* With the first key, which must be there. Palloc'd. */
extern char *bmw_sealed_headers_close(int64 endpoint_id, const BmwSealedHeaders *headers);
/* False: it cannot be decrypted. */
extern bool bmw_sealed_headers_open(int64 endpoint_id, const char *sealed, const char *key_id,
									BmwSealedHeaders *out);

#endif
