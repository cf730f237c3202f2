/*
 * pg/server/notify.h - what a backend tells the dispatcher of its database at commit.
 *
 * Cheap, never fails, does nothing when the library is not preloaded. The calls
 * only set a flag in this backend; transaction callbacks act on it.
 */
#ifndef BMW_PG_SERVER_NOTIFY_H
#define BMW_PG_SERVER_NOTIFY_H

#include "postgres.h"

/* This transaction wrote an event: wake the dispatcher when it commits. */
extern void bmw_notify_event(void);

/* This transaction creates the extension: there is to be a dispatcher that has begun after it. */
extern void bmw_notify_extension(void);

/* This transaction made deliveries of this endpoint due: the dispatcher looks for them when it commits. */
extern void bmw_notify_due_for(int64 endpoint_id);
/* Nobody knows of which: it looks at all that waits. */
extern void bmw_notify_due(void);

/* This transaction asked for an operation: the dispatcher begins with it when it commits. */
extern void bmw_notify_operation(void);

/* This transaction adopts the database: there is to be a dispatcher, before those of other copies. */
extern void bmw_notify_adopted(void);

/*
 * This transaction changed endpoints or secrets: the dispatcher reads them anew
 * when it commits, before it matches any event of this or a later transaction.
 */
extern void bmw_notify_endpoint(void);
/* It was the dispatcher itself, which knows. */
extern void bmw_notify_endpoint_is_known(void);

/* Registers the transaction callbacks; called once from _PG_init(). */
extern void bmw_notify_init(void);

/* A prepared transaction of this database is about to be, and has (not) been, committed. */
extern void bmw_notify_before_commit_prepared(void);
extern void bmw_notify_after_commit_prepared(bool is_committed);

#endif
