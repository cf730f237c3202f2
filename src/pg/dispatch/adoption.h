/*
 * pg/dispatch/adoption.h - whether a dispatcher may send at all: a copy of a database may not, before somebody adopts it.
 */
#ifndef BMW_PG_DISPATCH_ADOPTION_H
#define BMW_PG_DISPATCH_ADOPTION_H

#include "core/scheduler.h"
#include "pg/server/shared_memory.h"

/*
 * Pauses the scheduler, or lets it go on; tells status(), the launcher and the server's log. In a transaction.
 * generation: the slot's, of before.
 */
extern void bmw_adoption_look(BmwScheduler *scheduler, BmwSlot *slot, uint64 generation);

#endif
