/*
 * pg/dispatch/cycle.h - the cycle of a dispatcher, for the process that lives it (pg/dispatch/worker.c).
 */
#ifndef BMW_PG_DISPATCH_CYCLE_H
#define BMW_PG_DISPATCH_CYCLE_H

#include "postgres.h"

#include "pg/server/shared_memory.h"

typedef struct BmwCycle BmwCycle;

extern BmwCycle *bmw_cycle_create(BmwSlot *slot);
/* Everything that can be done now; returns how many ms to wait at most. */
extern long bmw_cycle_run(BmwCycle *cycle);
/* Readable when there is something to do for the network. */
extern int bmw_cycle_fd(const BmwCycle *cycle);
/* Settings have changed; false: they need a new process. */
extern bool bmw_cycle_reload(BmwCycle *cycle);
/* From now on no new requests; false: none is in flight any more. */
extern bool bmw_cycle_stop(BmwCycle *cycle);
/* Writes what is known, and breaks off the rest. */
extern void bmw_cycle_end(BmwCycle *cycle);
/* False: the extension has gone. */
extern bool bmw_cycle_has_extension(const BmwCycle *cycle);

#endif
