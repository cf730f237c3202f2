/*
 * pg/server/shared_places.c - the requests in flight of applications and to addresses, counted for all dispatchers of
 * the server.
 *
 * An entry is found by a hash of the database and the application's name or the address. Should two have the
 * same one they share it, and none of them gets more than its limit.
 */
#include "postgres.h"

#include "pg/server/shared_places.h"

#include "common/hashfn.h"
#include "storage/spin.h"

static bool take(void *context, const char *application, int limit, int64_t now_us);
static void give(void *context, const char *application);
static bool take_at(void *context, uint64_t destination, int left, int limit, int64_t now_us);
static void give_at(void *context, uint64_t destination);
static uint64 key_of(const BmwSlot *slot, const char *application);
static uint64 key_at(const BmwSlot *slot, uint64 destination);
static bool take_of(BmwSharedPlaces *sets, const BmwPlaceRequest *request);
static void give_of(BmwSharedPlaces *sets, uint64 key, int by);
static BmwSharedPlaces *set_of(BmwSharedPlaces *sets, uint64 key);
static void forget_all(BmwSharedPlaces *sets, const BmwSlot *slot);

BmwPlacePort
bmw_shared_places(BmwSlot *slot)
{
	return (BmwPlacePort){.take = take, .give = give, .context = slot};
}

BmwDestinationPort
bmw_shared_destinations(BmwSlot *slot)
{
	return (BmwDestinationPort){.take = take_at,
								.give = give_at,
								.context = slot,
								.is_alone = slot->shards == 1};
}

void
bmw_shared_places_forget(const BmwSlot *slot)
{
	forget_all(bmw_shared->places, slot);
	forget_all(bmw_shared->destinations, slot);
}

static bool
take(void *context, const char *application, int limit, int64_t now_us)
{
	const BmwSlot *slot = context;

	return take_of(bmw_shared->places, &(BmwPlaceRequest){.key = key_of(slot, application),
														  .group = slot->database,
														  .by = slot->shard,
														  .limit = limit,
														  .now_us = now_us});
}

static void
give(void *context, const char *application)
{
	const BmwSlot *slot = context;

	give_of(bmw_shared->places, key_of(slot, application), slot->shard);
}

static bool
take_at(void *context, uint64_t destination, int left, int limit, int64_t now_us)
{
	const BmwSlot *slot = context;

	return take_of(bmw_shared->destinations, &(BmwPlaceRequest){.key = key_at(slot, destination),
																.group = slot->database,
																.by = slot->shard,
																.limit = limit,
																.left = left,
																.now_us = now_us});
}

static void
give_at(void *context, uint64_t destination)
{
	const BmwSlot *slot = context;

	give_of(bmw_shared->destinations, key_at(slot, destination), slot->shard);
}

static uint64
key_of(const BmwSlot *slot, const char *application)
{
	return hash_bytes_extended((const unsigned char *) application, (int) strlen(application),
							   slot->database) |
		   1;
}

static uint64
key_at(const BmwSlot *slot, uint64 destination)
{
	return hash_bytes_extended((const unsigned char *) &destination, sizeof(destination),
							   bmw_shared->destination_seed ^ slot->database) |
		   1;
}

static bool
take_of(BmwSharedPlaces *sets, const BmwPlaceRequest *request)
{
	BmwSharedPlaces *places = set_of(sets, request->key);
	bool is_taken;

	SpinLockAcquire(&places->mutex);
	is_taken = bmw_places_take(&places->set, request);
	SpinLockRelease(&places->mutex);
	return is_taken;
}

static void
give_of(BmwSharedPlaces *sets, uint64 key, int by)
{
	BmwSharedPlaces *places = set_of(sets, key);

	SpinLockAcquire(&places->mutex);
	bmw_places_give(&places->set, key, by);
	SpinLockRelease(&places->mutex);
}

static BmwSharedPlaces *
set_of(BmwSharedPlaces *sets, uint64 key)
{
	return &sets[(key >> 1) % BMW_PLACE_SETS];
}

static void
forget_all(BmwSharedPlaces *sets, const BmwSlot *slot)
{
	for (int i = 0; i < BMW_PLACE_SETS; i++)
	{
		SpinLockAcquire(&sets[i].mutex);
		bmw_places_forget(&sets[i].set, slot->database, slot->shard);
		SpinLockRelease(&sets[i].mutex);
	}
}
