/*
 * core/batch.h - how many rows one piece of work takes.
 *
 * While it goes on nothing is sent: so it is to take two milliseconds, whatever a row costs.
 */
#ifndef BMW_CORE_BATCH_H
#define BMW_CORE_BATCH_H

#include <stdint.h>

/* Of the next one, after one of so many rows took so long; more only when so many were done. */
extern int bmw_batch_next(int rows, int done, int64_t took_us, int least, int most);

#endif
