/*
 * pg/sql/key.h - signing keys as values of SQL.
 */
#ifndef BMW_PG_SQL_KEY_H
#define BMW_PG_SQL_KEY_H

#include "postgres.h"

#include "core/secret.h"

/* endpoint_secret.kind; false: there is no such kind. */
extern bool bmw_key_kind(const char *name, BmwSecretKind *kind);
/* 22023 without the text. Whoever is given it wipes it. */
extern BmwSecret bmw_key_parse(const text *value);
/* A new one. */
extern BmwSecret bmw_key_generate(BmwSecretKind kind);
/* As text. */
extern Datum bmw_key_datum(const BmwSecret *key);

#endif
