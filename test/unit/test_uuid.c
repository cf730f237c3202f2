/*
 * test_uuid.c - layout, order with any clock, bounds for ranges.
 */
#include "core/uuid.h"

#include "unit.h"

/* RFC 9562 appendix A.6: 2022-02-22T19:22:22Z, which is a whole millisecond. */
#define RFC_UNIX_US (INT64_C(0x017F22E279B0) * 1000)

static const uint8_t ones[8] = {255, 255, 255, 255, 255, 255, 255, 255};
static const uint8_t zeros[8];

static void
test_layout(void)
{
	BmwUuidState state = {0};
	BmwUuid id;
	char text[BMW_UUID_TEXT_SIZE];

	bmw_uuid_next(&state, RFC_UNIX_US, ones, &id);
	bmw_uuid_format(&id, text);
	CHECK_TEXT(text, "017f22e2-79b0-7000-bfff-ffffffffffff");

	/* 500 us are half of the 12 bits. */
	bmw_uuid_next(&state, RFC_UNIX_US + 500, zeros, &id);
	bmw_uuid_format(&id, text);
	CHECK_TEXT(text, "017f22e2-79b0-7800-8000-000000000000");

	const uint8_t random[8] = {0xD8, 0xC4, 0xDC, 0x0C, 0x0C, 0x07, 0x39, 0x8F};

	state.last_ticks = 0;
	bmw_uuid_next(&state, RFC_UNIX_US, random, &id);
	bmw_uuid_format(&id, text);
	CHECK_TEXT(text, "017f22e2-79b0-7000-98c4-dc0c0c07398f");
}

static void
test_monotonic(void)
{
	BmwUuidState state = {0};
	BmwUuid previous = {{0}};
	uint64_t seed = 7;
	int64_t clock_us = RFC_UNIX_US;
	int out_of_order = 0;

	for (int i = 0; i < 200000; i++)
	{
		BmwUuid id;
		const uint64_t random = unit_random(&seed);
		uint8_t bytes[8];

		memcpy(bytes, &random, sizeof(bytes));
		/* Stands still, runs, and goes back by up to a second. */
		if (random % 3 == 0)
			clock_us += (int64_t) (random >> 8) % 2000;
		if (random % 1000 == 1)
			clock_us -= (int64_t) (random >> 8) % 1000000;
		bmw_uuid_next(&state, clock_us, bytes, &id);
		out_of_order += memcmp(&previous, &id, sizeof(id)) >= 0;
		out_of_order += id.bytes[6] >> 4 != 7 || id.bytes[8] >> 6 != 2;
		previous = id;
	}
	CHECK_INT(out_of_order, 0);
}

static void
test_round_trip(void)
{
	int wrong = 0;

	for (int64_t us = RFC_UNIX_US - 1500; us < RFC_UNIX_US + 1500; us++)
	{
		BmwUuidState state = {0};
		BmwUuid id;
		BmwUuid floor;
		BmwUuid next_floor;

		bmw_uuid_next(&state, us, ones, &id);
		bmw_uuid_floor(us, &floor);
		bmw_uuid_floor(us + 1, &next_floor);
		wrong += bmw_uuid_unix_us(&id) != us;
		wrong += bmw_uuid_unix_us(&floor) != us;
		/* The half-open range [us, us + 1) holds exactly the ids of us. */
		wrong += memcmp(&floor, &id, sizeof(id)) > 0;
		wrong += memcmp(&id, &next_floor, sizeof(id)) >= 0;
	}
	CHECK_INT(wrong, 0);
}

static void
test_limits(void)
{
	BmwUuid id;
	char text[BMW_UUID_TEXT_SIZE];

	bmw_uuid_floor(0, &id);
	bmw_uuid_format(&id, text);
	CHECK_TEXT(text, "00000000-0000-7000-8000-000000000000");
	CHECK_INT(bmw_uuid_unix_us(&id), 0);
	bmw_uuid_floor(INT64_MIN, &id);
	CHECK_INT(bmw_uuid_unix_us(&id), 0);
	bmw_uuid_floor(INT64_MAX, &id);
	bmw_uuid_format(&id, text);
	CHECK_TEXT(text, "ffffffff-ffff-7fff-8000-000000000000");
}

int
main(void)
{
	test_layout();
	test_monotonic();
	test_round_trip();
	test_limits();
	return unit_finish("uuid");
}
