/*
 * pg/dispatch/store_secret.h - the statement that reads secrets, and what else is encrypted; for the one that reads endpoints alone.
 */
#ifndef BMW_PG_DISPATCH_STORE_SECRET_H
#define BMW_PG_DISPATCH_STORE_SECRET_H

#include "postgres.h"

#include "pg/dispatch/store.h"

/* Those of these endpoints (an array) that have not expired, by endpoint and age, into SPI_tuptable. */
extern void bmw_store_run_secrets(Datum endpoint_ids);
/* None yet. */
extern void bmw_store_begin_secrets(BmwEndpointRow *endpoint);
/* The secret of a row, decrypted; at most BMW_MAX_SECRETS. */
extern void bmw_store_add_secret(const BmwSqlRow *row, BmwEndpointRow *endpoint);
/* Headers whose values are encrypted in this column, with the key whose id is in the next. */
extern void bmw_store_open_headers(const BmwSqlRow *row, int column, BmwEndpointRow *endpoint);

#endif
