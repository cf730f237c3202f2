/*
 * core/destination_table.c - finding a destination, and its parties: what one share has there.
 *
 * Both exist while somebody has a place there or waits for one, and both are in the same table. A share has
 * a party for its doubtful lanes, and one for the others.
 */
#include <stdlib.h>

#include "core/destination_internal.h"
#include "core/lane_internal.h"

static BmwDestination *open_destination(BmwDestinations *all, uint64_t destination);
static void close_destination(BmwDestinations *all, BmwDestination *destination);
static void *add_node(BmwDestinations *all, size_t size, uint64_t destination, uint64_t number);
static void remove_node(BmwDestinations *all, BmwDestinationNode *node);
static void *find(const BmwDestinations *all, uint64_t destination, uint64_t number);
static bool grow(BmwDestinations *all);
static BmwDestinationNode **bucket_of(const BmwDestinations *all, uint64_t destination,
									  uint64_t number);

void
bmw_destinations_free(BmwDestinations *all)
{
	for (int i = 0; i < all->buckets_length; i++)
		for (BmwDestinationNode *node = all->buckets[i], *next; node != NULL; node = next)
		{
			next = node->next;
			if (node->number == 0)
				bmw_heap_free(&((BmwDestination *) node)->waiting);
			free(node);
		}
	free(all->buckets);
	bmw_heap_free(&all->again);
	*all = (BmwDestinations){0};
}

BmwParty *
bmw_party_open(BmwDestinations *all, const BmwLane *lane, uint64_t destination)
{
	const bool is_doubtful = lane->member.rule == BMW_SHARE_DOUBTFUL;
	const uint64_t number = 2 * bmw_share_number(lane) + is_doubtful;
	BmwParty *party = find(all, destination, number);
	BmwDestination *opened;

	if (party != NULL)
		return party;
	opened = open_destination(all, destination);
	if (opened == NULL)
		return NULL;
	if (bmw_heap_reserve(&opened->waiting, opened->parties + 1))
		party = add_node(all, sizeof(*party), destination, number);
	if (party != NULL)
	{
		party->destination = opened;
		party->waiting.item = party;
		party->is_doubtful = is_doubtful;
		opened->parties++;
	}
	else if (opened->parties == 0)
		close_destination(all, opened);
	return party;
}

void
bmw_party_close_if_idle(BmwDestinations *all, BmwParty *party)
{
	BmwDestination *destination = party->destination;

	if (party->taken > 0 || party->first != NULL)
		return;
	remove_node(all, &party->node);
	if (--destination->parties == 0)
		close_destination(all, destination);
}

static BmwDestination *
open_destination(BmwDestinations *all, uint64_t destination)
{
	BmwDestination *opened = find(all, destination, 0);

	if (opened != NULL || !bmw_heap_reserve(&all->again, all->length + 1) ||
		(opened = add_node(all, sizeof(*opened), destination, 0)) == NULL)
		return opened;
	opened->again.item = opened;
	return opened;
}

static void
close_destination(BmwDestinations *all, BmwDestination *destination)
{
	bmw_heap_free(&destination->waiting);
	remove_node(all, &destination->node);
}

static void *
add_node(BmwDestinations *all, size_t size, uint64_t destination, uint64_t number)
{
	BmwDestinationNode *node;
	BmwDestinationNode **bucket;

	if ((all->length >= all->buckets_length && !grow(all)) || (node = calloc(1, size)) == NULL)
		return NULL;
	bucket = bucket_of(all, destination, number);
	*node = (BmwDestinationNode){.next = *bucket, .destination = destination, .number = number};
	*bucket = node;
	all->length++;
	return node;
}

static void
remove_node(BmwDestinations *all, BmwDestinationNode *node)
{
	BmwDestinationNode **link = bucket_of(all, node->destination, node->number);

	while (*link != node)
		link = &(*link)->next;
	*link = node->next;
	all->length--;
	free(node);
}

static void *
find(const BmwDestinations *all, uint64_t destination, uint64_t number)
{
	BmwDestinationNode *node =
		all->buckets_length > 0 ? *bucket_of(all, destination, number) : NULL;

	while (node != NULL && (node->destination != destination || node->number != number))
		node = node->next;
	return node;
}

static bool
grow(BmwDestinations *all)
{
	BmwDestinations grown = {.buckets_length =
								 all->buckets_length > 0 ? all->buckets_length * 2 : 16};

	grown.buckets = calloc((size_t) grown.buckets_length, sizeof(*grown.buckets));
	if (grown.buckets == NULL)
		return false;
	for (int i = 0; i < all->buckets_length; i++)
		for (BmwDestinationNode *node = all->buckets[i], *next; node != NULL; node = next)
		{
			BmwDestinationNode **bucket = bucket_of(&grown, node->destination, node->number);

			next = node->next;
			node->next = *bucket;
			*bucket = node;
		}
	free(all->buckets);
	all->buckets = grown.buckets;
	all->buckets_length = grown.buckets_length;
	return true;
}

static BmwDestinationNode **
bucket_of(const BmwDestinations *all, uint64_t destination, uint64_t number)
{
	uint64_t hash =
		(destination ^ number * UINT64_C(0xC2B2AE3D27D4EB4F)) * UINT64_C(0x9E3779B97F4A7C15);

	return &all->buckets[(hash >> 32) & (uint64_t) (all->buckets_length - 1)];
}
