/*
 * pg/server/utility_locks.h - commands that lock a table before they ask whether they may.
 */
#ifndef BMW_PG_SERVER_UTILITY_LOCKS_H
#define BMW_PG_SERVER_UTILITY_LOCKS_H

#include "postgres.h"

#include "nodes/nodes.h"

/* 42501 when the command is about to lock a table of ours, and will be refused then. */
extern void bmw_utility_locks_check(Node *statement);

#endif
