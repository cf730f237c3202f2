/*
 * shared.c - what all dispatchers share: the limits of applications, and of addresses.
 */
#include <string.h>

#include "core/places.h"
#include "core/tokens.h"

#include "check.h"
#include "dispatcher.h"
#include "trace.h"

#define GROUP 1

static BmwTokenSet set;
static BmwPlaceSet places;
static BmwPlaceSet destinations;

static int64_t take(void *context, const char *application, int rate, int burst, int64_t now_us);
static bool take_place(void *context, const char *application, int limit, int64_t now_us);
static void give_place(void *context, const char *application);
static bool take_at(void *context, uint64_t destination, int left, int limit, int64_t now_us);
static void give_at(void *context, uint64_t destination);
static uint64_t key_of(const char *application);

void
shared_begin(void)
{
	memset(&set, 0, sizeof(set));
	memset(&places, 0, sizeof(places));
	memset(&destinations, 0, sizeof(destinations));
	check_rates_begin();
}

void
shared_use(Dispatcher *dispatcher)
{
	BmwTokenPort tokens = {.take = take, .context = dispatcher};
	BmwPlacePort port = {.take = take_place, .give = give_place, .context = dispatcher};
	BmwDestinationPort addresses = {.take = take_at,
									.give = give_at,
									.context = dispatcher,
									.is_alone = dispatchers_length == 1};

	bmw_scheduler_set_tokens(dispatcher->scheduler, &tokens);
	bmw_scheduler_set_places(dispatcher->scheduler, &port);
	bmw_scheduler_set_destinations(dispatcher->scheduler, &addresses);
}

void
shared_leave(const Dispatcher *dispatcher)
{
	bmw_places_forget(&places, GROUP, dispatcher->shard);
	bmw_places_forget(&destinations, GROUP, dispatcher->shard);
}

static int64_t
take(void *context, const char *application, int rate, int burst, int64_t now_us)
{
	const Dispatcher *dispatcher = context;
	BmwTokenRequest request = {.key = key_of(application),
							   .by = dispatcher->shard,
							   .rate = rate,
							   .burst = burst,
							   .now_us = now_us};
	int64_t again;

	again = bmw_tokens_take(&set, &request);
	if (again != 0)
		MET(MET_NO_TOKEN);
	return again;
}

static bool
take_place(void *context, const char *application, int limit, int64_t now_us)
{
	const Dispatcher *dispatcher = context;
	BmwPlaceRequest request = {.key = key_of(application),
							   .group = GROUP,
							   .by = dispatcher->shard,
							   .limit = limit,
							   .now_us = now_us};

	if (bmw_places_take(&places, &request))
		return true;
	MET(MET_NO_PLACE);
	return false;
}

static void
give_place(void *context, const char *application)
{
	const Dispatcher *dispatcher = context;

	bmw_places_give(&places, key_of(application), dispatcher->shard);
}

static bool
take_at(void *context, uint64_t destination, int left, int limit, int64_t now_us)
{
	const Dispatcher *dispatcher = context;
	BmwPlaceRequest request = {.key = destination,
							   .group = GROUP,
							   .by = dispatcher->shard,
							   .limit = limit,
							   .left = left,
							   .now_us = now_us};

	if (bmw_places_take(&destinations, &request))
		return true;
	MET(MET_NO_ROOM_AT_ADDRESS);
	return false;
}

static void
give_at(void *context, uint64_t destination)
{
	const Dispatcher *dispatcher = context;

	bmw_places_give(&destinations, destination, dispatcher->shard);
}

static uint64_t
key_of(const char *application)
{
	uint64_t key = 0;

	for (int i = 0; i < APPLICATIONS; i++)
		if (strcmp(application, registry_application(i)) == 0)
			key = (uint64_t) i + 1;
	return key;
}
