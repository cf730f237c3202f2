/*
 * core/destination_internal.h - what destination.c and destination_table.c share; nobody else includes it.
 */
#ifndef BMW_CORE_DESTINATION_INTERNAL_H
#define BMW_CORE_DESTINATION_INTERNAL_H

#include "core/destination.h"

struct BmwDestinationNode
{
	BmwDestinationNode *next;
	uint64_t destination;
	uint64_t number; /* of a party, never 0; 0: the destination itself */
};

typedef struct BmwDestination
{
	BmwDestinationNode node;
	BmwHeap waiting; /* parties, those that have fewest first */
	BmwHeapNode again;
	int parties;
	int taken; /* by this process */
} BmwDestination;

struct BmwParty
{
	BmwDestinationNode node;
	BmwDestination *destination;
	BmwHeapNode waiting;
	uint64_t turn;
	bool is_doubtful;
	int taken;
	BmwLane *first; /* of the lanes that wait */
	BmwLane *last;
};

/* What the lanes of its share that are like it have there. NULL: no memory. */
extern BmwParty *bmw_party_open(BmwDestinations *all, const BmwLane *lane, uint64_t destination);
/* When it has no places and no lane of it waits. */
extern void bmw_party_close_if_idle(BmwDestinations *all, BmwParty *party);

#endif
