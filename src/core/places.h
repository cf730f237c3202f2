/*
 * core/places.h - so many requests in flight, exactly, of whatever several processes send together.
 *
 * How many each of them has taken, in memory that the processes share: sets of a few entries each,
 * of which the caller locks one. An entry that nobody has taken from says nothing, and is used for
 * others. When all of a set are in use, whoever comes waits: never is the limit exceeded.
 *
 * While several want places, each is sure of its part of them, and what is left over they take in
 * turn. Who has been refused asks again after BMW_PLACES_AGAIN_US. Who has to leave some to others is
 * not sure of any: they would be kept for nobody.
 */
#ifndef BMW_CORE_PLACES_H
#define BMW_CORE_PLACES_H

#include <stdbool.h>
#include <stdint.h>

#define BMW_PLACES_IN_SET 8
#define BMW_PLACES_MAX_BY 32 /* who may take: 0 to 31 */
#define BMW_PLACES_AGAIN_US INT64_C(5000)

typedef struct BmwPlaces
{
	uint64_t key;	  /* 0: free */
	uint32_t group;	  /* of the key, the caller's: see bmw_places_forget() */
	uint32_t waiting; /* a bit for each that was refused and has not come again */
	int64_t waiting_until_us;
	uint32_t last; /* who took the last one */
	uint16_t taken[BMW_PLACES_MAX_BY];
} BmwPlaces;

/* Zeroed memory is empty. */
typedef struct BmwPlaceSet
{
	BmwPlaces places[BMW_PLACES_IN_SET];
} BmwPlaceSet;

typedef struct BmwPlaceRequest
{
	uint64_t key; /* not 0 */
	uint32_t group;
	int by;
	int limit; /* of all together, 1 to 10,000 */
	int left;  /* so many more of them must be free: who asks leaves them to others */
	int64_t now_us;
} BmwPlaceRequest;

/* Takes one. False: there is none for it now. */
extern bool bmw_places_take(BmwPlaceSet *set, const BmwPlaceRequest *request);
/* Gives back one that was taken. */
extern void bmw_places_give(BmwPlaceSet *set, uint64_t key, int by);
/* All that it has taken, of all keys of the group: it has ended. */
extern void bmw_places_forget(BmwPlaceSet *set, uint32_t group, int by);

#endif
