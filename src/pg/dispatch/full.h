/*
 * pg/dispatch/full.h - applications of which as much waits as their max_waiting allows.
 *
 * The first shard's pg/dispatch/tally.c says which; sessions emit nothing for them (pg/sql/emit_limits.c),
 * and what is captured for them all the same is not sent.
 */
#ifndef BMW_PG_DISPATCH_FULL_H
#define BMW_PG_DISPATCH_FULL_H

#include "postgres.h"

#include "core/route.h"
#include "utils/hsearch.h"

typedef struct BmwFull
{
	HTAB *applications; /* NULL: none is */
	int64 read_at_us;	/* by a clock that nobody sets; 0: never */
} BmwFull;

/* Before events are taken. Inside a transaction that sees them. */
extern void bmw_full_refresh(BmwFull *full);
/* Was its application full when the event was captured, and is it still? */
extern bool bmw_full_has(const BmwFull *full, const BmwRouteEvent *event);

#endif
