/*
 * pg/server/give_way.h - dispatchers of copies, which wait for adopt(), give way where workers are few.
 *
 * Called by the launcher alone, but for bmw_give_way_waits().
 */
#ifndef BMW_PG_SERVER_GIVE_WAY_H
#define BMW_PG_SERVER_GIVE_WAY_H

#include "postgres.h"

#include "pg/server/shared_memory.h"
#include "pg/server/start.h"

/* Does its database wait for adopt(), as far as is known? */
extern bool bmw_give_way_waits(BmwSlot *slot);
/* Does a database that does not wait for adopt() lack a worker? With the lock held. */
extern bool bmw_give_way_is_due(void);
/* Asks as many dispatchers to end as workers are lacked. */
extern void bmw_give_way(BmwStart *starts);
/* There is a worker now: who lacks one tries again. With the lock held. */
extern void bmw_give_way_tell(BmwStart *starts);

#endif
