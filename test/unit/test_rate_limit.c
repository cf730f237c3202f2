/*
 * test_rate_limit.c - in no second more than the rate and the burst, and not much less.
 */
#include "core/rate_limit.h"

#include "unit.h"

#define S INT64_C(1000000)
#define STARTS 5000

static int64_t starts[STARTS];

/* Asks at random times, and in bursts; every second is counted. */
static void
check_rate(int rate, int burst, uint64_t seed)
{
	BmwRateLimit limit = {0};
	int64_t now = S;
	int first = 0;

	bmw_rate_limit_set(&limit, rate, burst);
	for (int n = 0; n < STARTS; n++)
	{
		now += unit_random(&seed) % 50 == 0 ? (int64_t) (unit_random(&seed) % (3 * S)) : 0;
		if (bmw_rate_limit_next_us(&limit) > now)
			now = bmw_rate_limit_next_us(&limit);
		bmw_rate_limit_started(&limit, now);
		starts[n] = now;
		while (now - starts[first] >= S)
			first++;
		CHECK(n - first + 1 <= rate + burst);
	}
}

static void
test_full_rate(void)
{
	BmwRateLimit limit = {0};
	int64_t now = S;
	int count = 0;

	bmw_rate_limit_set(&limit, 300, 20);
	for (; now < 11 * S; now = bmw_rate_limit_next_us(&limit))
	{
		bmw_rate_limit_started(&limit, now);
		count++;
	}
	CHECK(count >= 3010 && count <= 3020);
}

static void
test_changes(void)
{
	BmwRateLimit limit = {0};

	CHECK_INT(bmw_rate_limit_next_us(&limit), 0);
	bmw_rate_limit_started(&limit, S);
	CHECK_INT(bmw_rate_limit_next_us(&limit), 0);
	bmw_rate_limit_set(&limit, 1, 1);
	bmw_rate_limit_started(&limit, 5 * S);
	CHECK_INT(bmw_rate_limit_next_us(&limit), 6 * S);
	bmw_rate_limit_shift(&limit, 2 * S);
	CHECK_INT(bmw_rate_limit_next_us(&limit), 4 * S);
	bmw_rate_limit_set(&limit, 10, 1);
	CHECK_INT(bmw_rate_limit_next_us(&limit), 4 * S); /* what was used, was used */
	bmw_rate_limit_set(&limit, 0, 0);
	CHECK_INT(bmw_rate_limit_next_us(&limit), 0);
}

int
main(void)
{
	const int rates[] = {1, 3, 7, 100, 999, 1000};
	const int bursts[] = {1, 2, 10, 500};

	for (size_t r = 0; r < sizeof(rates) / sizeof(rates[0]); r++)
		for (size_t b = 0; b < sizeof(bursts) / sizeof(bursts[0]); b++)
			check_rate(rates[r], bursts[b], r * 10 + b);
	test_full_rate();
	test_changes();
	return unit_finish("rate_limit");
}
