/*
 * pg/server/slots.h - the launcher's side of the slots: a dispatcher in each.
 *
 * Called by the launcher alone: it gives slots out and takes them back.
 */
#ifndef BMW_PG_SERVER_SLOTS_H
#define BMW_PG_SERVER_SLOTS_H

#include "postgres.h"
#include "nodes/pg_list.h"

/* A slot for every shard of a database that has none yet. False: there are not enough. */
extern bool bmw_slots_open(Oid database);
/* Takes back those whose database is not among these. */
extern void bmw_slots_close_others(List *databases);
/* What held a slot may have dropped its database: look at the databases before anything is started in those. */
extern bool bmw_slots_take_released(void);
/* Starts dispatchers, and sees which have ended. */
extern void bmw_slots_run(void);
/* Until the next start that is put off, at most this long. */
extern long bmw_slots_delay_ms(long max_ms);

#endif
