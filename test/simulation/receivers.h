/*
 * receivers.h - a model of the endpoints' servers: quick, slow, hanging, failing,
 * asking for patience, gone, coming and going.
 */
#ifndef SIM_RECEIVERS_H
#define SIM_RECEIVERS_H

#include "core/scheduler.h"
#include "registry.h"

#define MAX_REQUESTS 2048
#define REQUEST_BITS 11

typedef struct Request
{
	bool is_open;
	bool is_starting; /* has not asked for a place at its address yet */
	bool has_place;	  /* of those that are limited */
	bool is_answered;
	uint64_t address;
	int generation;
	int shard;
	int event;
	int endpoint;
	Version known; /* of the endpoint that it is meant for */
	struct BmwDelivery *delivery;
	BmwEnd end;
} Request;

extern Request requests[MAX_REQUESTS];

extern void receivers_begin(void);
/* False: for a reason of ours it cannot be started. */
extern bool receivers_send(int shard, int event, int endpoint, struct BmwDelivery *delivery);
extern void receivers_answer(int argument);
/* That have been sent, and have not connected yet. */
extern int receivers_starting(int shard);
/* It may go there, or it may not. */
extern void receivers_connect(Request *request, bool may_enter);
/* One more is open there, or one less. */
extern void receivers_enter(uint64_t address);
extern void receivers_leave(uint64_t address);
/* What an endpoint would answer now. Returns after how long. */
extern int64_t receivers_decide(int endpoint, BmwEnd *end);
extern void receivers_change(int endpoint);
/* Nobody waits for these answers any more. */
extern void receivers_drop(int shard);
extern void receivers_close(Request *request);
extern int receivers_open(int shard, int endpoint); /* endpoint -1: of all */
/* One that is under way, if there is any. */
extern void receivers_choose_open(int *event, int *endpoint);
/* Does it refuse in a way that does not change: a fixed share, or what comes too fast? */
extern bool receivers_are_steady(int endpoint);
extern void receivers_calm(void);
/* clerk_verify.c: the same for challenges. */
extern void challenges_begin(void);
extern void challenge_answer(int argument);
extern void challenges_drop(int shard);

#endif
