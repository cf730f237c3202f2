/*
 * core/share_hold.c - which shares take turns, and which wait for a token of their application's rate limit.
 */
#include <stddef.h>

#include "core/lane_internal.h"
#include "core/share_internal.h"

static void hold(BmwShares *shares, BmwShare *share, int64_t until_us);
static void let_go(BmwShares *shares, BmwShare *share);
static void enter(BmwShares *shares, BmwShare *share);
static void leave(BmwShares *shares, BmwShare *share);

void
bmw_share_set_rate(BmwShares *shares, BmwLane *lane, int rate, int burst)
{
	BmwShare *share = lane->member.share;

	if (share->rate == rate && share->burst == burst)
		return;
	share->rate = rate;
	share->burst = burst;
	let_go(shares, share);
}

bool
bmw_share_take_token(BmwShares *shares, const BmwLane *lane, int64_t now_us)
{
	BmwShare *share = lane->member.share;
	int64_t again_us;

	if (share->rate == 0 || shares->tokens.take == NULL)
		return true;
	again_us = shares->tokens.take(shares->tokens.context, share->application, share->rate,
								   share->burst, now_us);
	if (again_us == 0)
		return true;
	hold(shares, share, again_us);
	return false;
}

void
bmw_share_end_holds(BmwShares *shares, int64_t now_us)
{
	const BmwHeapNode *top;

	while ((top = bmw_heap_top(&shares->held)) != NULL && top->key <= now_us)
		let_go(shares, top->item);
}

int64_t
bmw_share_wakeup_us(const BmwShares *shares)
{
	const BmwHeapNode *top = bmw_heap_top(&shares->held);

	return top != NULL ? top->key : BMW_NEVER_US;
}

void
bmw_share_ring_insert(BmwShares *shares, BmwShare *share)
{
	if (!share->is_held)
		enter(shares, share);
}

void
bmw_share_ring_remove(BmwShares *shares, BmwShare *share)
{
	if (!share->is_held)
		leave(shares, share);
}

/* Held, it is not among those that take turns. */
static void
hold(BmwShares *shares, BmwShare *share, int64_t until_us)
{
	if (!share->is_held && share->ready_length > 0)
		leave(shares, share);
	share->is_held = true;
	bmw_heap_set(&shares->held, &share->held, until_us);
}

static void
let_go(BmwShares *shares, BmwShare *share)
{
	if (!share->is_held)
		return;
	share->is_held = false;
	bmw_heap_remove(&shares->held, &share->held);
	if (share->ready_length > 0)
		enter(shares, share);
}

/* At the end of the round: before the share whose turn is next. */
static void
enter(BmwShares *shares, BmwShare *share)
{
	BmwShare *next = shares->ring;

	if (next == NULL)
	{
		share->ring_next = share->ring_previous = share;
		shares->ring = share;
		return;
	}
	share->ring_next = next;
	share->ring_previous = next->ring_previous;
	share->ring_previous->ring_next = share;
	next->ring_previous = share;
}

static void
leave(BmwShares *shares, BmwShare *share)
{
	if (shares->ring == share)
		shares->ring = share->ring_next == share ? NULL : share->ring_next;
	share->ring_next->ring_previous = share->ring_previous;
	share->ring_previous->ring_next = share->ring_next;
	share->ring_next = share->ring_previous = NULL;
}
