/*
 * core/share_hold.c - which shares take turns, and which wait: for a token of their application's rate limit,
 * or for a place of those that it may have in flight.
 */
#include <stddef.h>

#include "core/lane_internal.h"
#include "core/places.h"
#include "core/share_internal.h"

static bool take_place(BmwShares *shares, BmwShare *share, int64_t now_us);
static void give_place(BmwShares *shares, BmwShare *share);
static bool take_token(BmwShares *shares, BmwShare *share, int64_t now_us);
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

void
bmw_share_set_limit(BmwShares *shares, BmwLane *lane, int max_in_flight)
{
	BmwShare *share = lane->member.share;

	if (share->limit == max_in_flight)
		return;
	share->limit = max_in_flight;
	let_go(shares, share);
}

bool
bmw_share_admit(BmwShares *shares, const BmwLane *lane, int64_t now_us)
{
	BmwShare *share = lane->member.share;
	const int places = share->places;

	if (!take_place(shares, share, now_us))
		return false;
	if (take_token(shares, share, now_us))
		return true;
	if (share->places > places)
		give_place(shares, share);
	return false;
}

void
bmw_share_give_places(BmwShares *shares, BmwShare *share)
{
	while (share->places > share->in_flight)
		give_place(shares, share);
	if (share->is_full)
		let_go(shares, share);
}

bool
bmw_share_is_crowded(const BmwLane *lane)
{
	return lane->member.share->is_full && lane->member.turn != 0;
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

/* What it has in flight itself, from before there was a limit, counts as well. */
static bool
take_place(BmwShares *shares, BmwShare *share, int64_t now_us)
{
	if (share->limit == 0 || shares->places.take == NULL)
		return true;
	if (share->in_flight < share->limit &&
		shares->places.take(shares->places.context, share->application, share->limit, now_us))
	{
		share->places++;
		return true;
	}
	hold(shares, share,
		 share->in_flight < share->limit ? now_us + BMW_PLACES_AGAIN_US : BMW_NEVER_US);
	share->is_full = true;
	return false;
}

static void
give_place(BmwShares *shares, BmwShare *share)
{
	share->places--;
	shares->places.give(shares->places.context, share->application);
}

static bool
take_token(BmwShares *shares, BmwShare *share, int64_t now_us)
{
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
	share->is_held = share->is_full = false;
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
