/*
 * core/delays.h - the retry delays of very many endpoints, most of which have the same.
 *
 * A list is kept once for the endpoints that have it and were read one after the other.
 */
#ifndef BMW_CORE_DELAYS_H
#define BMW_CORE_DELAYS_H

#include <stdint.h>

#include "core/backoff.h"

/*
 * A copy of the delays of the schedule, for one user more; *latest, at first NULL, is the one that was made
 * last, which has a user of its own. NULL: no memory.
 */
extern const int64_t *bmw_delays_share(const int64_t **latest, const BmwSchedule *schedule);
/* One user less; NULL is none. */
extern void bmw_delays_release(const int64_t *delays);

#endif
