/*
 * pg/sql/identity.c - running a statement of ours as another role.
 */
#include "postgres.h"

#include "pg/sql/identity.h"

#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/rls.h"

BmwIdentity
bmw_identity_become(Oid role)
{
	BmwIdentity before;

	GetUserIdAndSecContext(&before.user, &before.context);
	SetUserIdAndSecContext(role, before.context | SECURITY_LOCAL_USERID_CHANGE);
	before.settings = 0;
	if (!row_security)
	{
		before.settings = NewGUCNestLevel();
		(void) set_config_option("row_security", "on", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
								 true, 0, false);
	}
	return before;
}

void
bmw_identity_return(BmwIdentity before)
{
	if (before.settings != 0)
		AtEOXact_GUC(true, before.settings);
	SetUserIdAndSecContext(before.user, before.context);
}
