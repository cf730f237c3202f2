/*
 * pg/server/utility_groups.h - DROP OWNED BY a group that has privileges on the extension.
 */
#ifndef BMW_PG_SERVER_UTILITY_GROUPS_H
#define BMW_PG_SERVER_UTILITY_GROUPS_H

#include "postgres.h"

#include "nodes/nodes.h"

/* 42501 when a member is about to take from all members what their group was granted. */
extern void bmw_utility_groups_check(Node *statement);

#endif
