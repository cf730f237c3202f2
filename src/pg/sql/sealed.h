/*
 * pg/sql/sealed.h - what is stored encrypted: secrets.
 *
 * In a column there is the base64 of a seal (core/seal.h), and beside it the id of
 * the key; without an id the text is stored as it is. Its context says which row
 * it belongs to.
 */
#ifndef BMW_PG_SQL_SEALED_H
#define BMW_PG_SQL_SEALED_H

#include "postgres.h"

/* The key that texts are encrypted with; NULL: they are not. 55000 when the key file cannot be used. */
extern const char *bmw_sealed_key_id(void);
/* With that key, which must be there. Palloc'd. */
extern char *bmw_sealed_close(const char *text, const char *context);
/* key_id NULL: it is the text itself. NULL: it cannot be opened. Palloc'd, for who wipes it. */
extern char *bmw_sealed_open(const char *sealed, const char *key_id, const char *context);

/* The context of a row of endpoint_secret. Palloc'd. */
extern char *bmw_sealed_secret_context(int64 endpoint_id, int64 id, const char *kind);

#endif
