/*
 * core/router_list.c - the patterns of a router, by application, channel and pattern.
 *
 * What a list is for is said by its first entry: it is never empty.
 */
#include "core/router_list.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_BUCKETS 64 /* a power of two, as all its doublings */

struct BmwRouterList
{
	BmwRouterList *next_in_bucket;
	uint64_t hash;
	BmwRouterEntry *first;
};

static bool grow(BmwRouterLists *lists);
static BmwRouterList **find(const BmwRouterLists *lists, const BmwRouterKey *key, uint64_t hash);
static bool is_for(const BmwRouterList *list, const BmwRouterKey *key);
static bool is_same(const char *a, const char *b);
static BmwRouterKey key_of(const BmwRouterEntry *entry);
static uint64_t hash_of(const BmwRouterKey *key);

void
bmw_router_lists_free(BmwRouterLists *lists)
{
	for (size_t i = 0; i < lists->size; i++)
		for (BmwRouterList *list = lists->buckets[i], *next; list != NULL; list = next)
		{
			next = list->next_in_bucket;
			free(list);
		}
	free(lists->buckets);
	*lists = (BmwRouterLists){0};
}

bool
bmw_router_lists_add(BmwRouterLists *lists, BmwRouterEntry *entry)
{
	const BmwRouterKey key = key_of(entry);
	const uint64_t hash = hash_of(&key);
	BmwRouterList **link;
	BmwRouterList *list;

	if (lists->length >= lists->size && !grow(lists))
		return false;
	link = find(lists, &key, hash);
	list = *link;
	if (list == NULL)
	{
		list = calloc(1, sizeof(*list));
		if (list == NULL)
			return false;
		list->hash = hash;
		*link = list;
		lists->length++;
	}
	entry->previous = NULL;
	entry->next = list->first;
	if (list->first != NULL)
		list->first->previous = entry;
	list->first = entry;
	return true;
}

void
bmw_router_lists_remove(BmwRouterLists *lists, BmwRouterEntry *entry)
{
	const BmwRouterKey key = key_of(entry);
	BmwRouterList **link;
	BmwRouterList *list;

	if (entry->previous != NULL)
		entry->previous->next = entry->next;
	else
	{
		link = find(lists, &key, hash_of(&key));
		list = *link;
		list->first = entry->next;
		if (list->first == NULL)
		{
			*link = list->next_in_bucket;
			lists->length--;
			free(list);
		}
	}
	if (entry->next != NULL)
		entry->next->previous = entry->previous;
}

const BmwRouterEntry *
bmw_router_lists_find(const BmwRouterLists *lists, const BmwRouterKey *key)
{
	const BmwRouterList *list = lists->size > 0 ? *find(lists, key, hash_of(key)) : NULL;

	return list != NULL ? list->first : NULL;
}

/* FNV-1a: short texts, and a table that only this process sees. */
uint64_t
bmw_router_hash(uint64_t hash, const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char) text[i]) * UINT64_C(0x100000001B3);
	return hash;
}

/* Doubles the table, or makes the first one. */
static bool
grow(BmwRouterLists *lists)
{
	const size_t size = lists->size > 0 ? lists->size * 2 : FIRST_BUCKETS;
	BmwRouterList **buckets = calloc(size, sizeof(BmwRouterList *));

	if (buckets == NULL)
		return false;
	for (size_t i = 0; i < lists->size; i++)
		for (BmwRouterList *list = lists->buckets[i], *next; list != NULL; list = next)
		{
			next = list->next_in_bucket;
			list->next_in_bucket = buckets[list->hash & (size - 1)];
			buckets[list->hash & (size - 1)] = list;
		}
	free(lists->buckets);
	lists->buckets = buckets;
	lists->size = size;
	return true;
}

/* The link to it, or the one where it is to be. */
static BmwRouterList **
find(const BmwRouterLists *lists, const BmwRouterKey *key, uint64_t hash)
{
	BmwRouterList **link = &lists->buckets[hash & (lists->size - 1)];

	while (*link != NULL && ((*link)->hash != hash || !is_for(*link, key)))
		link = &(*link)->next_in_bucket;
	return link;
}

static bool
is_for(const BmwRouterList *list, const BmwRouterKey *key)
{
	const BmwSubscription *subscription = list->first->subscription;
	const char *pattern = subscription->patterns[list->first->pattern];

	return is_same(subscription->application, key->application) &&
		   is_same(subscription->channel, key->channel) &&
		   strncmp(pattern, key->pattern, key->length) == 0 &&
		   strcmp(pattern + key->length, key->has_star ? "*" : "") == 0;
}

static bool
is_same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static BmwRouterKey
key_of(const BmwRouterEntry *entry)
{
	const BmwSubscription *subscription = entry->subscription;
	const char *pattern = subscription->patterns[entry->pattern];
	const size_t length = strlen(pattern);

	return (BmwRouterKey){.application = subscription->application,
						  .channel = subscription->channel,
						  .pattern = pattern,
						  .length = length,
						  .pattern_hash = bmw_router_hash(BMW_ROUTER_HASH_START, pattern, length)};
}

/* A byte before each text tells an application from a channel. Its low bits choose the bucket, and are the weak ones. */
static uint64_t
hash_of(const BmwRouterKey *key)
{
	uint64_t hash = key->has_star ? bmw_router_hash(key->pattern_hash, "*", 1) : key->pattern_hash;

	if (key->application != NULL)
	{
		hash = bmw_router_hash(hash, "a", 1);
		hash = bmw_router_hash(hash, key->application, strlen(key->application));
	}
	if (key->channel != NULL)
	{
		hash = bmw_router_hash(hash, "c", 1);
		hash = bmw_router_hash(hash, key->channel, strlen(key->channel));
	}
	return hash ^ hash >> 32;
}
