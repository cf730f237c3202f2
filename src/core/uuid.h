/*
 * core/uuid.h - UUID version 7 (RFC 9562 section 5.7, method 3).
 *
 * 48 bits of Unix milliseconds, 12 bits of the fraction below a millisecond,
 * 62 random bits. Time and randomness are arguments. All times: microseconds
 * since 1970-01-01 UTC. The fraction is rounded up in all of them, so that a
 * microsecond survives the way into an id and back; instants outside the 48 bits
 * become the nearest.
 */
#ifndef BMW_CORE_UUID_H
#define BMW_CORE_UUID_H

#include <stdint.h>

#define BMW_UUID_TEXT_SIZE 37 /* 36 characters and the final 0 */

typedef struct BmwUuid
{
	uint8_t bytes[16];
} BmwUuid;

/* The least and the greatest of some, which stay where they are. Zero it to start. */
typedef struct BmwUuidRange
{
	const BmwUuid *first; /* NULL: there is none */
	const BmwUuid *last;
} BmwUuidRange;

/* What makes one generator monotonic: the last 60-bit time used. Zero it to start. */
typedef struct BmwUuidState
{
	uint64_t last_ticks; /* in 1/4096 ms */
} BmwUuidState;

/*
 * Next id: strictly greater than the previous of this state, also when the
 * clock stands still or goes back. random: 8 bytes, of which 62 bits are used.
 */
extern void bmw_uuid_next(BmwUuidState *state, int64_t unix_us, const uint8_t random[8],
						  BmwUuid *out);
/* The smallest version 7 id at or after this instant: a bound for ranges. */
extern void bmw_uuid_floor(int64_t unix_us, BmwUuid *out);
/* The instant in an id, rounded down to a microsecond. */
extern int64_t bmw_uuid_unix_us(const BmwUuid *id);
/* Below 0, 0 or above, in the order of the table; also for qsort() and bsearch(). */
extern int bmw_uuid_compare(const void *a, const void *b);
extern void bmw_uuid_widen(BmwUuidRange *range, const BmwUuid *id);
/* Canonical lower-case text. out has BMW_UUID_TEXT_SIZE bytes. */
extern void bmw_uuid_format(const BmwUuid *id, char *out);

#endif
