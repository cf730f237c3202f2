/*
 * core/destination.c - how many requests may be open to one address, whoever has registered it.
 *
 * Who may take a place and who waits; destination_table.c finds destinations and parties.
 */
#include "core/destination.h"

#include "core/destination_internal.h"
#include "core/lane_internal.h"
#include "core/places.h"

#define TURN_BITS 40
#define NO_LIMIT 10000 /* for who still waits when the limit was taken away */

static bool is_limited(const BmwDestinations *all, const BmwLane *lane);
static bool take(BmwDestinations *all, BmwParty *party, int64_t now_us);
static void ask_again(BmwDestinations *all, BmwDestination *destination, int64_t at_us);
static int64_t again_us(const BmwDestinations *all, const BmwDestination *destination,
						int64_t now_us);
static void wait_in(BmwDestinations *all, BmwParty *party, BmwLane *lane);
static BmwLane *stop_waiting(BmwDestinations *all, BmwLane *lane);
static void place_party(BmwParty *party);
static bool is_next(const BmwParty *party);
static bool has_waiting(const BmwDestination *destination);

void
bmw_destinations_set_limit(BmwDestinations *all, int limit)
{
	if (all->limit == limit)
		return;
	all->limit = limit;
	bmw_destinations_hurry(all);
}

/* All by the same key: so they stay a heap. */
void
bmw_destinations_hurry(BmwDestinations *all)
{
	for (int i = 0; i < all->again.length; i++)
		all->again.nodes[i]->key = 0;
}

int64_t
bmw_destinations_wakeup_us(const BmwDestinations *all)
{
	const BmwHeapNode *top = bmw_heap_top(&all->again);

	return top != NULL ? top->key : BMW_NEVER_US;
}

BmwLane *
bmw_destinations_call(BmwDestinations *all, int64_t now_us)
{
	const BmwHeapNode *top;

	while ((top = bmw_heap_top(&all->again)) != NULL && top->key <= now_us)
	{
		BmwDestination *destination = top->item;
		BmwParty *party = bmw_heap_top(&destination->waiting)->item;

		if (take(all, party, now_us))
			return stop_waiting(all, party->first);
		ask_again(all, destination, again_us(all, destination, now_us));
	}
	return NULL;
}

bool
bmw_destination_admit(BmwDestinations *all, BmwLane *lane, int64_t now_us)
{
	BmwVisit *visit = &lane->visit;
	BmwParty *party;

	if (!is_limited(all, lane) || visit->destination == 0 || visit->party != NULL)
		return true;
	party = bmw_party_open(all, lane, visit->destination);
	if (party == NULL)
		return false;
	visit->party = party;
	if (is_next(party) && take(all, party, now_us))
		return true;
	wait_in(all, party, lane);
	if (party->destination->again.place == 0)
		ask_again(all, party->destination, again_us(all, party->destination, now_us));
	return false;
}

void
bmw_destination_withdraw(BmwDestinations *all, BmwLane *lane)
{
	BmwParty *party = lane->visit.party;

	if (party == NULL)
		return;
	if (!lane->visit.is_waiting)
	{
		lane->visit.party = NULL;
		bmw_destination_end(all, party);
		return;
	}
	stop_waiting(all, lane);
	lane->visit.party = NULL;
	bmw_party_close_if_idle(all, party);
}

BmwParty *
bmw_destination_start(BmwLane *lane)
{
	BmwParty *party = lane->visit.party;

	lane->visit.party = NULL;
	return party;
}

bool
bmw_destination_enter(BmwDestinations *all, BmwLane *lane, BmwParty **held, uint64_t destination,
					  int64_t now_us)
{
	BmwParty *party;

	lane->visit.destination = destination;
	if (!is_limited(all, lane) || (*held != NULL && (*held)->node.destination == destination))
		return true;
	party = bmw_party_open(all, lane, destination);
	if (party == NULL)
		return false;
	/* who has waited elsewhere does not wait once more */
	if ((*held == NULL && !is_next(party)) || !take(all, party, now_us))
	{
		bmw_party_close_if_idle(all, party);
		return false;
	}
	bmw_destination_end(all, *held);
	*held = party;
	return true;
}

void
bmw_destination_end(BmwDestinations *all, BmwParty *party)
{
	BmwDestination *destination;

	if (party == NULL)
		return;
	destination = party->destination;
	all->port.give(all->port.context, destination->node.destination);
	destination->taken--;
	party->taken--;
	place_party(party);
	if (has_waiting(destination))
		ask_again(all, destination, 0);
	bmw_party_close_if_idle(all, party);
}

/* Only an administrator registers endpoints of no application: he is trusted with where they lead to. */
static bool
is_limited(const BmwDestinations *all, const BmwLane *lane)
{
	return all->limit > 0 && bmw_share_application(lane) != NULL;
}

static bool
take(BmwDestinations *all, BmwParty *party, int64_t now_us)
{
	const BmwDestinationPort *port = &all->port;

	if (!port->take(port->context, party->node.destination,
					party->is_doubtful ? 2 * party->taken : party->taken,
					all->limit > 0 ? all->limit : NO_LIMIT, now_us))
		return false;
	party->taken++;
	party->destination->taken++;
	place_party(party);
	return true;
}

static void
ask_again(BmwDestinations *all, BmwDestination *destination, int64_t at_us)
{
	bmw_heap_set(&all->again, &destination->again, at_us);
}

/* When nobody else can have places there, one of ours must end. */
static int64_t
again_us(const BmwDestinations *all, const BmwDestination *destination, int64_t now_us)
{
	return all->port.is_alone && destination->taken > 0 ? BMW_NEVER_US
														: now_us + BMW_PLACES_AGAIN_US;
}

static void
wait_in(BmwDestinations *all, BmwParty *party, BmwLane *lane)
{
	lane->visit.is_waiting = true;
	lane->visit.next = NULL;
	lane->visit.previous = party->last;
	if (party->last != NULL)
		party->last->visit.next = lane;
	else
		party->first = lane;
	party->last = lane;
	if (party->waiting.place > 0)
		return;
	party->turn = ++all->turns;
	bmw_heap_set(&party->destination->waiting, &party->waiting, 0);
	place_party(party);
}

/* It stays in its party. Returns it. */
static BmwLane *
stop_waiting(BmwDestinations *all, BmwLane *lane)
{
	BmwVisit *visit = &lane->visit;
	BmwParty *party = visit->party;

	if (visit->previous != NULL)
		visit->previous->visit.next = visit->next;
	else
		party->first = visit->next;
	if (visit->next != NULL)
		visit->next->visit.previous = visit->previous;
	else
		party->last = visit->previous;
	visit->is_waiting = false;
	party->turn = ++all->turns;
	if (party->first != NULL)
		place_party(party);
	else
		bmw_heap_remove(&party->destination->waiting, &party->waiting);
	if (!has_waiting(party->destination))
		bmw_heap_remove(&all->again, &party->destination->again);
	return lane;
}

/* Those that have fewest first; of these, who has waited longest. */
static void
place_party(BmwParty *party)
{
	const int64_t turn = (int64_t) (party->turn & ((UINT64_C(1) << TURN_BITS) - 1));

	if (party->waiting.place > 0)
		bmw_heap_set(&party->destination->waiting, &party->waiting,
					 ((int64_t) party->taken << TURN_BITS) + turn);
}

/* Does nobody wait who comes before it? Who has as many has been refused, and so would it be. */
static bool
is_next(const BmwParty *party)
{
	const BmwHeapNode *top = bmw_heap_top(&party->destination->waiting);

	return top == NULL || party->taken < ((const BmwParty *) top->item)->taken;
}

static bool
has_waiting(const BmwDestination *destination)
{
	return destination->waiting.length > 0;
}
