#include "postgres.h"

#include "pg/sql/ownership.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "pg/sql/identity.h"
#include "pg/sql/insert.h"
#include "pg/sql/statement.h"
#include "utils/acl.h"

static BmwStatement owned = {
	"SELECT FROM bm_webhook.endpoint e WHERE e.id OPERATOR(pg_catalog.=) $1 AND e.deleted_at IS NULL AND " BMW_OWNERSHIP,
	3,
	{INT8OID, OIDOID, BOOLOID}};

void
bmw_ownership_require(int64 endpoint_id)
{
	Oid user = GetUserId();
	Datum values[3] = {Int64GetDatum(endpoint_id), ObjectIdGetDatum(user),
					   BoolGetDatum(has_bypassrls_privilege(user))};
	BmwIdentity before = bmw_identity_become(bmw_event_store_owner());
	bool is_owned;

	SPI_connect();
	is_owned = bmw_statement_run(&owned, values) > 0;
	SPI_finish();
	bmw_identity_return(before);
	if (!is_owned)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("endpoint " INT64_FORMAT " does not exist", endpoint_id),
				errhint("Endpoints are the rows of bm_webhook.endpoint."));
}
