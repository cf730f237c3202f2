/*
 * pg/sql/idempotency.h - keys under which an event is emitted only once.
 */
#ifndef BMW_PG_SQL_IDEMPOTENCY_H
#define BMW_PG_SQL_IDEMPOTENCY_H

#include "postgres.h"

#include "utils/uuid.h"

#define BMW_IDEMPOTENCY_KEY_MAX_BYTES 255

typedef struct BmwIdempotencyKey
{
	const char *application; /* NULL: none */
	const char *key;
	uint64 fingerprint; /* of what the event says */
} BmwIdempotencyKey;

/*
 * Takes the key for the event until it expires, and returns true; or returns false, the
 * id of the event that has it, and whether that says the same. Waits for a transaction
 * that is about to take the key. As the owner of the table, connected to SPI.
 */
extern bool bmw_idempotency_claim(const BmwIdempotencyKey *key, pg_uuid_t *event_id,
								  bool *says_the_same);

#endif
