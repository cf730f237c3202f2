/*
 * core/share.c - the places of an application: how many of its requests may be open.
 *
 * The ready lanes of a share are in three queues, one for each rule, so that
 * looking for one that may start never walks past those that may not.
 */
#include "core/share.h"

#include <stdlib.h>
#include <string.h>

#include "core/lane_internal.h"
#include "core/share_internal.h"

static BmwShare *find(const BmwShares *shares, const char *application);
static BmwShare *make(BmwShares *shares, const char *application);
static void drop(BmwShares *shares, BmwShare *share);
static bool grow(BmwShares *shares);
static BmwShare **bucket_of(const BmwShares *shares, const char *application);
static BmwShareRule rule_of(const BmwLane *lane);
static void count(BmwShares *shares, BmwLane *lane, int in_flight, BmwShareRule rule);
static bool may_start(const BmwShares *shares, const BmwShare *share, BmwShareRule rule, int free);
static BmwLane *first_of(const BmwShares *shares, const BmwShare *share, int free);
static void enqueue(BmwShares *shares, BmwLane *lane);
static void dequeue(BmwShares *shares, BmwLane *lane);

void
bmw_share_free_all(BmwShares *shares)
{
	for (int i = 0; i < shares->buckets_length; i++)
		for (BmwShare *share = shares->buckets[i], *next; share != NULL; share = next)
		{
			next = share->hash_next;
			free(share);
		}
	free(shares->buckets);
	bmw_heap_free(&shares->held);
	*shares = (BmwShares){0};
}

bool
bmw_share_join(BmwShares *shares, BmwLane *lane, const char *application)
{
	const char *name = application != NULL ? application : "";
	const BmwShareMember *member = &lane->member;
	const bool is_ready = member->turn != 0;
	BmwShare *share;

	if (member->share != NULL && strcmp(member->share->application, name) == 0)
		return true;
	share = find(shares, name);
	if (share == NULL && (share = make(shares, name)) == NULL)
		return false;
	share->lanes++;
	if (member->share != NULL)
		bmw_share_leave(shares, lane);
	lane->member.share = share;
	bmw_share_update(shares, lane, is_ready);
	return true;
}

uint64_t
bmw_share_number(const BmwLane *lane)
{
	return lane->member.share->number;
}

void
bmw_share_leave(BmwShares *shares, BmwLane *lane)
{
	BmwShare *share = lane->member.share;

	if (lane->member.turn != 0)
		dequeue(shares, lane);
	count(shares, lane, 0, lane->member.rule);
	if (--share->lanes == 0)
		drop(shares, share);
}

void
bmw_share_update(BmwShares *shares, BmwLane *lane, bool is_ready)
{
	const BmwShareRule rule = rule_of(lane);
	const bool was_ready = lane->member.turn != 0;
	const bool is_moved = rule != lane->member.rule || is_ready != was_ready;

	if (was_ready && is_moved)
		dequeue(shares, lane);
	count(shares, lane, lane->in_flight, rule);
	if (is_ready && is_moved)
		enqueue(shares, lane);
}

BmwLane *
bmw_share_next(const BmwShares *shares, int free)
{
	const BmwShare *share = shares->ring;

	if (share == NULL || free <= 0)
		return NULL;
	do
	{
		BmwLane *lane = first_of(shares, share, free);

		if (lane != NULL)
			return lane;
		share = share->ring_next;
	} while (share != shares->ring);
	return NULL;
}

void
bmw_share_pass_turn(BmwShares *shares, BmwLane *lane)
{
	shares->ring = lane->member.share->ring_next;
	dequeue(shares, lane);
	enqueue(shares, lane);
}

const char *
bmw_share_application(const BmwLane *lane)
{
	const char *application = lane->member.share->application;

	return application[0] != '\0' ? application : NULL;
}

static BmwShare *
find(const BmwShares *shares, const char *application)
{
	BmwShare *share = shares->buckets_length > 0 ? *bucket_of(shares, application) : NULL;

	while (share != NULL && strcmp(share->application, application) != 0)
		share = share->hash_next;
	return share;
}

static BmwShare *
make(BmwShares *shares, const char *application)
{
	BmwShare *share;

	if ((shares->length >= shares->buckets_length && !grow(shares)) ||
		!bmw_heap_reserve(&shares->held, shares->length + 1) ||
		(share = calloc(1, sizeof(*share) + strlen(application) + 1)) == NULL)
		return NULL;
	memcpy(share->application, application, strlen(application) + 1);
	share->hash_next = *bucket_of(shares, application);
	*bucket_of(shares, application) = share;
	share->held.item = share;
	share->number = ++shares->made;
	shares->length++;
	return share;
}

static void
drop(BmwShares *shares, BmwShare *share)
{
	BmwShare **link = bucket_of(shares, share->application);

	while (*link != share)
		link = &(*link)->hash_next;
	*link = share->hash_next;
	bmw_heap_remove(&shares->held, &share->held);
	shares->length--;
	free(share);
}

static bool
grow(BmwShares *shares)
{
	BmwShares grown = {.buckets_length =
						   shares->buckets_length > 0 ? shares->buckets_length * 2 : 16};

	grown.buckets = calloc((size_t) grown.buckets_length, sizeof(*grown.buckets));
	if (grown.buckets == NULL)
		return false;
	for (int i = 0; i < shares->buckets_length; i++)
		for (BmwShare *share = shares->buckets[i], *next; share != NULL; share = next)
		{
			BmwShare **bucket = bucket_of(&grown, share->application);

			next = share->hash_next;
			share->hash_next = *bucket;
			*bucket = share;
		}
	free(shares->buckets);
	shares->buckets = grown.buckets;
	shares->buckets_length = grown.buckets_length;
	return true;
}

/* FNV-1a */
static BmwShare **
bucket_of(const BmwShares *shares, const char *application)
{
	uint64_t hash = UINT64_C(0xCBF29CE484222325);

	for (const char *c = application; *c != '\0'; c++)
		hash = (hash ^ (unsigned char) *c) * UINT64_C(0x100000001B3);
	return &shares->buckets[(hash >> 32) & (uint64_t) (shares->buckets_length - 1)];
}

static BmwShareRule
rule_of(const BmwLane *lane)
{
	if (lane->last_success_us == 0 || lane->failing_since_us != 0)
		return BMW_SHARE_DOUBTFUL;
	return lane->in_flight > 0 ? BMW_SHARE_BUSY : BMW_SHARE_IDLE;
}

static void
count(BmwShares *shares, BmwLane *lane, int in_flight, BmwShareRule rule)
{
	BmwShareMember *member = &lane->member;
	BmwShare *share = member->share;
	const int more = in_flight - member->in_flight;
	const int more_doubtful = (rule == BMW_SHARE_DOUBTFUL ? in_flight : 0) -
							  (member->rule == BMW_SHARE_DOUBTFUL ? member->in_flight : 0);

	share->in_flight += more;
	share->doubtful += more_doubtful;
	shares->in_flight += more;
	shares->doubtful += more_doubtful;
	member->in_flight = in_flight;
	member->rule = rule;
	if (more < 0)
		bmw_share_give_places(shares, share);
}

/* The rules of share.h. */
static bool
may_start(const BmwShares *shares, const BmwShare *share, BmwShareRule rule, int free)
{
	switch (rule)
	{
		case BMW_SHARE_IDLE:
			return share->in_flight < 2 * free;
		case BMW_SHARE_BUSY:
			return share->in_flight < free;
		case BMW_SHARE_DOUBTFUL:
			return 2 * share->doubtful < free && 2 * shares->doubtful < shares->in_flight + free;
		case BMW_SHARE_RULES:
			break;
	}
	return false;
}

/* Of those that may start, the one that has waited longest. */
static BmwLane *
first_of(const BmwShares *shares, const BmwShare *share, int free)
{
	BmwLane *first = NULL;

	for (BmwShareRule rule = 0; rule < BMW_SHARE_RULES; rule++)
	{
		BmwLane *lane = share->ready[rule].first;

		if (lane != NULL && may_start(shares, share, rule, free) &&
			(first == NULL || lane->member.turn < first->member.turn))
			first = lane;
	}
	return first;
}

static void
enqueue(BmwShares *shares, BmwLane *lane)
{
	BmwShareMember *member = &lane->member;
	BmwShareQueue *queue = &member->share->ready[member->rule];

	member->turn = ++shares->turns;
	member->next = NULL;
	member->previous = queue->last;
	if (queue->last != NULL)
		queue->last->member.next = lane;
	else
		queue->first = lane;
	queue->last = lane;
	if (member->share->ready_length++ == 0)
		bmw_share_ring_insert(shares, member->share);
}

static void
dequeue(BmwShares *shares, BmwLane *lane)
{
	BmwShareMember *member = &lane->member;
	BmwShareQueue *queue = &member->share->ready[member->rule];

	if (member->previous != NULL)
		member->previous->member.next = member->next;
	else
		queue->first = member->next;
	if (member->next != NULL)
		member->next->member.previous = member->previous;
	else
		queue->last = member->previous;
	member->turn = 0;
	if (--member->share->ready_length == 0)
		bmw_share_ring_remove(shares, member->share);
}
