/*
 * core/suspects.h - the requests under way when a process crashed, and which of them it crashes of.
 *
 * Each request that starts is marked in memory that outlives the process (a mapped
 * file), each that ends is not any more: a few stores, no system call. After a crash
 * what is marked is under suspicion, and is sent with care until it has ended once:
 * after one crash a few at a time, after two one alone, while nothing else starts. So
 * whatever has been under way in three crashes was alone in the third, nearly always.
 *
 *   suspects = bmw_suspects_create(marks)            -- after a crash or not
 *   while ((mark = bmw_suspects_culprit(suspects)))  -- it is not to be sent again:
 *     ... bmw_suspects_forget(suspects, mark)
 *   if (bmw_suspects_may_start(suspects, key, now_us))
 *     bmw_suspects_started(suspects, key) ... bmw_suspects_ended(suspects, key) | _withdrawn
 *
 * Times are microseconds. Called by one thread, but for bmw_suspects_excuse().
 */
#ifndef BMW_CORE_SUSPECTS_H
#define BMW_CORE_SUSPECTS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/uuid.h"

#define BMW_MARKS 16384 /* more than a process has requests in flight */
#define BMW_CRASHES_MAX 3

/* A request: an event, all zeros for a challenge (challenge.h), on its way to an endpoint. */
typedef struct BmwSuspectKey
{
	BmwUuid event_id;
	int64_t endpoint_id;
} BmwSuspectKey;

typedef struct BmwMark
{
	BmwSuspectKey key;
	uint32_t crashes; /* in which it was under way, since it ended the last time */
	uint32_t is_in_flight;
} BmwMark;

/* What outlives the process. */
typedef struct BmwMarks
{
	uint32_t format;
	uint32_t is_excused; /* the process was told to end at once: it did not crash */
	BmwMark items[BMW_MARKS];
} BmwMarks;

typedef struct BmwSuspects BmwSuspects;

/*
 * Takes over what the process before has left; anything else in that memory becomes
 * empty. The memory stays the caller's. NULL: no memory.
 */
extern BmwSuspects *bmw_suspects_create(BmwMarks *marks);
extern void bmw_suspects_destroy(BmwSuspects *suspects); /* NULL: nothing happens */
/* Under suspicion at the moment. */
extern int bmw_suspects_length(const BmwSuspects *suspects);
/* One that was under way in BMW_CRASHES_MAX crashes; NULL: there is none. */
extern const BmwMark *bmw_suspects_culprit(const BmwSuspects *suspects);
extern void bmw_suspects_forget(BmwSuspects *suspects, const BmwMark *mark);
/* False: not now, but soon. */
extern bool bmw_suspects_may_start(BmwSuspects *suspects, const BmwSuspectKey *key, int64_t now_us);
extern void bmw_suspects_started(BmwSuspects *suspects, const BmwSuspectKey *key, int64_t now_us);
/* The process has survived it. */
extern void bmw_suspects_ended(BmwSuspects *suspects, const BmwSuspectKey *key);
/* It was not sent after all. */
extern void bmw_suspects_withdrawn(BmwSuspects *suspects, const BmwSuspectKey *key);
/* From a signal handler: what is under way is not to blame for the end of this process. */
extern void bmw_suspects_excuse(BmwMarks *marks);

#endif
