/*
 * world.h - virtual time, and the heap of what happens next.
 *
 * There are two clocks: true time, which only goes on, and the wall clock,
 * which may be set. Everything here is planned in true time; dispatchers and
 * tables see the wall clock alone.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "plan.h"

#define MS INT64_C(1000)
#define SECOND INT64_C(1000000)
#define CLOCK_AT_START (INT64_C(1700000000) * SECOND)

typedef enum Actor
{
	ACTOR_WRITER,	  /* begins a transaction; argument: which writer */
	ACTOR_XACT,		  /* a transaction goes on; argument: its number */
	ACTOR_ADMIN,	  /* changes endpoints */
	ACTOR_SUPPORT,	  /* redelivers, locks rows */
	ACTOR_OPERATOR,	  /* crashes, clocks, locks of tables, shards */
	ACTOR_WAL_WRITER, /* flushes now and then */
	ACTOR_RECEIVER,	  /* changes its mood; argument: endpoint */
	ACTOR_ANSWER,	  /* of a request; argument: its number */
	ACTOR_CHALLENGED, /* the answer to a challenge; argument: its number */
	ACTOR_DISPATCHER, /* a cycle; argument: shard */
	ACTOR_START,	  /* of a dispatcher; argument: shard */
	ACTORS
} Actor;

typedef struct World
{
	Plan plan;
	int64_t now;	  /* true time */
	int64_t clock;	  /* the wall clock minus true time */
	int64_t set_back; /* by how much the wall clock was set back, altogether */
	int64_t faulty;	  /* when something last kept dispatchers from their work */
	bool is_calm;	  /* no more faults, and nobody does anything any more */
	uint64_t steps;
	uint64_t hash;
} World;

extern World world;

extern void world_begin(const Plan *plan);
extern void world_at(int64_t when, Actor actor, int argument);
extern void world_after(int64_t delay, Actor actor, int argument);
/* Whatever happens until then, and then it is then. */
extern void world_run_until(int64_t when);
extern int64_t world_wall(void);
/* The wall clock as if it had never been set back: plans are kept by it. */
extern int64_t world_planned(void);
/* Into the hash of everything that has happened. */
extern void world_mix(uint64_t value);
/* A fault: for so long nobody can blame a dispatcher for being late. */
extern void world_fault(int64_t length);

#endif
