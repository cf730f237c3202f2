/*
 * core/snapshot.h - PostgreSQL snapshots as text, and what lies between two.
 *
 * Text form of pg_snapshot: "xmin:xmax:xip,xip,...". A transaction is seen
 * (was over) when xid < xmin, or xid < xmax and not in xip. Here so that the
 * decision "which events are new" runs in a unit test without a server.
 */
#ifndef BMW_CORE_SNAPSHOT_H
#define BMW_CORE_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"

typedef struct BmwSnapshot
{
	uint64_t xmin;
	uint64_t xmax;
	uint64_t *xip; /* malloc'd, ascending; NULL when none */
	int xip_length;
} BmwSnapshot;

/* BMW_ERROR_SYNTAX (also xmin > xmax, xip not ascending or outside [xmin, xmax)), BMW_ERROR_MEMORY. */
extern BmwStatus bmw_snapshot_parse(const char *text, BmwSnapshot *out);
/* malloc'd text, NULL when out of memory. */
extern char *bmw_snapshot_format(const BmwSnapshot *snapshot);
extern void bmw_snapshot_free(BmwSnapshot *snapshot);
extern bool bmw_snapshot_sees(const BmwSnapshot *snapshot, uint64_t xid);
/*
 * The transactions that were running in prev and are over in now: writes them
 * into xids (room for prev->xip_length) and returns how many. Together with
 * xid >= prev->xmax these are all that can have become visible in between.
 */
extern int bmw_snapshot_ended(const BmwSnapshot *prev, const BmwSnapshot *now, uint64_t *xids);

#endif
