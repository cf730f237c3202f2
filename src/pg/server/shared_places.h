/*
 * pg/server/shared_places.h - the requests in flight of applications and to addresses, counted for all dispatchers of the server.
 */
#ifndef BMW_PG_SERVER_SHARED_PLACES_H
#define BMW_PG_SERVER_SHARED_PLACES_H

#include "core/lane.h"
#include "pg/server/shared_memory.h"

/* For the scheduler of the dispatcher that has this slot. */
extern BmwPlacePort bmw_shared_places(BmwSlot *slot);
extern BmwDestinationPort bmw_shared_destinations(BmwSlot *slot);
/* That dispatcher ends: it has nothing in flight any more. */
extern void bmw_shared_places_forget(const BmwSlot *slot);

#endif
