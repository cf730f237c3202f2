/*
 * pg/dispatch/known.h - the endpoints that a dispatcher knows, and which of them may be gone.
 *
 * In the order in which they were read: those that a round over all endpoints did not come
 * across are the first, and are found without going through the others.
 */
#ifndef BMW_PG_DISPATCH_KNOWN_H
#define BMW_PG_DISPATCH_KNOWN_H

#include "postgres.h"

#include "lib/ilist.h"
#include "pg/dispatch/endpoint.h"
#include "utils/hsearch.h"

typedef struct BmwKnownEndpoint
{
	int64 id;			   /* the key */
	dlist_node node;	   /* in the order of reading */
	BmwEndpoint *endpoint; /* NULL: there was no memory for it, and it is read again */
	uint32 round;		   /* in which it was read, or noted to be read */
} BmwKnownEndpoint;

typedef struct BmwKnown
{
	HTAB *by_id;
	dlist_head read; /* the one that was read longest ago first */
	int sealed;		 /* of them with a secret that cannot be decrypted */
} BmwKnown;

extern void bmw_known_init(BmwKnown *known);
/* It is added if it is not there. */
extern BmwKnownEndpoint *bmw_known_get(BmwKnown *known, int64 id, uint32 round);
/* It was read: this replaces what was known of it. */
extern void bmw_known_set(BmwKnown *known, BmwKnownEndpoint *item, BmwEndpoint *endpoint,
						  uint32 round);
extern void bmw_known_remove(BmwKnown *known, int64 id);
/* One that was read last before this round; NULL: there is none. */
extern BmwKnownEndpoint *bmw_known_lost(BmwKnown *known, uint32 round);
/* It was read, or will be: in this round it is not lost. */
extern void bmw_known_touch(BmwKnown *known, BmwKnownEndpoint *item, uint32 round);

#endif
