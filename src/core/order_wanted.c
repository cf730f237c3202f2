/*
 * core/order_wanted.c - which heads are to be fetched: each once, the oldest wish
 * first, and endpoints in turn.
 */
#include <assert.h>
#include <stddef.h>

#include "core/order_internal.h"

static void want(BmwOrder *order, BmwOrderChain *chain);
static void queue_group(BmwOrder *order, BmwOrderGroup *group);
static void unqueue_group(BmwOrder *order, BmwOrderGroup *group);

void
bmw_order_want(BmwOrder *order, const BmwOrderKey *key)
{
	BmwOrderChain *chain = bmw_order_find(order, key);

	if (chain != NULL)
		want(order, chain);
}

void
bmw_order_want_all(BmwOrder *order, int64_t endpoint_id)
{
	const BmwOrderGroup *group = bmw_order_group(order, endpoint_id);

	for (BmwOrderChain *chain = group != NULL ? group->chains : NULL; chain != NULL;
		 chain = chain->group_next)
		want(order, chain);
}

void
bmw_order_want_some(BmwOrder *order, int messages)
{
	for (uint64_t i = 0; i < order->buckets_length && messages > 0; i++)
	{
		order->looked_at = (order->looked_at + 1) & (order->buckets_length - 1);
		for (BmwOrderChain *chain = order->buckets[order->looked_at]; chain != NULL;
			 chain = chain->next)
		{
			want(order, chain);
			messages--;
		}
	}
}

void
bmw_order_unwant_all(BmwOrder *order, int64_t endpoint_id)
{
	const BmwOrderGroup *group = bmw_order_group(order, endpoint_id);

	while (group != NULL && group->wanted != NULL)
		bmw_order_unwant(order, group->wanted);
}

bool
bmw_order_is_wanting(const BmwOrder *order)
{
	return order->wanting != NULL;
}

bool
bmw_order_next_wanting(BmwOrder *order, int64_t *endpoint_id)
{
	BmwOrderGroup *group = order->wanting;

	if (group == NULL)
		return false;
	*endpoint_id = group->endpoint_id;
	unqueue_group(order, group);
	queue_group(order, group);
	return true;
}

int
bmw_order_take_wanted(BmwOrder *order, int64_t endpoint_id, BmwOrderHead *heads, int length)
{
	const BmwOrderGroup *group = bmw_order_group(order, endpoint_id);
	int taken = 0;

	while (group != NULL && group->wanted != NULL && taken < length)
	{
		BmwOrderChain *chain = group->wanted;

		heads[taken++] = (BmwOrderHead){.key = chain->key, .id = chain->ids[chain->start]};
		bmw_order_unwant(order, chain);
	}
	return taken;
}

static void
want(BmwOrder *order, BmwOrderChain *chain)
{
	BmwOrderGroup *group = chain->group;

	if (chain->is_wanted)
		return;
	chain->is_wanted = true;
	chain->wanted_next = NULL;
	chain->wanted_previous = group->wanted_tail;
	if (group->wanted_tail != NULL)
		group->wanted_tail->wanted_next = chain;
	else
		group->wanted = chain;
	group->wanted_tail = chain;
	if (!group->is_wanting)
		queue_group(order, group);
}

void
bmw_order_unwant(BmwOrder *order, BmwOrderChain *chain)
{
	BmwOrderGroup *group = chain->group;

	if (!chain->is_wanted)
		return;
	chain->is_wanted = false;
	if (chain->wanted_previous != NULL)
		chain->wanted_previous->wanted_next = chain->wanted_next;
	else
		group->wanted = chain->wanted_next;
	if (chain->wanted_next != NULL)
		chain->wanted_next->wanted_previous = chain->wanted_previous;
	else
		group->wanted_tail = chain->wanted_previous;
	if (group->wanted == NULL)
		unqueue_group(order, group);
}

static void
queue_group(BmwOrder *order, BmwOrderGroup *group)
{
	group->is_wanting = true;
	group->wanting_next = NULL;
	group->wanting_previous = order->wanting_tail;
	if (order->wanting_tail != NULL)
		order->wanting_tail->wanting_next = group;
	else
		order->wanting = group;
	order->wanting_tail = group;
}

static void
unqueue_group(BmwOrder *order, BmwOrderGroup *group)
{
	assert(group->is_wanting);
	group->is_wanting = false;
	if (group->wanting_previous != NULL)
		group->wanting_previous->wanting_next = group->wanting_next;
	else
		order->wanting = group->wanting_next;
	if (group->wanting_next != NULL)
		group->wanting_next->wanting_previous = group->wanting_previous;
	else
		order->wanting_tail = group->wanting_previous;
}
