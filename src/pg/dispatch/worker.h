/*
 * pg/dispatch/worker.h - the process in which a dispatcher lives.
 */
#ifndef BMW_PG_DISPATCH_WORKER_H
#define BMW_PG_DISPATCH_WORKER_H

#include "postgres.h"

/* arg: the index of its slot. */
extern PGDLLEXPORT void bmw_worker_main(Datum arg);
/* For other processes of ours: SIGTERM ends this one as it does a session. */
extern void bmw_worker_terminate_at_once(void);

#endif
