/*
 * core/order.c - for endpoints that want the events of a message in order.
 *
 * A hash table of chains, one for each endpoint and message that has something
 * waiting. Nearly all chains have one to three ids, so a chain is a sorted
 * array whose first entries may be used up; an empty one is freed at once. The
 * chains of an endpoint hang together, so that what concerns one endpoint costs
 * nothing of the others.
 */
#include "core/order.h"

#include <stdlib.h>
#include <string.h>

#include "core/order_internal.h"

static uint64_t hash_text(uint64_t hash, const char *text);
static BmwOrderChain *find_or_add(BmwOrder *order, const BmwOrderKey *key);
static BmwOrderChain *add_chain(BmwOrder *order, const BmwOrderKey *key);
static BmwOrderGroup *find_or_add_group(BmwOrder *order, int64_t endpoint_id);
static bool grow(BmwOrder *order);
static void move_to(const BmwOrder *order, BmwOrder *grown);
static BmwOrderChain **bucket_of(const BmwOrder *order, const BmwOrderKey *key);
static BmwOrderGroup **group_bucket_of(const BmwOrder *order, int64_t endpoint_id);
static bool same_key(const BmwOrderKey *a, const BmwOrderKey *b);
static int place_of(const BmwOrderChain *chain, const BmwUuid *id);
static bool holds(const BmwOrderChain *chain, int place, const BmwUuid *id);
static bool make_room(BmwOrderChain *chain);
static void drop(BmwOrder *order, BmwOrderChain *chain);
static void drop_group(BmwOrder *order, BmwOrderGroup *group);

BmwOrder *
bmw_order_create(void)
{
	BmwOrder *order = calloc(1, sizeof(*order));

	if (order != NULL && grow(order))
		return order;
	free(order);
	return NULL;
}

void
bmw_order_destroy(BmwOrder *order)
{
	if (order == NULL)
		return;
	for (uint64_t i = 0; i < order->buckets_length; i++)
		while (order->buckets[i] != NULL)
			drop(order, order->buckets[i]);
	free(order->buckets);
	free(order->groups);
	free(order);
}

BmwOrderKey
bmw_order_key(int64_t endpoint_id, const char *application, const char *message_id)
{
	BmwOrderKey key = {.endpoint_id = endpoint_id};

	key.message[0] = hash_text(hash_text(UINT64_C(0xcbf29ce484222325), application), message_id);
	key.message[1] = hash_text(hash_text(UINT64_C(0x9e3779b97f4a7c15), message_id), application);
	return key;
}

BmwStatus
bmw_order_add(BmwOrder *order, const BmwOrderKey *key, const BmwUuid *id)
{
	BmwOrderChain *chain = find_or_add(order, key);
	int place;

	if (chain == NULL)
		return BMW_ERROR_MEMORY;
	if (holds(chain, place_of(chain, id), id))
		return BMW_OK;
	if (!make_room(chain))
	{
		if (chain->length == 0)
			drop(order, chain);
		return BMW_ERROR_MEMORY;
	}
	place = place_of(chain, id);
	memmove(&chain->ids[place + 1], &chain->ids[place],
			(size_t) (chain->start + chain->length - place) * sizeof(*id));
	chain->ids[place] = *id;
	chain->length++;
	order->count++;
	return BMW_OK;
}

bool
bmw_order_is_head(const BmwOrder *order, const BmwOrderKey *key, const BmwUuid *id)
{
	const BmwOrderChain *chain = bmw_order_find(order, key);

	return chain == NULL || place_of(chain, id) == chain->start;
}

bool
bmw_order_has_others(const BmwOrder *order, const BmwOrderKey *key, const BmwUuid *id)
{
	const BmwOrderChain *chain = bmw_order_find(order, key);

	return chain != NULL && chain->length > (holds(chain, place_of(chain, id), id) ? 1 : 0);
}

bool
bmw_order_remove(BmwOrder *order, const BmwOrderKey *key, const BmwUuid *id, BmwUuid *next)
{
	BmwOrderChain *chain = bmw_order_find(order, key);
	int place = chain != NULL ? place_of(chain, id) : 0;
	bool was_head;

	if (chain == NULL || !holds(chain, place, id))
		return false;
	was_head = place == chain->start;
	chain->length--;
	order->count--;
	if (was_head)
		chain->start++;
	else
		memmove(&chain->ids[place], &chain->ids[place + 1],
				(size_t) (chain->start + chain->length - place) * sizeof(*id));
	if (chain->length > 0)
	{
		*next = chain->ids[chain->start];
		return was_head;
	}
	drop(order, chain);
	return false;
}

void
bmw_order_forget(BmwOrder *order, int64_t endpoint_id)
{
	BmwOrderGroup *group = bmw_order_group(order, endpoint_id);

	/* the last one takes the group with it */
	for (BmwOrderChain *chain = group != NULL ? group->chains : NULL, *next; chain != NULL;
		 chain = next)
	{
		next = chain->group_next;
		drop(order, chain);
	}
}

int64_t
bmw_order_count(const BmwOrder *order)
{
	return order->count;
}

/* FNV-1a over the text and its final 0, then mixed. */
static uint64_t
hash_text(uint64_t hash, const char *text)
{
	for (const char *c = text != NULL ? text : ""; *c != '\0'; c++)
		hash = (hash ^ (unsigned char) *c) * UINT64_C(0x100000001b3);
	hash = (hash ^ 0xFF) * UINT64_C(0x100000001b3);
	return (hash ^ (hash >> 29)) * UINT64_C(0xbf58476d1ce4e5b9);
}

BmwOrderChain *
bmw_order_find(const BmwOrder *order, const BmwOrderKey *key)
{
	BmwOrderChain *chain = *bucket_of(order, key);

	while (chain != NULL && !same_key(&chain->key, key))
		chain = chain->next;
	return chain;
}

static BmwOrderChain *
find_or_add(BmwOrder *order, const BmwOrderKey *key)
{
	BmwOrderChain *chain = bmw_order_find(order, key);

	if (chain != NULL)
		return chain;
	if (order->chains >= order->buckets_length && !grow(order))
		return NULL;
	return add_chain(order, key);
}

static BmwOrderChain *
add_chain(BmwOrder *order, const BmwOrderKey *key)
{
	BmwOrderChain *chain = calloc(1, sizeof(*chain));
	BmwOrderGroup *group = chain != NULL ? find_or_add_group(order, key->endpoint_id) : NULL;

	if (group == NULL)
	{
		free(chain);
		return NULL;
	}
	chain->key = *key;
	chain->next = *bucket_of(order, key);
	*bucket_of(order, key) = chain;
	chain->group = group;
	chain->group_next = group->chains;
	if (group->chains != NULL)
		group->chains->group_previous = chain;
	group->chains = chain;
	order->chains++;
	return chain;
}

BmwOrderGroup *
bmw_order_group(const BmwOrder *order, int64_t endpoint_id)
{
	BmwOrderGroup *group = *group_bucket_of(order, endpoint_id);

	while (group != NULL && group->endpoint_id != endpoint_id)
		group = group->next;
	return group;
}

static BmwOrderGroup *
find_or_add_group(BmwOrder *order, int64_t endpoint_id)
{
	BmwOrderGroup *group = bmw_order_group(order, endpoint_id);

	if (group != NULL || (group = calloc(1, sizeof(*group))) == NULL)
		return group;
	group->endpoint_id = endpoint_id;
	group->next = *group_bucket_of(order, endpoint_id);
	*group_bucket_of(order, endpoint_id) = group;
	return group;
}

static bool
grow(BmwOrder *order)
{
	BmwOrder grown = {.buckets_length = order->buckets_length > 0 ? order->buckets_length * 2 : 64};

	grown.buckets = calloc(grown.buckets_length, sizeof(*grown.buckets));
	grown.groups = calloc(grown.buckets_length, sizeof(*grown.groups));
	if (grown.buckets == NULL || grown.groups == NULL)
	{
		free(grown.buckets);
		free(grown.groups);
		return false;
	}
	move_to(order, &grown);
	free(order->buckets);
	free(order->groups);
	order->buckets = grown.buckets;
	order->groups = grown.groups;
	order->buckets_length = grown.buckets_length;
	return true;
}

static void
move_to(const BmwOrder *order, BmwOrder *grown)
{
	for (uint64_t i = 0; i < order->buckets_length; i++)
	{
		for (BmwOrderChain *chain = order->buckets[i], *next; chain != NULL; chain = next)
		{
			BmwOrderChain **bucket = bucket_of(grown, &chain->key);

			next = chain->next;
			chain->next = *bucket;
			*bucket = chain;
		}
		for (BmwOrderGroup *group = order->groups[i], *next; group != NULL; group = next)
		{
			BmwOrderGroup **bucket = group_bucket_of(grown, group->endpoint_id);

			next = group->next;
			group->next = *bucket;
			*bucket = group;
		}
	}
}

static BmwOrderChain **
bucket_of(const BmwOrder *order, const BmwOrderKey *key)
{
	uint64_t hash = key->message[0] ^ ((uint64_t) key->endpoint_id * UINT64_C(0x9E3779B97F4A7C15));

	return &order->buckets[(hash >> 20) & (order->buckets_length - 1)];
}

static BmwOrderGroup **
group_bucket_of(const BmwOrder *order, int64_t endpoint_id)
{
	uint64_t hash = (uint64_t) endpoint_id * UINT64_C(0x9E3779B97F4A7C15);

	return &order->groups[(hash >> 32) & (order->buckets_length - 1)];
}

static bool
same_key(const BmwOrderKey *a, const BmwOrderKey *b)
{
	return a->endpoint_id == b->endpoint_id && a->message[0] == b->message[0] &&
		   a->message[1] == b->message[1];
}

/* Where the id is, or would be: nearly always at one of the ends. */
static int
place_of(const BmwOrderChain *chain, const BmwUuid *id)
{
	int low = chain->start;
	int high = chain->start + chain->length;

	if (high > low && memcmp(chain->ids[high - 1].bytes, id->bytes, sizeof(id->bytes)) < 0)
		return high;
	while (low < high)
	{
		int middle = low + (high - low) / 2;

		if (memcmp(chain->ids[middle].bytes, id->bytes, sizeof(id->bytes)) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool
holds(const BmwOrderChain *chain, int place, const BmwUuid *id)
{
	return place < chain->start + chain->length &&
		   memcmp(chain->ids[place].bytes, id->bytes, sizeof(id->bytes)) == 0;
}

/* What is used up at the front is given back when it is half of all. */
static bool
make_room(BmwOrderChain *chain)
{
	if (chain->start + chain->length < chain->capacity)
		return true;
	if (chain->start > 0 && chain->start >= chain->capacity / 2)
	{
		memmove(chain->ids, &chain->ids[chain->start], (size_t) chain->length * sizeof(BmwUuid));
		chain->start = 0;
		return true;
	}

	int capacity = chain->capacity > 0 ? chain->capacity * 2 : 2;
	BmwUuid *ids = realloc(chain->ids, (size_t) capacity * sizeof(*ids));

	if (ids == NULL)
		return false;
	chain->ids = ids;
	chain->capacity = capacity;
	return true;
}

static void
drop(BmwOrder *order, BmwOrderChain *chain)
{
	BmwOrderGroup *group = chain->group;
	BmwOrderChain **link = bucket_of(order, &chain->key);

	while (*link != chain)
		link = &(*link)->next;
	*link = chain->next;
	bmw_order_unwant(order, chain);
	if (chain->group_previous != NULL)
		chain->group_previous->group_next = chain->group_next;
	else
		group->chains = chain->group_next;
	if (chain->group_next != NULL)
		chain->group_next->group_previous = chain->group_previous;
	if (group->chains == NULL)
		drop_group(order, group);
	order->chains--;
	order->count -= chain->length;
	free(chain->ids);
	free(chain);
}

static void
drop_group(BmwOrder *order, BmwOrderGroup *group)
{
	BmwOrderGroup **link = group_bucket_of(order, group->endpoint_id);

	while (*link != group)
		link = &(*link)->next;
	*link = group->next;
	free(group);
}
