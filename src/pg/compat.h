/*
 * pg/compat.h - differences between PostgreSQL 15, 16, 17 and 18.
 *
 * The only file that looks at PG_VERSION_NUM.
 */
#ifndef BMW_PG_COMPAT_H
#define BMW_PG_COMPAT_H

#include "storage/proc.h"

#if PG_VERSION_NUM < 150000
#error "bm_webhook needs PostgreSQL 15 or newer"
#endif

/* Until 17 there is only pg_attribute_noreturn(), behind the declaration. */
#ifndef pg_noreturn
#define pg_noreturn _Noreturn
#endif

/* The index of this process among all PGPROCs. */
#if PG_VERSION_NUM >= 170000
#define BMW_MY_PROC_NUMBER ((int) MyProcNumber)
#else
#define BMW_MY_PROC_NUMBER (MyProc->pgprocno)
#endif

/* A wait event set for the life of the process. */
#if PG_VERSION_NUM >= 170000
#define bmw_create_wait_event_set(events) CreateWaitEventSet(NULL, (events))
#else
#define bmw_create_wait_event_set(events) CreateWaitEventSet(TopMemoryContext, (events))
#endif

#endif
