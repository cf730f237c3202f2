/*
 * core/order.c - for endpoints that want the events of a message in order.
 *
 * A hash table of chains, one for each endpoint and message that has something
 * waiting. Nearly all chains have one to three ids, so a chain is a sorted
 * array; an empty one is freed at once.
 */
#include "core/order.h"

#include <stdlib.h>
#include <string.h>

typedef struct Chain
{
	struct Chain *next; /* in its bucket */
	BmwOrderKey key;
	int length;
	int capacity;
	BmwUuid *ids; /* ascending */
} Chain;

struct BmwOrder
{
	Chain **buckets;
	uint64_t buckets_length; /* a power of two */
	uint64_t chains;
	int64_t count;
};

static uint64_t hash_text(uint64_t hash, const char *text);
static Chain *find(const BmwOrder *order, const BmwOrderKey *key);
static Chain *find_or_add(BmwOrder *order, const BmwOrderKey *key);
static bool grow(BmwOrder *order);
static Chain **bucket_of(const BmwOrder *order, const BmwOrderKey *key);
static bool same_key(const BmwOrderKey *a, const BmwOrderKey *b);
static int place_of(const Chain *chain, const BmwUuid *id);
static bool holds(const Chain *chain, int place, const BmwUuid *id);
static bool make_room(Chain *chain);
static void drop(BmwOrder *order, Chain **link);

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
			drop(order, &order->buckets[i]);
	free(order->buckets);
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
	Chain *chain = find_or_add(order, key);
	int place;

	if (chain == NULL)
		return BMW_ERROR_MEMORY;
	place = place_of(chain, id);
	if (holds(chain, place, id))
		return BMW_OK;
	if (!make_room(chain))
		return BMW_ERROR_MEMORY;
	memmove(&chain->ids[place + 1], &chain->ids[place],
			(size_t) (chain->length - place) * sizeof(*id));
	chain->ids[place] = *id;
	chain->length++;
	order->count++;
	return BMW_OK;
}

bool
bmw_order_is_head(const BmwOrder *order, const BmwOrderKey *key, const BmwUuid *id)
{
	const Chain *chain = find(order, key);

	return chain == NULL || chain->length == 0 || place_of(chain, id) == 0;
}

bool
bmw_order_remove(BmwOrder *order, const BmwOrderKey *key, const BmwUuid *id, BmwUuid *next)
{
	Chain *chain = find(order, key);
	int place = chain != NULL ? place_of(chain, id) : 0;
	Chain **link;

	if (chain == NULL || !holds(chain, place, id))
		return false;
	chain->length--;
	order->count--;
	memmove(&chain->ids[place], &chain->ids[place + 1],
			(size_t) (chain->length - place) * sizeof(*id));
	if (chain->length > 0)
	{
		*next = chain->ids[0];
		return place == 0;
	}
	for (link = bucket_of(order, key); *link != chain;)
		link = &(*link)->next;
	drop(order, link);
	return false;
}

void
bmw_order_forget(BmwOrder *order, int64_t endpoint_id)
{
	for (uint64_t i = 0; i < order->buckets_length; i++)
		for (Chain **link = &order->buckets[i]; *link != NULL;)
		{
			if ((*link)->key.endpoint_id == endpoint_id)
				drop(order, link);
			else
				link = &(*link)->next;
		}
}

void
bmw_order_heads(const BmwOrder *order, int64_t endpoint_id,
				void (*fn)(const BmwUuid *id, void *context), void *context)
{
	for (uint64_t i = 0; i < order->buckets_length; i++)
		for (const Chain *chain = order->buckets[i]; chain != NULL; chain = chain->next)
			if (chain->key.endpoint_id == endpoint_id && chain->length > 0)
				fn(&chain->ids[0], context);
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

static Chain *
find(const BmwOrder *order, const BmwOrderKey *key)
{
	Chain *chain = *bucket_of(order, key);

	while (chain != NULL && !same_key(&chain->key, key))
		chain = chain->next;
	return chain;
}

static Chain *
find_or_add(BmwOrder *order, const BmwOrderKey *key)
{
	Chain *chain = find(order, key);

	if (chain != NULL)
		return chain;
	if (order->chains >= order->buckets_length && !grow(order))
		return NULL;
	chain = calloc(1, sizeof(*chain));
	if (chain == NULL)
		return NULL;
	chain->key = *key;
	chain->next = *bucket_of(order, key);
	*bucket_of(order, key) = chain;
	order->chains++;
	return chain;
}

static bool
grow(BmwOrder *order)
{
	BmwOrder grown = {.buckets_length = order->buckets_length > 0 ? order->buckets_length * 2 : 64};

	grown.buckets = calloc(grown.buckets_length, sizeof(*grown.buckets));
	if (grown.buckets == NULL)
		return false;
	for (uint64_t i = 0; i < order->buckets_length; i++)
		for (Chain *chain = order->buckets[i], *next; chain != NULL; chain = next)
		{
			Chain **bucket = bucket_of(&grown, &chain->key);

			next = chain->next;
			chain->next = *bucket;
			*bucket = chain;
		}
	free(order->buckets);
	order->buckets = grown.buckets;
	order->buckets_length = grown.buckets_length;
	return true;
}

static Chain **
bucket_of(const BmwOrder *order, const BmwOrderKey *key)
{
	uint64_t hash = key->message[0] ^ ((uint64_t) key->endpoint_id * UINT64_C(0x9E3779B97F4A7C15));

	return &order->buckets[(hash >> 20) & (order->buckets_length - 1)];
}

static bool
same_key(const BmwOrderKey *a, const BmwOrderKey *b)
{
	return a->endpoint_id == b->endpoint_id && a->message[0] == b->message[0] &&
		   a->message[1] == b->message[1];
}

/* Where the id is, or would be. */
static int
place_of(const Chain *chain, const BmwUuid *id)
{
	int place = chain->length;

	while (place > 0 && memcmp(chain->ids[place - 1].bytes, id->bytes, sizeof(id->bytes)) >= 0)
		place--;
	return place;
}

static bool
holds(const Chain *chain, int place, const BmwUuid *id)
{
	return place < chain->length &&
		   memcmp(chain->ids[place].bytes, id->bytes, sizeof(id->bytes)) == 0;
}

static bool
make_room(Chain *chain)
{
	if (chain->length < chain->capacity)
		return true;

	int capacity = chain->capacity > 0 ? chain->capacity * 2 : 2;
	BmwUuid *ids = realloc(chain->ids, (size_t) capacity * sizeof(*ids));

	if (ids == NULL)
		return false;
	chain->ids = ids;
	chain->capacity = capacity;
	return true;
}

static void
drop(BmwOrder *order, Chain **link)
{
	Chain *chain = *link;

	*link = chain->next;
	order->chains--;
	order->count -= chain->length;
	free(chain->ids);
	free(chain);
}
