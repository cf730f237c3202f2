#include "postgres.h"

#include "pg/sql/ownership.h"

#include "miscadmin.h"
#include "utils/acl.h"
#include "pg/sql/insert.h"
#include "utils/builtins.h"

BmwCaller
bmw_ownership_caller(void)
{
	Oid user = GetUserId();

	return (BmwCaller){.role = ObjectIdGetDatum(user),
					   .is_unbound = BoolGetDatum(has_bypassrls_privilege(user) ||
												  user == bmw_event_store_owner())};
}

Datum
bmw_ownership_caller_name(void)
{
	return DirectFunctionCall1(namein, CStringGetDatum(GetUserNameFromId(GetUserId(), false)));
}

void
bmw_ownership_require_administrator(const char *what)
{
	if (!DatumGetBool(bmw_ownership_caller().is_unbound))
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("only an administrator can %s", what),
				errhint("It takes a role with BYPASSRLS."));
}

void
bmw_ownership_refuse(int64 endpoint_id)
{
	ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
			errmsg("endpoint " INT64_FORMAT " does not exist", endpoint_id),
			errhint("Endpoints are the rows of bm_webhook.endpoint."));
}
