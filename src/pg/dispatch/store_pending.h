/*
 * pg/dispatch/store_pending.h - the statements that count what is pending, for each endpoint.
 *
 * Whoever changes that says so in the same transaction, by a row of its own. Rows
 * that somebody else has changed by hand are counted from time to time.
 */
#ifndef BMW_PG_DISPATCH_STORE_PENDING_H
#define BMW_PG_DISPATCH_STORE_PENDING_H

#include "postgres.h"

#include "pg/sql/sql_row.h"

/* By how much a transaction changes it. */
#define BMW_RECOUNT_BATCH 20 /* endpoints, at most */

typedef struct BmwPendingTally
{
	BmwSqlColumn columns[3];
} BmwPendingTally;

extern void bmw_pending_tally_init(BmwPendingTally *tally, int capacity);
extern void bmw_pending_tally_add(BmwPendingTally *tally, int64 endpoint_id, int pending,
								  int retrying);
extern void bmw_pending_tally_write(BmwPendingTally *tally);

/* Has this process changed anything since the changes were added up? */
extern bool bmw_store_pending_has_changed(void);
extern void bmw_store_pending_add_up(void);
/*
 * Counts anew, and says that there is something to be added up, for some endpoints after this id, ascending; returns the last of them,
 * PG_INT64_MIN: there are no more. Endpoints for which very much waits are left out.
 */
extern int64 bmw_store_pending_recount(int64 after_id, int endpoints);

/* Notes which applications are full now, and which are no more: fn is called for each that changes. */
typedef void (*BmwFullChangeFn)(const char *application, bool is_full, void *context);
extern void bmw_store_note_full(BmwFullChangeFn fn, void *context);
extern bool bmw_store_has_full(void);
/* Those that are, and since when. */
typedef void (*BmwFullFn)(const char *application, int64 since_us, void *context);
extern void bmw_store_full(BmwFullFn fn, void *context);

#endif
