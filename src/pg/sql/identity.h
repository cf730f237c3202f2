/*
 * pg/sql/identity.h - running a statement of ours as another role.
 *
 * Only finished values and SQL with qualified names may be used in between:
 * nothing of the caller's must run as the other role. An error needs no
 * clean-up: the abort of a transaction or subtransaction restores the role.
 * With row_security off, as in a restore, the other role would be refused what policies give it.
 */
#ifndef BMW_PG_SQL_IDENTITY_H
#define BMW_PG_SQL_IDENTITY_H

#include "postgres.h"

/* Who we were before. */
typedef struct BmwIdentity
{
	Oid user;
	int context;
	int settings; /* the level of those that were changed; 0: none */
} BmwIdentity;

extern BmwIdentity bmw_identity_become(Oid role);
extern void bmw_identity_return(BmwIdentity before);

#endif
