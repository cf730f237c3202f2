/*
 * random.c - the one source of chance: everything follows from the seed.
 *
 * SplitMix64: one word of state, so that a seed is all there is to remember.
 */
#include "random.h"

static uint64_t state;

void
random_seed(uint64_t seed)
{
	state = seed;
}

uint64_t
random_next(void)
{
	uint64_t z = state += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

int
random_below(int limit)
{
	return (int) (random_next() % (uint64_t) limit);
}

int64_t
random_between(int64_t low, int64_t high)
{
	return low + (int64_t) (random_next() % (uint64_t) (high - low + 1));
}

bool
random_chance(int permille)
{
	return permille > 0 && random_below(1000) < permille;
}

double
random_unit(void)
{
	return (double) (random_next() >> 11) / 9007199254740992.0;
}

int64_t
random_about(int64_t mean)
{
	int64_t length = random_between(0, mean);

	for (int doublings = 0; doublings < 4 && random_chance(300); doublings++)
		length *= 2;
	return length + 1;
}
