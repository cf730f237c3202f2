/*
 * test_places.c - however many take from it: never more than the limit, and nobody is left out.
 */
#include "core/places.h"

#include "unit.h"

#define KEY 7
#define GROUP 5
#define S INT64_C(1000000)

static BmwPlaceSet set;

static bool
take(uint64_t key, int by, int limit, int64_t now_us)
{
	return bmw_places_take(
		&set,
		&(BmwPlaceRequest){.key = key, .group = GROUP, .by = by, .limit = limit, .now_us = now_us});
}

static int
take_all(uint64_t key, int by, int limit, int64_t now_us)
{
	int taken = 0;

	while (take(key, by, limit, now_us))
		taken++;
	return taken;
}

static void
test_one_alone_gets_all(void)
{
	set = (BmwPlaceSet){0};
	CHECK_INT(take_all(KEY, 3, 10, S), 10);
	bmw_places_give(&set, KEY, 3);
	CHECK_INT(take_all(KEY, 3, 10, S), 1);
	CHECK_INT(take_all(KEY, 3, 12, S), 2); /* the limit was raised */
	CHECK_INT(take_all(KEY, 3, 5, S), 0);
}

/* Who comes later gets its part as places become free, and no more. */
static void
test_two_share(void)
{
	set = (BmwPlaceSet){0};
	CHECK_INT(take_all(KEY, 0, 10, S), 10);
	CHECK(!take(KEY, 1, 10, S));
	for (int i = 0; i < 5; i++)
	{
		bmw_places_give(&set, KEY, 0);
		CHECK(!take(KEY, 0, 10, S)); /* it has its part still */
		CHECK(take(KEY, 1, 10, S));
		CHECK(!take(KEY, 1, 10, S));
	}
	bmw_places_give(&set, KEY, 1);
	CHECK(!take(KEY, 0, 10, S + 1));
	CHECK(take(KEY, 1, 10, S + 2));
	bmw_places_give(&set, KEY, 1);
	CHECK(take(KEY, 0, 10, 2 * S)); /* the other one has not asked for a long time */
}

/* Fewer places than those who want one: in turn. */
static void
test_turns(void)
{
	int64_t now_us = S;
	int of[3] = {0};

	set = (BmwPlaceSet){0};
	for (int round = 0; round < 30; round++, now_us += 1000)
		for (int by = 0; by < 3; by++)
			if (take(KEY, by, 1, now_us))
			{
				of[by]++;
				for (int other = 0; other < 3; other++)
					CHECK(!take(KEY, other, 1, now_us));
				bmw_places_give(&set, KEY, by);
			}
	for (int by = 0; by < 3; by++)
		CHECK(of[by] >= 10);
}

static void
test_who_ends_leaves_nothing(void)
{
	set = (BmwPlaceSet){0};
	CHECK_INT(take_all(KEY, 0, 4, S), 4);
	CHECK(!take(KEY, 1, 4, S));
	bmw_places_forget(&set, GROUP + 1, 0);
	CHECK(!take(KEY, 1, 4, S));
	bmw_places_forget(&set, GROUP, 0);
	CHECK_INT(take_all(KEY, 1, 4, S), 4);
	bmw_places_give(&set, KEY, 0); /* nothing is taken twice */
	CHECK(!take(KEY, 0, 4, S));
}

/* When all entries are in use, others wait; one that nobody has taken from is used for another. */
static void
test_full_set(void)
{
	set = (BmwPlaceSet){0};
	for (uint64_t key = 1; key <= BMW_PLACES_IN_SET; key++)
		CHECK(take(key, 0, 1, S));
	CHECK(!take(99, 0, 1, S));
	bmw_places_give(&set, 99, 0);
	bmw_places_give(&set, 4, 0);
	CHECK(take(99, 0, 1, S));
	CHECK(!take(4, 0, 1, S));
}

int
main(void)
{
	test_one_alone_gets_all();
	test_two_share();
	test_turns();
	test_who_ends_leaves_nothing();
	test_full_set();
	return unit_finish("places");
}
