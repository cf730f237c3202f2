/*
 * pg/capture/emit.h - one event, made by hand.
 */
#ifndef BMW_PG_CAPTURE_EMIT_H
#define BMW_PG_CAPTURE_EMIT_H

#include "pg/sql/insert.h"

/*
 * Checks and inserts it, and returns its id as a Datum. Ereports what is wrong with it.
 * idempotency_key: NULL, or only if there is no event under it, whose id is returned then.
 * says: what is compared with that one beside type, channel, message and endpoint.
 */
extern Datum bmw_emit_event(BmwNewEvent *event, const char *idempotency_key, const char *says);

/* From then on it is not worth sending; infinity: always. 22023 for -infinity. */
extern void bmw_emit_set_expiry(BmwNewEvent *event, TimestampTz at);

#endif
