/*
 * pg/dispatch/endpoints.h - the clerk of a dispatcher who knows the endpoints.
 *
 * Reads those that have changed, tells the scheduler their rules, and keeps what
 * sending to them needs.
 */
#ifndef BMW_PG_DISPATCH_ENDPOINTS_H
#define BMW_PG_DISPATCH_ENDPOINTS_H

#include "postgres.h"

#include "core/route.h"
#include "core/scheduler.h"
#include "pg/dispatch/changes.h"
#include "pg/dispatch/filters.h"
#include "pg/dispatch/known.h"
#include "pg/dispatch/muted.h"
#include "pg/server/shared_memory.h"

typedef struct BmwEndpoints
{
	BmwScheduler *scheduler;
	BmwSlot *slot;
	uint64 generation; /* up to which the notes of changes were read */
	bool is_loaded;	   /* all were read once */
	int64 look_at_ms;  /* for changes that nobody announced; by a clock that nobody sets */
	BmwChanges changes;
	BmwKnown known; /* of our shard */
	BmwRouter *router;
	BmwFilters *filters;
	BmwMuted *muted;
	uint32 keys;   /* the version of those that secrets were decrypted with */
	bool verifies; /* as the setting was when they were read */
} BmwEndpoints;

extern void bmw_endpoints_init(BmwEndpoints *endpoints, BmwScheduler *scheduler, BmwSlot *slot,
							   BmwFilters *filters);
/* Is a transaction wanted, to read them? */
extern bool bmw_endpoints_wants(BmwEndpoints *endpoints);
/* Reads what has changed, if it is time to. Inside a transaction; in a pass after its snapshot was taken. */
extern void bmw_endpoints_refresh(BmwEndpoints *endpoints);
/* False at the start, until they could be read. */
extern bool bmw_endpoints_are_loaded(const BmwEndpoints *endpoints);
/* Calls fn for each that gets the event, but for what its filter says. */
extern void bmw_endpoints_match(const BmwEndpoints *endpoints, const BmwRouteEvent *event,
								BmwRouteMatch fn, void *context);
/* Does this dispatcher's shard own the endpoint? */
extern bool bmw_endpoints_is_ours(const BmwEndpoints *endpoints, int64 endpoint_id);

#endif
