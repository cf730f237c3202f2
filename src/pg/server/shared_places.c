/*
 * pg/server/shared_places.c - the requests in flight of applications, counted for all dispatchers of the server.
 *
 * An entry is found by a hash of the database and the application's name. Should two have the
 * same one they share it, and none of them gets more than its limit.
 */
#include "postgres.h"

#include "pg/server/shared_places.h"

#include "common/hashfn.h"
#include "storage/spin.h"

static bool take(void *context, const char *application, int limit, int64_t now_us);
static void give(void *context, const char *application);
static uint64 key_of(const BmwSlot *slot, const char *application);
static BmwSharedPlaces *set_of(uint64 key);

BmwPlacePort
bmw_shared_places(BmwSlot *slot)
{
	return (BmwPlacePort){.take = take, .give = give, .context = slot};
}

void
bmw_shared_places_forget(const BmwSlot *slot)
{
	for (int i = 0; i < BMW_PLACE_SETS; i++)
	{
		SpinLockAcquire(&bmw_shared->places[i].mutex);
		bmw_places_forget(&bmw_shared->places[i].set, slot->database, slot->shard);
		SpinLockRelease(&bmw_shared->places[i].mutex);
	}
}

static bool
take(void *context, const char *application, int limit, int64_t now_us)
{
	const BmwSlot *slot = context;
	const BmwPlaceRequest request = {.key = key_of(slot, application),
									 .group = slot->database,
									 .by = slot->shard,
									 .limit = limit,
									 .now_us = now_us};
	BmwSharedPlaces *places = set_of(request.key);
	bool is_taken;

	SpinLockAcquire(&places->mutex);
	is_taken = bmw_places_take(&places->set, &request);
	SpinLockRelease(&places->mutex);
	return is_taken;
}

static void
give(void *context, const char *application)
{
	const BmwSlot *slot = context;
	const uint64 key = key_of(slot, application);
	BmwSharedPlaces *places = set_of(key);

	SpinLockAcquire(&places->mutex);
	bmw_places_give(&places->set, key, slot->shard);
	SpinLockRelease(&places->mutex);
}

static uint64
key_of(const BmwSlot *slot, const char *application)
{
	return hash_bytes_extended((const unsigned char *) application, (int) strlen(application),
							   slot->database) |
		   1;
}

static BmwSharedPlaces *
set_of(uint64 key)
{
	return &bmw_shared->places[(key >> 1) % BMW_PLACE_SETS];
}
