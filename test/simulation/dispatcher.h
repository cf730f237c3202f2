/*
 * dispatcher.h - the dispatchers: their life, their cycle, and the clerks, played as
 * thinly as can be. What decides is the real scheduler.
 */
#ifndef SIM_DISPATCHER_H
#define SIM_DISPATCHER_H

#include "core/flush.h"
#include "core/operation.h"
#include "core/route.h"
#include "core/scheduler.h"
#include "registry.h"

typedef enum Result
{
	RESULT_DONE,
	RESULT_FAILED, /* a statement, or for want of memory: the transaction is over */
	RESULT_DIED
} Result;

#define NOTHING_DUE (-1)
#define RATE_BURST 5
#define MAX_NAMED 3 /* beyond, nobody knows for whom */

typedef struct Dispatcher
{
	int shard;
	bool is_running;
	bool is_in_cycle;
	bool must_die;
	bool is_stopping;
	int64_t stop_by; /* then it waits for no request any more */
	int64_t wake_at; /* true time */
	bool is_latched;
	BmwMode mode;
	BmwScheduler *scheduler;
	BmwLimits limits;
	BmwRouter *router;
	Version known[MAX_ENDPOINTS];
	bool is_known_paused[MAX_ENDPOINTS]; /* itself, or its application */
	bool is_paused;						 /* everything, as far as it knows */
	uint64_t generation;
	BmwSnapshot seen; /* what it sees has been read, or is to be */
	uint32_t changed; /* endpoints that are to be read */
	bool is_in_round; /* of all of them */
	bool again;		  /* and another one is wanted */
	int next_in_round;
	int64_t notes_at; /* the next look for notes that nobody announced */
	bool is_loaded;
	bool is_awake; /* an announcement that has not been looked for */
	bool has_due;
	int due[MAX_NAMED]; /* endpoints for which something was made due */
	int due_length;
	bool has_answers;
	BmwFlush flush;
	BmwOperations operations;
	bool has_operation; /* somebody has asked for one */
	uint64_t committed;
	int starts;
	int64_t started;
	int64_t hold_until[MAX_ENDPOINTS]; /* a receiver has asked for that, by world_planned() */
	unsigned long cycles;
	unsigned long deeds; /* requests and transactions that wrote */
	int seen_matches;
} Dispatcher;

extern Dispatcher dispatchers[MAX_SHARDS];
extern int dispatchers_length;

/* dispatcher.c */
extern void dispatchers_begin(void);
extern void dispatchers_end(void);
/* Another number of shards: all stop, and that many start. */
extern void dispatchers_set(int count);
extern void dispatchers_hold(int64_t length);
/* due: an endpoint, or NOTHING_DUE. */
extern void dispatchers_announce(bool endpoints, int due);
extern void dispatchers_announce_operation(void);
extern void dispatchers_server_crash(void);
extern void dispatcher_crash(int shard, const char *why);
extern void dispatcher_stop(int shard);
extern void dispatcher_start(int shard);
extern void dispatcher_wake(int shard);
extern void dispatcher_wakes(int shard);
extern bool dispatchers_are_up(void);
extern bool dispatcher_owns(const Dispatcher *dispatcher, int endpoint);

/* cycle.c: the world goes on for a moment. False: the dispatcher is dead. */
extern bool dispatcher_pause(Dispatcher *dispatcher, int64_t most);
extern void dispatcher_cycle(Dispatcher *dispatcher);
/* A statement: it takes its time, may fail, and the dispatcher may die in it. */
extern Result dispatcher_statement(Dispatcher *dispatcher);

/* clerk_endpoints.c */
extern bool clerk_wants_endpoints(Dispatcher *dispatcher);
extern Result clerk_refresh(Dispatcher *dispatcher);
/* clerk_intake.c */
extern Result clerk_take_in(Dispatcher *dispatcher);
/* clerk_fetch.c */
extern bool clerk_wants_fetch(Dispatcher *dispatcher);
extern Result clerk_fetch(Dispatcher *dispatcher);
/* clerk_send.c */
extern void clerk_start(Dispatcher *dispatcher);
extern void clerk_collect(Dispatcher *dispatcher);
/* What was started goes out, where there is room. */
extern void clerk_connect(Dispatcher *dispatcher);
/* clerk_verify.c: asks for proofs, and writes who has given one. */
extern void clerk_ask(Dispatcher *dispatcher);
extern void clerk_connect_challenges(Dispatcher *dispatcher);
extern void clerk_collect_proofs(Dispatcher *dispatcher);
extern Result clerk_write_proofs(Dispatcher *dispatcher);
/* clerk_record.c */
extern Result clerk_record(Dispatcher *dispatcher);
/* clerk_errand.c */
extern Result clerk_errands(Dispatcher *dispatcher);

/* clerk_operate.c */
extern Result clerk_operate(Dispatcher *dispatcher);

/* shared.c: what all dispatchers share, until the server crashes. */
extern void shared_begin(void);
extern void shared_use(Dispatcher *dispatcher);
/* It ends. */
extern void shared_leave(const Dispatcher *dispatcher);

/* memory.c: the core's next allocations fail, as chance has it. */
extern void memory_begin(bool may_fail);
extern void memory_end(void);

#endif
