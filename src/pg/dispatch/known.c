/*
 * pg/dispatch/known.c - the endpoints that a dispatcher knows, and which of them may be gone.
 */
#include "postgres.h"

#include "pg/dispatch/known.h"

#include <stdlib.h>

#include "utils/memutils.h"

#define FIRST_SIZE 256

static void forget(BmwKnown *known, BmwKnownEndpoint *item);

void
bmw_known_init(BmwKnown *known)
{
	HASHCTL control = {.keysize = sizeof(int64),
					   .entrysize = sizeof(BmwKnownEndpoint),
					   .hcxt = TopMemoryContext};

	known->by_id = hash_create("bm_webhook endpoints", FIRST_SIZE, &control,
							   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	dlist_init(&known->read);
	known->sealed = 0;
}

BmwKnownEndpoint *
bmw_known_get(BmwKnown *known, int64 id, uint32 round)
{
	bool is_there;
	BmwKnownEndpoint *item = hash_search(known->by_id, &id, HASH_ENTER, &is_there);

	if (is_there)
		return item;
	item->endpoint = NULL;
	item->round = round;
	dlist_push_tail(&known->read, &item->node);
	return item;
}

void
bmw_known_set(BmwKnown *known, BmwKnownEndpoint *item, BmwEndpoint *endpoint, uint32 round)
{
	forget(known, item);
	item->endpoint = endpoint;
	known->sealed += endpoint->is_sealed;
	bmw_known_touch(known, item, round);
}

void
bmw_known_remove(BmwKnown *known, int64 id)
{
	BmwKnownEndpoint *item = hash_search(known->by_id, &id, HASH_FIND, NULL);

	if (item == NULL)
		return;
	forget(known, item);
	dlist_delete(&item->node);
	hash_search(known->by_id, &id, HASH_REMOVE, NULL);
}

BmwKnownEndpoint *
bmw_known_lost(BmwKnown *known, uint32 round)
{
	BmwKnownEndpoint *first;

	if (dlist_is_empty(&known->read))
		return NULL;
	first = dlist_head_element(BmwKnownEndpoint, node, &known->read);
	return first->round < round ? first : NULL;
}

void
bmw_known_touch(BmwKnown *known, BmwKnownEndpoint *item, uint32 round)
{
	item->round = round;
	dlist_delete(&item->node);
	dlist_push_tail(&known->read, &item->node);
}

static void
forget(BmwKnown *known, BmwKnownEndpoint *item)
{
	if (item->endpoint != NULL)
		known->sealed -= item->endpoint->is_sealed;
	free(item->endpoint);
	item->endpoint = NULL;
}
