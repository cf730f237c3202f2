/*
 * core/order_internal.h - what order.c and order_wanted.c share; nobody else includes it.
 *
 * order.c is the chains: a hash table of them, and those of an endpoint together.
 * order_wanted.c is which heads are to be fetched.
 */
#ifndef BMW_CORE_ORDER_INTERNAL_H
#define BMW_CORE_ORDER_INTERNAL_H

#include "core/order.h"

typedef struct BmwOrderGroup BmwOrderGroup;

typedef struct BmwOrderChain
{
	struct BmwOrderChain *next; /* in its bucket */
	BmwOrderGroup *group;
	struct BmwOrderChain *group_next;
	struct BmwOrderChain *group_previous;
	struct BmwOrderChain *wanted_next;
	struct BmwOrderChain *wanted_previous;
	bool is_wanted;
	BmwOrderKey key;
	int start; /* of what is left */
	int length;
	int capacity;
	BmwUuid *ids; /* ascending */
} BmwOrderChain;

/* The chains of one endpoint. */
struct BmwOrderGroup
{
	BmwOrderGroup *next; /* in its bucket */
	BmwOrderGroup *wanting_next;
	BmwOrderGroup *wanting_previous;
	bool is_wanting;
	int64_t endpoint_id;
	BmwOrderChain *chains;
	BmwOrderChain *wanted;
	BmwOrderChain *wanted_tail;
};

struct BmwOrder
{
	BmwOrderChain **buckets;
	BmwOrderGroup **groups;
	uint64_t buckets_length; /* of both; a power of two */
	uint64_t chains;
	int64_t count;
	BmwOrderGroup *wanting; /* a queue */
	BmwOrderGroup *wanting_tail;
	uint64_t looked_at; /* the bucket where bmw_order_want_some() goes on */
};

/* order.c */
extern BmwOrderChain *bmw_order_find(const BmwOrder *order, const BmwOrderKey *key);
extern BmwOrderGroup *bmw_order_group(const BmwOrder *order, int64_t endpoint_id);

/* order_wanted.c: the chain is about to go. */
extern void bmw_order_unwant(BmwOrder *order, BmwOrderChain *chain);

#endif
