#include "postgres.h"

#include "pg/sql/ownership.h"

void
bmw_ownership_refuse(int64 endpoint_id)
{
	ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
			errmsg("endpoint " INT64_FORMAT " does not exist", endpoint_id),
			errhint("Endpoints are the rows of bm_webhook.endpoint."));
}
