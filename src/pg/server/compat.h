/*
 * pg/server/compat.h - differences between PostgreSQL 15, 16, 17 and 18.
 *
 * The only file that looks at PG_VERSION_NUM.
 */
#ifndef BMW_PG_SERVER_COMPAT_H
#define BMW_PG_SERVER_COMPAT_H

#include "catalog/dependency.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "storage/proc.h"
#include "utils/acl.h"

#if PG_VERSION_NUM < 150000
#error "bm_webhook needs PostgreSQL 15 or newer"
#endif

/* Until 15 part of postgres.h. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* Until 17 there is only pg_attribute_noreturn(), behind the declaration. */
#ifndef pg_noreturn
#define pg_noreturn _Noreturn
#endif

/* Unknown until 17. In a trigger such a column is always NULL: nobody computes it. */
#ifndef ATTRIBUTE_GENERATED_VIRTUAL
#define ATTRIBUTE_GENERATED_VIRTUAL 'v'
#endif

/* The index of this process among all PGPROCs. */
#if PG_VERSION_NUM >= 170000
#define BMW_MY_PROC_NUMBER ((int) MyProcNumber)
#else
#define BMW_MY_PROC_NUMBER (MyProc->pgprocno)
#endif

/* Does the role own it, or own the one who does? */
#if PG_VERSION_NUM >= 160000
#define bmw_owns_database(database, role) object_ownercheck(DatabaseRelationId, (database), (role))
#define bmw_owns_extension(extension, role)                                                        \
	object_ownercheck(ExtensionRelationId, (extension), (role))
#define bmw_owns_relation(relation, role) object_ownercheck(RelationRelationId, (relation), (role))
#else
#define bmw_owns_relation(relation, role) pg_class_ownercheck((relation), (role))
#define bmw_owns_database(database, role) pg_database_ownercheck((database), (role))
#define bmw_owns_extension(extension, role) pg_extension_ownercheck((extension), (role))
#endif

/* Memory that a check hook leaves to the setting; 15 wants what free() frees. */
#if PG_VERSION_NUM >= 160000
#define bmw_guc_malloc(level, size) guc_malloc((level), (size))
#define bmw_guc_free(pointer) guc_free(pointer)
#else
#define bmw_guc_malloc(level, size) malloc(size)
#define bmw_guc_free(pointer) free(pointer)
#endif

/* The sequence behind an identity column. */
#if PG_VERSION_NUM >= 170000
#define bmw_identity_sequence(relation, attnum) getIdentitySequence((relation), (attnum), false)
#else
#define bmw_identity_sequence(relation, attnum)                                                    \
	getIdentitySequence(RelationGetRelid(relation), (attnum), false)
#endif

/* A scan of an index with so many keys; from 18 on it can count what it does. */
#if PG_VERSION_NUM >= 180000
#define bmw_index_beginscan(table, index, snapshot, keys)                                          \
	index_beginscan((table), (index), (snapshot), NULL, (keys), 0)
#else
#define bmw_index_beginscan(table, index, snapshot, keys)                                          \
	index_beginscan((table), (index), (snapshot), (keys), 0)
#endif

/* A wait event of our own, by whose name pg_stat_activity shows it; until 16 all are "Extension". */
#if PG_VERSION_NUM >= 170000
#define bmw_wait_event_new(name) WaitEventExtensionNew(name)
#else
#define bmw_wait_event_new(name) ((void) (name), (uint32) PG_WAIT_EXTENSION)
#endif

/* A wait event set for the life of the process. */
#if PG_VERSION_NUM >= 170000
#define bmw_create_wait_event_set(events) CreateWaitEventSet(NULL, (events))
#else
#define bmw_create_wait_event_set(events) CreateWaitEventSet(TopMemoryContext, (events))
#endif

#endif
