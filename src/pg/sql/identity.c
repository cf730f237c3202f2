/*
 * pg/sql/identity.c - running a statement of ours as another role.
 */
#include "postgres.h"

#include "pg/sql/identity.h"

#include "miscadmin.h"

BmwIdentity
bmw_identity_become(Oid role)
{
	BmwIdentity before;

	GetUserIdAndSecContext(&before.user, &before.context);
	SetUserIdAndSecContext(role, before.context | SECURITY_LOCAL_USERID_CHANGE);
	return before;
}

void
bmw_identity_return(BmwIdentity before)
{
	SetUserIdAndSecContext(before.user, before.context);
}
