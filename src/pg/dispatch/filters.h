/*
 * pg/dispatch/filters.h - the clerk of a dispatcher who knows the filters of endpoints.
 *
 * Asked for each endpoint that would get an event. What fails is not sent to that
 * endpoint, and told by a webhook.filter_failed, at most once a minute for each.
 */
#ifndef BMW_PG_DISPATCH_FILTERS_H
#define BMW_PG_DISPATCH_FILTERS_H

#include "postgres.h"

#include "lib/ilist.h"
#include "pg/dispatch/store.h"
#include "pg/dispatch/transaction.h"
#include "pg/server/shared_memory.h"
#include "pg/sql/filter.h"
#include "utils/hsearch.h"

typedef struct BmwFilters
{
	BmwSlot *slot;
	HTAB *by_endpoint;	/* those that have one */
	HTAB *applications; /* that have had one: what all of theirs have used up */
	dlist_head failing; /* those with failures that were not told */
	int64 tell_at_us;	/* when there is a failure to be told; by a clock that nobody sets */
	BmwStreak streak;
	bool has_extension;
} BmwFilters;

/* An event at hand. Its body is made when the first filter asks for it. */
typedef struct BmwFiltered
{
	const BmwEventSource *source;
	bool is_made;
	BmwFilterBody body;
} BmwFiltered;

extern void bmw_filters_init(BmwFilters *filters, BmwSlot *slot);
/* The endpoint's filter, or that it has none; copied. */
extern void bmw_filters_set(BmwFilters *filters, int64 endpoint_id, const char *application,
							const JsonPath *path);
/* Does any endpoint have one? */
extern bool bmw_filters_exist(const BmwFilters *filters);
extern bool bmw_filters_pass(BmwFilters *filters, int64 endpoint_id, BmwFiltered *event);
/* Tells of what has failed, in a transaction, if it is time to. */
extern void bmw_filters_tell(BmwFilters *filters);
/* In how long is it? */
extern int64 bmw_filters_wait_us(const BmwFilters *filters);

#endif
