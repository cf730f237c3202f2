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
	bool is_answered;
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

#endif
