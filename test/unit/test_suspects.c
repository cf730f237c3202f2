/*
 * test_suspects.c - whatever a process crashes of is found in three crashes, and nothing else is blamed.
 */
#include "core/suspects.h"

#include <stdlib.h>

#include "unit.h"

#define S INT64_C(1000000)
#define REQUESTS 500

static BmwMarks marks;
static BmwSuspects *suspects;
static int64_t now_us;

static BmwSuspectKey
key(int number)
{
	BmwSuspectKey key = {.endpoint_id = number % 7};

	memcpy(key.event_id.bytes + 12, &number, sizeof(number));
	return key;
}

static void
start_process(void)
{
	bmw_suspects_destroy(suspects);
	suspects = bmw_suspects_create(&marks);
}

static bool
send_one(int number)
{
	BmwSuspectKey one = key(number);

	if (!bmw_suspects_may_start(suspects, &one, now_us))
		return false;
	bmw_suspects_started(suspects, &one, now_us);
	return true;
}

static void
end_one(int number)
{
	BmwSuspectKey one = key(number);

	bmw_suspects_ended(suspects, &one);
}

/*
 * A process sends all but those that were set aside, and crashes when a poisonous one has been under way for a
 * moment. What hangs ends after 15 s. True: it survives.
 */
static bool
run_process(const bool *is_poison, const bool *is_hanging, const bool *is_aside)
{
	bool is_sent[REQUESTS] = {0};
	bool is_under_way[REQUESTS] = {0};
	int64_t started_us[REQUESTS] = {0};

	start_process();
	for (int turn = 0; turn < 20000; turn++)
	{
		now_us += S / 100;
		for (int i = 0; i < REQUESTS; i++)
			if (is_under_way[i] && is_poison[i])
				return false;
			else if (is_under_way[i] && (!is_hanging[i] || now_us - started_us[i] > 15 * S))
			{
				end_one(i);
				is_under_way[i] = false;
			}
		for (int i = 0; i < REQUESTS; i++)
			if (!is_sent[i] && !is_aside[i] && send_one(i))
			{
				is_sent[i] = is_under_way[i] = true;
				started_us[i] = now_us;
			}
	}
	for (int i = 0; i < REQUESTS; i++)
		CHECK(is_sent[i] || is_aside[i]);
	return true;
}

static int
set_culprits_aside(const bool *is_poison, bool *is_aside)
{
	const BmwMark *mark;
	int length = 0;

	start_process();
	while ((mark = bmw_suspects_culprit(suspects)) != NULL)
	{
		int number;

		memcpy(&number, mark->key.event_id.bytes + 12, sizeof(number));
		CHECK(is_poison[number]);
		is_aside[number] = true;
		bmw_suspects_forget(suspects, mark);
		length++;
	}
	return length;
}

/* Returns the number of crashes until all is well. */
static int
crash_until_well(const bool *is_poison, const bool *is_hanging)
{
	bool is_aside[REQUESTS] = {0};
	int crashes = 0;

	memset(&marks, 0, sizeof(marks));
	while (crashes < 100 && !run_process(is_poison, is_hanging, is_aside))
	{
		crashes++;
		(void) set_culprits_aside(is_poison, is_aside);
	}
	for (int i = 0; i < REQUESTS; i++)
		CHECK_INT(is_aside[i], is_poison[i]);
	return crashes;
}

static void
test_one(void)
{
	bool is_poison[REQUESTS] = {[333] = true};
	bool is_hanging[REQUESTS] = {0};

	CHECK_INT(crash_until_well(is_poison, is_hanging), 3);
	is_hanging[1] = is_hanging[332] = is_hanging[334] = true;
	CHECK_INT(crash_until_well(is_poison, is_hanging), 3);
}

static void
test_some(void)
{
	bool is_poison[REQUESTS] = {[0] = true, [100] = true, [101] = true, [499] = true};
	bool is_hanging[REQUESTS] = {0};

	CHECK(crash_until_well(is_poison, is_hanging) <= 12);
}

static void
test_excused(void)
{
	memset(&marks, 0, sizeof(marks));
	for (int i = 0; i < 5; i++)
	{
		start_process();
		CHECK_INT(bmw_suspects_length(suspects), 0);
		CHECK(send_one(1));
		CHECK(send_one(2));
		bmw_suspects_excuse(&marks);
	}
}

/* Crashes with something in between that succeeds are not in a row. */
static void
test_in_a_row(void)
{
	memset(&marks, 0, sizeof(marks));
	for (int i = 0; i < 5; i++)
	{
		start_process();
		CHECK(send_one(1));
		end_one(1);
		CHECK_INT(bmw_suspects_length(suspects), 0);
		CHECK(send_one(1));
	}
	start_process();
	CHECK(bmw_suspects_culprit(suspects) == NULL);
	CHECK_INT(bmw_suspects_length(suspects), 1);
}

static void
test_withdrawn(void)
{
	BmwSuspectKey one = key(1);

	memset(&marks, 0, sizeof(marks));
	start_process();
	CHECK(send_one(1));
	bmw_suspects_withdrawn(suspects, &one);
	start_process();
	CHECK_INT(bmw_suspects_length(suspects), 0);
	CHECK(send_one(1));
	start_process();
	CHECK(send_one(1));
	bmw_suspects_withdrawn(suspects, &one);
	start_process();
	CHECK_INT(bmw_suspects_length(suspects), 1);
}

/* More than there are places for are sent all the same, and bytes of anything else are nothing. */
static void
test_odd_memory(void)
{
	memset(&marks, 0xab, sizeof(marks));
	start_process();
	CHECK_INT(bmw_suspects_length(suspects), 0);
	for (int i = 0; i < BMW_MARKS + 10; i++)
		CHECK(send_one(i));
	for (int i = 0; i < BMW_MARKS + 10; i++)
		end_one(i);
	start_process();
	CHECK_INT(bmw_suspects_length(suspects), 0);
}

int
main(void)
{
	test_one();
	test_some();
	test_excused();
	test_in_a_row();
	test_withdrawn();
	test_odd_memory();
	bmw_suspects_destroy(suspects);
	return unit_finish("suspects");
}
