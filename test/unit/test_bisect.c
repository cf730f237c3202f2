/*
 * test_bisect.c - every bad item is found, every other one is done once, and
 * the attempts stay few.
 */
#include "core/bisect.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define MAX 5000

typedef struct Run
{
	bool bad[MAX];
	bool found[MAX];
	int done[MAX];
	int attempts;
	long work; /* items over all attempts */
} Run;

static void
run(Run *run, int length, int size)
{
	BmwBisect bisect;
	int now;

	bmw_bisect_begin(&bisect, length, size);
	while ((now = bmw_bisect_next(&bisect)) > 0)
	{
		bool is_good = true;

		run->attempts++;
		run->work += now;
		for (int i = 0; i < now; i++)
			is_good = is_good && !run->bad[bisect.position + i];
		if (is_good)
		{
			for (int i = 0; i < now; i++)
				run->done[bisect.position + i]++;
			bmw_bisect_succeeded(&bisect);
		}
		else if (bmw_bisect_failed(&bisect))
			run->found[bisect.position - 1] = true;
	}
}

static void
check_run(const Run *run, int length)
{
	bool is_right = true;

	for (int i = 0; i < length; i++)
		is_right = is_right && run->found[i] == run->bad[i] && run->done[i] == !run->bad[i];
	CHECK(is_right);
}

static void
test_none_is_bad(void)
{
	Run all = {0};
	Run few = {0};

	run(&all, 1000, 0);
	check_run(&all, 1000);
	CHECK_INT(all.attempts, 1);
	run(&few, 1000, 1);
	check_run(&few, 1000);
	CHECK_INT(few.attempts, 10);
	run(&few, 0, 0);
	CHECK_INT(few.attempts, 10);
}

static void
test_one_is_bad(void)
{
	for (int i = 0; i < 1000; i += 37)
	{
		Run one = {0};

		one.bad[i] = true;
		run(&one, 1000, 0);
		check_run(&one, 1000);
		CHECK(one.attempts <= 31);
		CHECK(one.work <= 5000);
	}
}

static void
test_all_are_bad(void)
{
	Run all = {0};

	memset(all.bad, true, sizeof(all.bad));
	run(&all, MAX, 0);
	check_run(&all, MAX);
	CHECK(all.attempts <= MAX + 20);
	CHECK(all.work <= 3 * MAX);
}

static void
test_some_are_bad(void)
{
	unsigned seed = 1;

	for (int share = 2; share <= 512; share *= 2)
	{
		Run some = {0};

		for (int i = 0; i < MAX; i++)
		{
			seed = seed * 1103515245 + 12345;
			some.bad[i] = (seed >> 16) % (unsigned) share == 0;
		}
		run(&some, MAX, share % 7);
		check_run(&some, MAX);
		CHECK(some.attempts <= 3 * MAX);
		CHECK(some.work <= 20L * MAX);
	}
}

int
main(void)
{
	test_none_is_bad();
	test_one_is_bad();
	test_all_are_bad();
	test_some_are_bad();
	return unit_finish("bisect");
}
