/*
 * core/destination.h - how many requests may be open to one address, whoever has registered it.
 *
 * For lane.c and lanes.c; nobody else includes it. What a destination is, address.h says: names do not
 * count, because any number of them may lead to the same machine. Which one a lane's requests go to is
 * known when the first of them is about to connect; from then on the lane asks for a place before
 * it starts another, and waits when there is none. The places are of all that send (places.h).
 *
 *   a share may start another request there while it has fewer than there are places left; its doubtful
 *   lanes (share.h), which count by themselves: fewer than half as many
 *
 * So what one application leaves hanging at an address always leaves places to the others that
 * send there, and to its own endpoints that answer. Of those that wait, the party comes first that has fewest
 * requests there, and in it the lane that has waited longest. A lane that is called has its place already: it keeps it until
 * its turn comes, or gives it back when it has nothing to send any more.
 */
#ifndef BMW_CORE_DESTINATION_H
#define BMW_CORE_DESTINATION_H

#include <stdbool.h>
#include <stdint.h>

#include "core/heap.h"
#include "core/lane.h"

typedef struct BmwDestinationNode BmwDestinationNode;

/* What a destination keeps in each lane. */
typedef struct BmwVisit
{
	uint64_t destination; /* where its last request went; 0: not known */
	BmwParty *party;	  /* while it waits there, or has a place for its next request */
	bool is_waiting;
	BmwLane *next; /* that waits in the same party */
	BmwLane *previous;
} BmwVisit;

/* All destinations. Zeroed memory is none. */
typedef struct BmwDestinations
{
	BmwDestinationNode **buckets;
	int buckets_length; /* a power of two, or 0 */
	int length;
	int limit;		/* of requests to one; 0: none */
	BmwHeap again;	/* those that somebody waits for, by when to ask again */
	uint64_t turns; /* given to parties that wait */
	BmwDestinationPort port;
} BmwDestinations;

extern void bmw_destinations_free(BmwDestinations *all);
extern void bmw_destinations_set_limit(BmwDestinations *all, int limit);
/* All that wait ask again at once. */
extern void bmw_destinations_hurry(BmwDestinations *all);
/* When somebody who waits has to be asked for again. */
extern int64_t bmw_destinations_wakeup_us(const BmwDestinations *all);
/* The next lane that has waited and has a place now; NULL: there is none. It must be refreshed. */
extern BmwLane *bmw_destinations_call(BmwDestinations *all, int64_t now_us);

/*
 * A place for the next request of the lane. False: it waits for one; or there is no memory to
 * wait with, and it has no party.
 */
extern bool bmw_destination_admit(BmwDestinations *all, BmwLane *lane, int64_t now_us);
/* The lane has nothing to send now: it neither waits nor has a place. */
extern void bmw_destination_withdraw(BmwDestinations *all, BmwLane *lane);
/* A request starts with the place that the lane has; NULL: it has none. */
extern BmwParty *bmw_destination_start(BmwLane *lane);
/*
 * A request of the lane is about to go there. Changes the place that it holds, if it is another's;
 * false: there is none for it now.
 */
extern bool bmw_destination_enter(BmwDestinations *all, BmwLane *lane, BmwParty **held,
								  uint64_t destination, int64_t now_us);
/* It has ended; NULL: without a place. */
extern void bmw_destination_end(BmwDestinations *all, BmwParty *party);

#endif
