/*
 * core/share_internal.h - what share.c and share_hold.c share; nobody else includes it.
 *
 * share.c finds a share and counts what it has; share_hold.c is the ring of those that
 * take turns, and what keeps one out of it: the limits of its application.
 */
#ifndef BMW_CORE_SHARE_INTERNAL_H
#define BMW_CORE_SHARE_INTERNAL_H

#include "core/share.h"

typedef struct BmwShareQueue
{
	BmwLane *first;
	BmwLane *last;
} BmwShareQueue;

struct BmwShare
{
	BmwShare *hash_next;
	BmwShare *ring_next; /* NULL: no lane is ready */
	BmwShare *ring_previous;
	BmwShareQueue ready[BMW_SHARE_RULES];
	uint64_t number;
	int ready_length;
	int lanes;
	int in_flight;
	int doubtful; /* of these, of lanes that are */
	int rate;	  /* a second; 0: no limit */
	int burst;
	int limit;	  /* requests in flight; 0: none */
	int places;	  /* that it has taken of them */
	bool is_held; /* it waits for a token or a place */
	bool is_full; /* then: for a place */
	BmwHeapNode held;
	char application[];
};

/* share_hold.c: less is in flight than before. */
extern void bmw_share_give_places(BmwShares *shares, BmwShare *share);
/* share_hold.c: the share has a ready lane, or has none any more. */
extern void bmw_share_ring_insert(BmwShares *shares, BmwShare *share);
extern void bmw_share_ring_remove(BmwShares *shares, BmwShare *share);

#endif
