/*
 * pg/dispatch/muted.h - the event types that are not sent for an application.
 */
#ifndef BMW_PG_DISPATCH_MUTED_H
#define BMW_PG_DISPATCH_MUTED_H

#include "postgres.h"

#include "core/route.h"

typedef struct BmwMuted BmwMuted;

/* It lives in a memory context of its own below this one. */
extern BmwMuted *bmw_muted_create(MemoryContext parent);
/* For as long as the process lives. */
extern void bmw_muted_keep(BmwMuted *muted);
extern void bmw_muted_destroy(BmwMuted *muted); /* NULL: nothing happens */
/* The application's patterns from now on; none: it mutes nothing. */
extern void bmw_muted_set(BmwMuted *muted, const char *application, const char **patterns,
						  int length);
/* Is this event not sent for its application? */
extern bool bmw_muted_has(const BmwMuted *muted, const BmwRouteEvent *event);

#endif
