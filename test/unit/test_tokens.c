/*
 * test_tokens.c - however many take from it: in no second more than the rate and the burst, each in its turn.
 */
#include "core/tokens.h"

#include <string.h>

#include "unit.h"

#define S INT64_C(1000000)
#define TAKERS 3
#define STARTS 20000

static BmwTokenSet set;

static int64_t
take(uint64_t key, int by, int rate, int burst, int64_t now_us)
{
	return bmw_tokens_take(
		&set,
		&(BmwTokenRequest){.key = key, .by = by, .rate = rate, .burst = burst, .now_us = now_us});
}

/* Each asks when it was told to, some time later, by a clock that is some milliseconds late. */
static void
check_together(int rate, int burst, unsigned seed)
{
	static int64_t starts[STARTS];
	int64_t again[TAKERS] = {S, S, S};
	int of[TAKERS] = {0};
	int length = 0;

	set = (BmwTokenSet){0};
	while (length < STARTS && length < burst + rate * 30)
	{
		int by = 0;
		int64_t now_us;

		for (int i = 1; i < TAKERS; i++)
			by = again[i] < again[by] ? i : by;
		seed = seed * 1103515245 + 12345;
		/* the first is always quicker than the others */
		now_us = again[by] + (by == 0 ? 0 : 200 + seed / 65536 % 800);
		again[by] = take(7, by, rate, burst, now_us);
		if (again[by] != 0)
			continue;
		again[by] = now_us;
		of[by]++;
		starts[length++] = now_us;
	}
	for (int first = 0, last = 0; last < length; last++)
	{
		while (starts[last] - starts[first] >= S)
			first++;
		CHECK(last - first + 1 <= rate + burst);
	}
	CHECK(length > 1 && starts[length - 1] - starts[0] < 60 * S); /* nor much less */
	for (int i = 0; i < TAKERS; i++)
		CHECK(of[i] > (length - burst) / TAKERS / 4); /* it is not one's alone */
}

static void
test_who_has_gone(void)
{
	set = (BmwTokenSet){0};
	CHECK_INT(take(7, 0, 10, 1, 10 * S), 0);
	CHECK_INT(take(7, 1, 10, 1, 10 * S), 10 * S + S / 10);
	/* the other is next, for a moment, and does not come */
	CHECK_INT(take(7, 0, 10, 1, 10 * S + S / 10), 10 * S + S / 10 + S / 50);
	CHECK_INT(take(7, 0, 10, 1, 10 * S + S / 10 + S / 50), 0);
	CHECK_INT(take(7, 0, 10, 1, 10 * S + 2 * S / 10 + S / 50), 0);
}

static void
test_no_room(void)
{
	set = (BmwTokenSet){0};
	for (uint64_t key = 1; key <= BMW_TOKENS_IN_SET; key++)
		CHECK_INT(take(key, 0, 1, 1, (int64_t) key * S), 0);
	CHECK_INT(take(99, 0, 1, 1, 9 * S), 12 * S); /* 10 s after the first was full again */
	CHECK_INT(bmw_tokens_take(&set, &(BmwTokenRequest){.key = 99,
													   .rate = 1,
													   .burst = 1,
													   .may_exceed = true,
													   .now_us = 9 * S}),
			  0);
	CHECK_INT(take(1, 0, 1, 1, 12 * S), 0);
	CHECK_INT(take(99, 0, 1, 1, 12 * S), 13 * S);
	CHECK_INT(take(99, 0, 1, 1, 13 * S), 0);
	CHECK_INT(take(2, 0, 1, 1, 13 * S), 14 * S); /* whose place it was */
}

static void
test_changes(void)
{
	set = (BmwTokenSet){0};
	CHECK_INT(take(7, 0, 1, 1, 1000 * S), 0);
	CHECK_INT(take(7, 0, 1, 1, 1000 * S), 1001 * S);
	CHECK_INT(take(7, 0, 1, 2, 1000 * S), 0); /* one more at once */
	CHECK_INT(take(7, 0, 1, 2, 1000 * S), 1001 * S);
	/* the clock was set back */
	CHECK_INT(take(7, 0, 1, 2, 100 * S), 101 * S);
	CHECK_INT(take(7, 0, 1, 2, 101 * S), 0);
}

int
main(void)
{
	const int rates[] = {1, 3, 7, 100, 999};
	const int bursts[] = {1, 2, 10, 500};

	for (size_t r = 0; r < sizeof(rates) / sizeof(rates[0]); r++)
		for (size_t b = 0; b < sizeof(bursts) / sizeof(bursts[0]); b++)
			check_together(rates[r], bursts[b], (unsigned) (r * 10 + b));
	test_who_has_gone();
	test_no_room();
	test_changes();
	return unit_finish("tokens");
}
