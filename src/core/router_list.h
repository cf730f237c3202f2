/*
 * core/router_list.h - the patterns of a router, by application, channel and pattern.
 *
 * For router.c; nobody else includes it. All entries of one application, channel
 * and pattern are a list, and a hash table leads to the lists. Adding and removing
 * an entry cost the same however many there are.
 */
#ifndef BMW_CORE_ROUTER_LIST_H
#define BMW_CORE_ROUTER_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/route.h"

#define BMW_ROUTER_HASH_START UINT64_C(0xCBF29CE484222325)

/* A pattern of a subscription: a member of its list. */
typedef struct BmwRouterEntry
{
	struct BmwRouterEntry *next;
	struct BmwRouterEntry *previous; /* NULL: the first */
	const BmwSubscription *subscription;
	int pattern; /* its number */
} BmwRouterEntry;

typedef struct BmwRouterList BmwRouterList;

typedef struct BmwRouterLists
{
	BmwRouterList **buckets;
	size_t size; /* a power of two, or 0 */
	size_t length;
} BmwRouterLists;

/* What a list is for. */
typedef struct BmwRouterKey
{
	const char *application;
	const char *channel;
	const char *pattern; /* so many bytes of it, and perhaps a star */
	size_t length;
	bool has_star;
	uint64_t pattern_hash; /* of these bytes, without the star */
} BmwRouterKey;

extern void bmw_router_lists_free(BmwRouterLists *lists);
extern bool bmw_router_lists_add(BmwRouterLists *lists,
								 BmwRouterEntry *entry); /* false: no memory */
extern void bmw_router_lists_remove(BmwRouterLists *lists, BmwRouterEntry *entry);
/* The first of a list; NULL: there is none. */
extern const BmwRouterEntry *bmw_router_lists_find(const BmwRouterLists *lists,
												   const BmwRouterKey *key);
/* Goes on from BMW_ROUTER_HASH_START, or from what it returned. */
extern uint64_t bmw_router_hash(uint64_t hash, const char *text, size_t length);

#endif
