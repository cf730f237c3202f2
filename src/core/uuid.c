/*
 * core/uuid.c - UUID version 7 (RFC 9562 section 5.7, method 3).
 *
 * Time is kept in ticks of 1/4096 ms: 48 bits of milliseconds and 12 bits of
 * fraction, together the 60 bits that order the ids. A microsecond is 4.096
 * ticks; it is rounded up, everywhere. So a microsecond survives the way into
 * an id and back, and no id made at or after an instant is below the bound that
 * bmw_uuid_floor() gives for it. Rounding down in one place and up in another
 * would make ranges lose rows.
 */
#include "core/uuid.h"

#include <string.h>

#define TICKS_PER_MS 4096
#define MAX_TICKS ((UINT64_C(1) << 60) - 1)

static uint64_t ticks_from_unix_us(int64_t unix_us);
static void write_ticks(uint64_t ticks, uint8_t *bytes);
static uint64_t read_ticks(const uint8_t *bytes);

void
bmw_uuid_next(BmwUuidState *state, int64_t unix_us, const uint8_t random[8], BmwUuid *out)
{
	uint64_t ticks = ticks_from_unix_us(unix_us);

	/* A clock that stands still or goes back: borrow from the future. */
	if (ticks <= state->last_ticks)
		ticks = state->last_ticks < MAX_TICKS ? state->last_ticks + 1 : MAX_TICKS;
	state->last_ticks = ticks;

	write_ticks(ticks, out->bytes);
	memcpy(out->bytes + 8, random, 8);
	out->bytes[8] = (uint8_t) (0x80 | (random[0] & 0x3F));
}

void
bmw_uuid_floor(int64_t unix_us, BmwUuid *out)
{
	write_ticks(ticks_from_unix_us(unix_us), out->bytes);
	memset(out->bytes + 8, 0, 8);
	out->bytes[8] = 0x80;
}

int64_t
bmw_uuid_unix_us(const BmwUuid *id)
{
	const uint64_t ticks = read_ticks(id->bytes);
	const uint64_t ms = ticks / TICKS_PER_MS;
	const uint64_t fraction = ticks % TICKS_PER_MS;

	return (int64_t) (ms * 1000 + fraction * 1000 / TICKS_PER_MS);
}

int
bmw_uuid_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(BmwUuid));
}

void
bmw_uuid_widen(BmwUuidRange *range, const BmwUuid *id)
{
	if (range->first == NULL || bmw_uuid_compare(id, range->first) < 0)
		range->first = id;
	if (range->last == NULL || bmw_uuid_compare(id, range->last) > 0)
		range->last = id;
}

void
bmw_uuid_format(const BmwUuid *id, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < 16; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*out++ = '-';
		*out++ = digits[id->bytes[i] >> 4];
		*out++ = digits[id->bytes[i] & 0x0F];
	}
	*out = '\0';
}

/* Rounded up; instants that 48 bits of milliseconds cannot hold become the nearest. */
static uint64_t
ticks_from_unix_us(int64_t unix_us)
{
	if (unix_us <= 0)
		return 0;

	const uint64_t ms = (uint64_t) unix_us / 1000;
	const uint64_t us = (uint64_t) unix_us % 1000;

	if (ms > MAX_TICKS / TICKS_PER_MS)
		return MAX_TICKS;
	return ms * TICKS_PER_MS + (us * TICKS_PER_MS + 999) / 1000;
}

/* The first 8 bytes: 48 bits, the version, 12 bits. */
static void
write_ticks(uint64_t ticks, uint8_t *bytes)
{
	for (int i = 0; i < 6; i++)
		bytes[i] = (uint8_t) (ticks >> (52 - 8 * i));
	bytes[6] = (uint8_t) (0x70 | ((ticks >> 8) & 0x0F));
	bytes[7] = (uint8_t) ticks;
}

static uint64_t
read_ticks(const uint8_t *bytes)
{
	uint64_t ticks = 0;

	for (int i = 0; i < 6; i++)
		ticks = ticks << 8 | bytes[i];
	return ticks << 12 | (uint64_t) (bytes[6] & 0x0F) << 8 | bytes[7];
}
