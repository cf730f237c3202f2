/*
 * random.h - the one source of chance: everything follows from the seed.
 */
#ifndef SIM_RANDOM_H
#define SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

extern void random_seed(uint64_t seed);
extern uint64_t random_next(void);
/* 0 .. limit - 1; limit > 0. */
extern int random_below(int limit);
/* low .. high. */
extern int64_t random_between(int64_t low, int64_t high);
/* Of a thousand. */
extern bool random_chance(int permille);
/* [0, 1). */
extern double random_unit(void);
/* Short mostly, long at times, of about this mean and at most 20 times that. */
extern int64_t random_about(int64_t mean);

#endif
