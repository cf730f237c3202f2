/*
 * pg/dispatch/fence.h - asks bm_webhook.fence_command whether this server may send.
 *
 * A server that comes back alone cannot know that another one has taken over; what manages the
 * servers does. Its command is a child process, for which nobody waits: the dispatcher looks now and then
 * how it is.
 */
#ifndef BMW_PG_DISPATCH_FENCE_H
#define BMW_PG_DISPATCH_FENCE_H

#include <sys/types.h>

#include "pg/server/shared_memory.h"

/* Zeroed memory: nothing was asked yet. Times are those of bmw_clock_us(). */
typedef struct BmwFence
{
	pid_t pid;	   /* of the command that runs; 0: none */
	int64 next_us; /* then the command has run for too long, or is to be asked again */
	bool has_ended_it;
	bool is_refused; /* and the log was told */
} BmwFence;

/* Starts the command, or looks how it is. True: this server may send. */
extern bool bmw_fence_is_open(BmwFence *fence, BmwSlot *slot);
/* How long until it is worth looking again. */
extern long bmw_fence_wait_ms(const BmwFence *fence);
/* The configuration has been read anew: a command that has refused is asked at once. */
extern void bmw_fence_reload(BmwFence *fence);
/* Ends a command that still runs. */
extern void bmw_fence_end(BmwFence *fence);

#endif
