/*
 * inside_order.c - what must hold of what the order holds: each head is wanted once,
 * and what has ended is forgotten. The other file here that looks inside.
 */
#include "core/order_internal.h"
#include "core/scheduler_internal.h"

#include "check.h"
#include "trace.h"
#include "world.h"

#define LOOKED_AT 1000 /* messages, at once */

static void check_group(const BmwOrder *order, const BmwOrderGroup *group);
static int wanted_in_list(const BmwOrder *order, const BmwOrderGroup *group);
static int wanted(const BmwOrder *order);
static void check_ended(const Dispatcher *dispatcher, const BmwOrderChain *chain);

void
check_order_lists(const Dispatcher *dispatcher)
{
	const BmwOrder *order = dispatcher->scheduler->order;
	int64_t count = 0;

	for (uint64_t i = 0; i < order->buckets_length; i++)
	{
		for (const BmwOrderGroup *group = order->groups[i]; group != NULL; group = group->next)
			check_group(order, group);
		for (const BmwOrderChain *chain = order->buckets[i]; chain != NULL; chain = chain->next)
			count += chain->length;
	}
	if (count != order->count)
		violation("the order counts %d deliveries and holds %d", (int) order->count, (int) count);
}

int
check_before_look(const Dispatcher *dispatcher)
{
	return wanted(dispatcher->scheduler->order);
}

/* However many messages wait, a look costs the same. */
void
check_look(const Dispatcher *dispatcher, int before)
{
	const BmwOrder *order = dispatcher->scheduler->order;

	if ((int64_t) order->chains > LOOKED_AT)
		MET(MET_LOOKED_AT_SOME);
	if (wanted(order) - before > LOOKED_AT + MAX_ENDPOINTS)
		violation("a look wants %d heads more at once", wanted(order) - before);
}

/* What is being fetched is wanted no longer, or it would be fetched for ever. */
void
check_taken(const Dispatcher *dispatcher, const BmwFetch *fetch)
{
	const BmwScheduler *scheduler = dispatcher->scheduler;

	for (int i = 0; i < fetch->heads_length; i++)
	{
		const BmwOrderHead *head = bmw_heads_find(scheduler, fetch, &fetch->heads[i]);
		const BmwOrderChain *chain = bmw_order_find(scheduler->order, &head->key);

		if (chain != NULL && chain->is_wanted)
			violation("event %d is fetched for endpoint %d, and wanted still",
					  event_of(&fetch->heads[i]), registry_of(fetch->endpoint_id));
	}
}

/* When all is done: what is known has not ended. */
void
check_order_is_done(const Dispatcher *dispatcher)
{
	const BmwOrder *order = dispatcher->scheduler->order;

	for (uint64_t i = 0; i < order->buckets_length; i++)
		for (const BmwOrderChain *chain = order->buckets[i]; chain != NULL; chain = chain->next)
			check_ended(dispatcher, chain);
}

static void
check_group(const BmwOrder *order, const BmwOrderGroup *group)
{
	int flagged = 0;

	for (const BmwOrderChain *chain = group->chains; chain != NULL; chain = chain->group_next)
		flagged += chain->is_wanted;
	if (wanted_in_list(order, group) != flagged)
		violation("endpoint %d wants %d heads, and more or less are in its list",
				  registry_of(group->endpoint_id), flagged);
	if (group->is_wanting != (group->wanted != NULL))
		violation("endpoint %d is %s those who want heads", registry_of(group->endpoint_id),
				  group->is_wanting ? "among" : "not among");
}

/* The list may go round. */
static int
wanted_in_list(const BmwOrder *order, const BmwOrderGroup *group)
{
	int length = 0;

	for (const BmwOrderChain *chain = group->wanted; chain != NULL; chain = chain->wanted_next)
		if ((uint64_t) ++length > order->chains)
			violation("the list of wanted heads of endpoint %d grows without end",
					  registry_of(group->endpoint_id));
	return length;
}

static int
wanted(const BmwOrder *order)
{
	int length = 0;

	for (uint64_t i = 0; i < order->buckets_length; i++)
		for (const BmwOrderChain *chain = order->buckets[i]; chain != NULL; chain = chain->next)
			length += chain->is_wanted;
	return length;
}

static void
check_ended(const Dispatcher *dispatcher, const BmwOrderChain *chain)
{
	int endpoint = registry_of(chain->key.endpoint_id);
	const BmwTarget *target = bmw_target_find(dispatcher->scheduler, chain->key.endpoint_id);

	/* it looks at them when it may send again */
	if (target != NULL && bmw_target_is_stopped(target))
		return;
	for (int i = 0; i < chain->length; i++)
	{
		int event = event_of(&chain->ids[chain->start + i]);
		const Row *row = &pair_of(event, endpoint)->row;

		/* one that was set aside holds back what follows, whatever has become of that */
		if (row->aside == ROW_PENDING)
			return;
		if ((row->aside != ROW_NONE ? row->aside : row->status) > ROW_PENDING)
			violation("the order still knows event %d for endpoint %d, which has ended", event,
					  endpoint);
	}
}
