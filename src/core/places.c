/*
 * core/places.c - so many requests in flight, exactly, of whatever several processes send together.
 */
#include "core/places.h"

#include <stddef.h>

#define WAITING_US (20 * BMW_PLACES_AGAIN_US) /* as long does one count that has been refused */

static BmwPlaces *find(BmwPlaceSet *set, uint64_t key);
static BmwPlaces *find_free(BmwPlaceSet *set, int64_t now_us);
static bool may_take(const BmwPlaces *places, const BmwPlaceRequest *request);
static int taken_by_all(const BmwPlaces *places);
static int wanting(const BmwPlaces *places, int by);
static bool has_left_over(const BmwPlaces *places, int limit, int part);
static int whose_turn(const BmwPlaces *places, int by);

bool
bmw_places_take(BmwPlaceSet *set, const BmwPlaceRequest *request)
{
	const uint32_t me = UINT32_C(1) << request->by;
	BmwPlaces *places = find(set, request->key);

	if (places == NULL && (places = find_free(set, request->now_us)) != NULL)
		*places = (BmwPlaces){.key = request->key, .group = request->group};
	if (places == NULL)
		return false;
	/* also when the clock was set back */
	if (request->now_us >= places->waiting_until_us ||
		request->now_us < places->waiting_until_us - WAITING_US)
		places->waiting = 0;
	if (may_take(places, request))
	{
		places->taken[request->by]++;
		places->waiting &= ~me;
		places->last = (uint32_t) request->by;
		return true;
	}
	if (request->left > 0)
		return false;
	places->waiting |= me;
	places->waiting_until_us = request->now_us + WAITING_US;
	return false;
}

void
bmw_places_give(BmwPlaceSet *set, uint64_t key, int by)
{
	BmwPlaces *places = find(set, key);

	if (places != NULL && places->taken[by] > 0)
		places->taken[by]--;
}

void
bmw_places_forget(BmwPlaceSet *set, uint32_t group, int by)
{
	for (int i = 0; i < BMW_PLACES_IN_SET; i++)
		if (set->places[i].key != 0 && set->places[i].group == group)
		{
			set->places[i].taken[by] = 0;
			set->places[i].waiting &= ~(UINT32_C(1) << by);
		}
}

static BmwPlaces *
find(BmwPlaceSet *set, uint64_t key)
{
	for (int i = 0; i < BMW_PLACES_IN_SET; i++)
		if (set->places[i].key == key)
			return &set->places[i];
	return NULL;
}

static BmwPlaces *
find_free(BmwPlaceSet *set, int64_t now_us)
{
	for (int i = 0; i < BMW_PLACES_IN_SET; i++)
	{
		BmwPlaces *places = &set->places[i];

		if (places->key == 0 || (taken_by_all(places) == 0 &&
								 (places->waiting == 0 || now_us >= places->waiting_until_us)))
			return places;
	}
	return NULL;
}

/* Its part of the limit, or what is left over, when it is its turn. */
static bool
may_take(const BmwPlaces *places, const BmwPlaceRequest *request)
{
	const uint32_t me = UINT32_C(1) << request->by;
	int part;

	if (taken_by_all(places) + request->left >= request->limit)
		return false;
	if ((places->waiting & ~me) == 0)
		return true;
	part = request->limit / wanting(places, request->by);
	return places->taken[request->by] < part || (has_left_over(places, request->limit, part) &&
												 whose_turn(places, request->by) == request->by);
}

static int
taken_by_all(const BmwPlaces *places)
{
	int taken = 0;

	for (int i = 0; i < BMW_PLACES_MAX_BY; i++)
		taken += places->taken[i];
	return taken;
}

/* How many have some, wait for one, or ask now. */
static int
wanting(const BmwPlaces *places, int by)
{
	int length = 0;

	for (int i = 0; i < BMW_PLACES_MAX_BY; i++)
		length += i == by || places->taken[i] > 0 || (places->waiting >> i & 1) != 0;
	return length;
}

/* When everybody who wants places has its part: has nobody taken what is left over? */
static bool
has_left_over(const BmwPlaces *places, int limit, int part)
{
	int left = limit;

	for (int i = 0; i < BMW_PLACES_MAX_BY; i++)
		if (places->taken[i] > part)
			left -= places->taken[i];
		else if (places->taken[i] > 0 || (places->waiting >> i & 1) != 0)
			left -= part;
	return left > 0;
}

/* Of those that wait and of who asks, the first after who took the last one. */
static int
whose_turn(const BmwPlaces *places, int by)
{
	for (int i = 1; i <= BMW_PLACES_MAX_BY; i++)
	{
		const int next = ((int) places->last + i) % BMW_PLACES_MAX_BY;

		if (next == by || (places->waiting >> next & 1) != 0)
			return next;
	}
	return by;
}
