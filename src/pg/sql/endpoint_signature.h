/*
 * pg/sql/endpoint_signature.h - a further header with a signature: what may be in these columns.
 *
 * Called by the trigger of bm_webhook.endpoint; raises an error that says what may.
 */
#ifndef BMW_PG_SQL_ENDPOINT_SIGNATURE_H
#define BMW_PG_SQL_ENDPOINT_SIGNATURE_H

#include "pg/sql/row.h"

/* signature_header and signature_scheme; looks at headers as well. */
extern void bmw_endpoint_signature_check(const BmwRow *row);

#endif
