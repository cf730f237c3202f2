/*
 * pg/sql/event_state.c - what has become of an event at all of its endpoints.
 */
#include "postgres.h"

#include "pg/sql/event_state.h"

#include "catalog/pg_type.h"
#include "pg/sql/statement.h"

/* Those that can be meant, each found by an index: there may be a hundred thousand endpoints. */
#define CANDIDATES                                                                                 \
	"SELECT p FROM bm_webhook.endpoint p WHERE p.id OPERATOR(pg_catalog.=) e.endpoint_id"          \
	" UNION ALL SELECT p FROM bm_webhook.endpoint p WHERE e.endpoint_id IS NULL"                   \
	" AND p.application OPERATOR(pg_catalog.=) e.application"                                      \
	" UNION ALL SELECT p FROM bm_webhook.endpoint p WHERE e.endpoint_id IS NULL"                   \
	" AND p.application IS NULL"

/* An endpoint that matches and has no row yet counts as waiting. */
static BmwStatement event_state = {
	"SELECT e.xid OPERATOR(pg_catalog.=) pg_catalog.pg_current_xact_id_if_assigned(), n.delivered, n.ended, n.waiting"
	" FROM bm_webhook.event e CROSS JOIN LATERAL"
	" (SELECT count(*) FILTER (WHERE w.status = 'delivered') AS delivered,"
	"   count(*) FILTER (WHERE w.status IN ('failed', 'canceled')) AS ended,"
	"   count(*) FILTER (WHERE w.status = 'pending') AS waiting"
	"  FROM (SELECT d.status FROM bm_webhook.delivery d WHERE d.event_id = $1"
	"   UNION ALL"
	"   SELECT 'pending' FROM (" CANDIDATES ") p"
	"    WHERE bm_webhook_internal.wants(p.p, e, (SELECT a.muted_event_types FROM bm_webhook.application a"
	"     WHERE a.name OPERATOR(pg_catalog.=) e.application))"
	"    AND NOT EXISTS (SELECT FROM bm_webhook.delivery d WHERE d.event_id = $1 AND d.endpoint_id = (p.p).id)) w) n"
	" WHERE e.id = $1",
	1,
	{UUIDOID},
	.is_planned_anew = true};

BmwEventState
bmw_event_state_read(const BmwUuid *event_id)
{
	Datum values[1] = {PointerGetDatum(event_id->bytes)};
	BmwEventState state = BMW_EVENT_UNKNOWN;

	SPI_connect();
	if (bmw_statement_run(&event_state, values) > 0)
	{
		BmwSqlRow row = {SPI_tuptable->vals[0], SPI_tuptable->tupdesc};

		if (bmw_sql_bool(&row, 1))
			state = BMW_EVENT_UNCOMMITTED;
		else if (bmw_sql_int64(&row, 3) > 0)
			state = BMW_EVENT_ENDED;
		else if (bmw_sql_int64(&row, 4) > 0)
			state = BMW_EVENT_WAITING;
		else
			state = bmw_sql_int64(&row, 2) > 0 ? BMW_EVENT_DELIVERED : BMW_EVENT_UNMATCHED;
	}
	SPI_finish();
	return state;
}
