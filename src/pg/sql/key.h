/*
 * pg/sql/key.h - signing keys as values of SQL.
 */
#ifndef BMW_PG_SQL_KEY_H
#define BMW_PG_SQL_KEY_H

#include "postgres.h"

#include "core/secret.h"
#include "pg/server/compat.h"

/* The kind of secret that does not sign: PEM of a certificate and its key. */
#define BMW_CLIENT_CERTIFICATE "client_certificate"

/* Has the row s of endpoint_secret not expired? */
#define BMW_SECRET_LASTS                                                                           \
	"coalesce(s.expires_at OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp(), true)"

/* A row of endpoint_secret. */
typedef struct BmwStoredKey
{
	int64 endpoint_id;
	int64 id;
	const char *kind;
	const char *secret;
	const char *key_id; /* NULL: it is in plain text */
} BmwStoredKey;

/* endpoint_secret.kind; false: there is no such kind. */
extern bool bmw_key_kind(const char *name, BmwSecretKind *kind);
/* 22023 without the text. Whoever is given it wipes it. */
extern BmwSecret bmw_key_parse(const text *value);
/* A new one. */
extern BmwSecret bmw_key_generate(BmwSecretKind kind);
/*
 * Of a row of endpoint_secret. False: it cannot be decrypted, or is none. Whoever is given it wipes it.
 */
extern bool bmw_key_open(const BmwStoredKey *stored, BmwSecret *key);
/* 55000: it cannot be decrypted. */
pg_noreturn extern void bmw_key_refuse(const BmwStoredKey *stored);
/* As text. */
extern Datum bmw_key_datum(const BmwSecret *key);

#endif
