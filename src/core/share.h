/*
 * core/share.h - the places of an application: how many of its requests may be open.
 *
 * For lane.c and lanes.c; nobody else includes it. Lanes belong to a share: that
 * of their endpoint's application, or of no application. Shares take turns, and
 * within a share its lanes. With max_in_flight = M there are 2 M places in all.
 *
 *   a share may start another request while it has fewer open than places are free
 *
 * So one alone gets M of them, two that want all get 2/3 M each, three M/2: what
 * one application leaves hanging always leaves places for those that come, at
 * once, and for as many as it has itself free. Within a share the same kind of rule
 * keeps room for its other endpoints:
 *
 *   a lane whose last request failed, or that has not had a success yet: while such
 *   lanes of the share hold less than half as many as are free, and those of all
 *   shares less than half of all places
 *   a lane with nothing in flight: also while the share holds less than twice as
 *   many as are free
 *
 * A share whose application has a rate limit takes a token for each request (tokens.h).
 * When it is refused one, none of its lanes has a turn until the time that it was told. One whose
 * application has max_in_flight takes a place for each (places.h), and gives it back; refused,
 * it waits until a request of its own has ended, or for a moment.
 */
#ifndef BMW_CORE_SHARE_H
#define BMW_CORE_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/heap.h"
#include "core/lane.h"

typedef struct BmwShare BmwShare;

/* Which rule holds for a lane's next request. */
typedef enum BmwShareRule
{
	BMW_SHARE_IDLE, /* nothing in flight */
	BMW_SHARE_BUSY,
	BMW_SHARE_DOUBTFUL,
	BMW_SHARE_RULES
} BmwShareRule;

/* What a share keeps in each of its lanes. */
typedef struct BmwShareMember
{
	BmwShare *share;
	BmwLane *next; /* of the ready lanes of the same rule */
	BmwLane *previous;
	BmwShareRule rule;
	uint64_t turn; /* 0: not ready */
	int in_flight; /* as the share counts it */
} BmwShareMember;

/* All shares. Zeroed memory is none. */
typedef struct BmwShares
{
	BmwShare **buckets;
	int buckets_length; /* a power of two, or 0 */
	int length;
	BmwShare *ring; /* those with ready lanes; whose turn is next */
	uint64_t turns;
	uint64_t made;
	int in_flight;
	int doubtful; /* of these, of lanes that are */
	BmwHeap held; /* shares that wait for a token or a place, by when to ask again */
	BmwTokenPort tokens;
	BmwPlacePort places;
} BmwShares;

extern void bmw_share_free_all(BmwShares *shares);
/* Of its endpoint; NULL: of none. */
extern const char *bmw_share_application(const BmwLane *lane);
/* Moves the lane to the application's share (NULL: none); false: no memory, it stays. */
extern bool bmw_share_join(BmwShares *shares, BmwLane *lane, const char *application);
/* So many requests a second of the lane's share, here and in other processes; rate 0: any. */
extern void bmw_share_set_rate(BmwShares *shares, BmwLane *lane, int rate, int burst);
/* So many requests in flight of the lane's share, here and in other processes; 0: any. */
extern void bmw_share_set_limit(BmwShares *shares, BmwLane *lane, int max_in_flight);
/* Of the lane's share, never that of another; not 0. */
extern uint64_t bmw_share_number(const BmwLane *lane);
/* The lane is about to be freed. */
extern void bmw_share_leave(BmwShares *shares, BmwLane *lane);
/* Counts what the lane has in flight, and puts it among the ready lanes or takes it out. */
extern void bmw_share_update(BmwShares *shares, BmwLane *lane, bool is_ready);
/* Whose turn it is when so many places are free; NULL: nobody may start. */
extern BmwLane *bmw_share_next(const BmwShares *shares, int free);
/* A place and a token for a request of the lane, whose turn it is; false: its share waits for one. */
extern bool bmw_share_admit(BmwShares *shares, const BmwLane *lane, int64_t now_us);
/* It has something to send, and its application as many requests in flight as it may. */
extern bool bmw_share_is_crowded(const BmwLane *lane);
/* Shares whose time has come ask again. */
extern void bmw_share_end_holds(BmwShares *shares, int64_t now_us);
/* When the next of them does. */
extern int64_t bmw_share_wakeup_us(const BmwShares *shares);
/* It was the lane's turn: the next time it is the last. */
extern void bmw_share_pass_turn(BmwShares *shares, BmwLane *lane);

#endif
