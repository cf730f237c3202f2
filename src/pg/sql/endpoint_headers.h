/*
 * pg/sql/endpoint_headers.h - how the headers of an endpoint are stored: as they are, or encrypted.
 *
 * With a key (pg/sql/sealed.h) their values are in the column credentials, encrypted, and the column headers
 * shows a mask in their place; who writes the mask again leaves the value as it is.
 */
#ifndef BMW_PG_SQL_ENDPOINT_HEADERS_H
#define BMW_PG_SQL_ENDPOINT_HEADERS_H

#include "pg/sql/row.h"

/* By the trigger of bm_webhook.endpoint, when the column headers has been checked. */
extern void bmw_endpoint_headers_keep(BmwRow *row);
/* Has somebody changed credentials_key_id alone, to have them encrypted anew? They are. */
extern bool bmw_endpoint_headers_rekey(BmwRow *row);
/* Nothing is left of them. */
extern void bmw_endpoint_headers_erase(BmwRow *row);

#endif
