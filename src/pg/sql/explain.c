/*
 * pg/sql/explain.c - the SQL function explain_delivery(): who gets an event, and why not.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "pg/sql/call.h"
#include "pg/sql/identity.h"
#include "pg/sql/key.h"
#include "pg/sql/insert.h"
#include "pg/sql/ownership.h"
#include "pg/sql/sight.h"
#include "pg/sql/statement.h"
#include "utils/uuid.h"

PG_FUNCTION_INFO_V1(bm_webhook_explain_delivery);

#define COLUMNS 4

/* An event of an application that is not the caller's, and for none of his endpoints, is unknown. */
static BmwStatement find = {
	"SELECT FROM bm_webhook.event v WHERE v.id = $1 AND ($3 OR EXISTS"
	" (SELECT FROM bm_webhook.application a"
	"  WHERE a.name = v.application AND pg_has_role($2, a.owner, 'MEMBER'))"
	" OR EXISTS (SELECT FROM bm_webhook.endpoint e WHERE e.id = v.endpoint_id AND " BMW_OWNERSHIP
	"))",
	3,
	{UUIDOID, OIDOID, BOOLOID}};

/*
 * What keeps an endpoint from being sent what it gets, is only said of what has not ended. What the log has of the event
 * is read once, and not for each endpoint.
 */
static BmwStatement explain = {
	"SELECT x.id, x.reason IS NULL, coalesce(x.aside, x.reason, CASE WHEN x.status = 'canceled' THEN (SELECT d.error"
	"   FROM bm_webhook.delivery d WHERE d.event_id = $1 AND d.endpoint_id = x.id)"
	"  WHEN coalesce(x.status, 'pending') <> 'pending' THEN NULL"
	"  WHEN x.is_paused THEN 'paused' WHEN bm_webhook_internal.verifies() AND EXISTS"
	"   (SELECT FROM bm_webhook.endpoint_state t WHERE t.endpoint_id = x.id AND t.unverified_since IS NOT NULL)"
	"   THEN 'not verified yet' WHEN NOT EXISTS"
	"   (SELECT FROM bm_webhook.endpoint_secret s WHERE s.endpoint_id = x.id"
	"    AND s.kind <> '" BMW_CLIENT_CERTIFICATE "' AND " BMW_SECRET_LASTS
	") THEN 'no secret' WHEN EXISTS"
	"   (SELECT FROM bm_webhook.endpoint_secret s WHERE s.endpoint_id = x.id AND s.key_id IS NOT NULL"
	"    AND " BMW_SECRET_LASTS
	"    AND NOT bm_webhook_internal.opens(s.endpoint_id, s.id, s.kind, s.secret, s.key_id)) OR EXISTS"
	"   (SELECT FROM bm_webhook.endpoint p WHERE p.id = x.id AND p.credentials IS NOT NULL"
	"    AND NOT bm_webhook_internal.opens_headers(p.id, p.credentials, p.credentials_key_id))"
	"   THEN 'secret not readable' END), x.status"
	" FROM (SELECT e.id, bm_webhook_internal.reason(e, v, a.muted_event_types) AS reason,"
	"  e.paused_at IS NOT NULL OR o.paused_at IS NOT NULL OR g.is_paused AS is_paused,"
	"  CASE WHEN s.asked_by IS NOT NULL THEN d.error END AS aside,"
	"  CASE WHEN s.event_id IS NOT NULL THEN 'set aside' ELSE d.status END AS status"
	"  FROM bm_webhook.event v LEFT JOIN bm_webhook.application a ON a.name = v.application"
	"  CROSS JOIN (SELECT EXISTS (SELECT FROM bm_webhook.paused)"
	"    OR bm_webhook_internal.why_not_adopted() IS NOT NULL AS is_paused OFFSET 0) g"
	"  CROSS JOIN bm_webhook.endpoint e LEFT JOIN bm_webhook.application o ON o.name = e.application"
	"  LEFT JOIN (SELECT * FROM bm_webhook.delivery x WHERE x.event_id = $1) d ON d.endpoint_id = e.id"
	"  LEFT JOIN (SELECT * FROM bm_webhook.set_aside x WHERE x.event_id = $1) s ON s.endpoint_id = e.id"
	"  WHERE v.id = $1 AND " BMW_OWNERSHIP ") x ORDER BY 2 DESC, 1",
	3,
	{UUIDOID, OIDOID, BOOLOID}};

static void put_row(const BmwSqlRow *row, void *context);

/* explain_delivery(event uuid) */
Datum
bm_webhook_explain_delivery(PG_FUNCTION_ARGS)
{
	BmwCaller caller = bmw_ownership_caller();
	Datum values[3] = {PG_GETARG_DATUM(0), caller.role, caller.is_unbound};
	BmwIdentity before;

	if (bmw_sight_is_operator())
		values[2] = BoolGetDatum(true);
	bmw_call_require(fcinfo, 0, "event", "Name the id of an event.");
	InitMaterializedSRF(fcinfo, 0);
	before = bmw_identity_become(bmw_event_store_owner());
	SPI_connect();
	if (bmw_statement_run(&find, values) == 0)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("there is no such event"),
				errhint("Events are the rows of bm_webhook.event."));
	bmw_statement_each(&explain, values, put_row, fcinfo->resultinfo);
	SPI_finish();
	bmw_identity_return(before);
	return (Datum) 0;
}

static void
put_row(const BmwSqlRow *row, void *context)
{
	ReturnSetInfo *result = context;
	Datum values[COLUMNS];
	bool nulls[COLUMNS];

	for (int i = 0; i < COLUMNS; i++)
		values[i] = SPI_getbinval(row->tuple, row->descriptor, i + 1, &nulls[i]);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}
