/*
 * pg/server/shared_reports.h - what dispatchers do with their endpoints, where everybody can see it.
 *
 * In shared memory and not in a table: it changes all the time, and is worth nothing
 * after a restart. There is room for some thousands of endpoints of the server; of
 * those that find none, those that are sent as much as they may are left out first,
 * then those that have not changed for longest.
 */
#ifndef BMW_PG_SERVER_SHARED_REPORTS_H
#define BMW_PG_SERVER_SHARED_REPORTS_H

#include "core/report.h"
#include "pg/server/shared_memory.h"

/* A dispatcher has started: it knows nothing of what its predecessors told. */
extern void bmw_shared_reports_forget(const BmwSlot *slot);
extern void bmw_shared_reports_put(const BmwSlot *slot, const BmwReport *report);
/* Those of a database, at most that many as there is room for; returns how many. Palloc'd. */
extern int bmw_shared_reports_get(Oid database, BmwSharedReport **reports);

#endif
