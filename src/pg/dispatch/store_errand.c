/*
 * pg/dispatch/store_errand.c - the statements that change many rows of an endpoint, some at a time.
 *
 * Rows that somebody has locked are left for later.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "pg/dispatch/store.h"
#include "pg/sql/sql_row.h"
#include "pg/sql/statement.h"

/* What is held back, and what waits for an endpoint that is gone. */
#define HELD                                                                                       \
	"d.event_id FROM bm_webhook.delivery d WHERE d.endpoint_id = $1 AND d.status = 'pending'"      \
	" AND d.next_attempt_at = 'infinity' AND" BMW_NOT_SET_ASIDE
#define WAITING                                                                                    \
	"d.event_id FROM bm_webhook.delivery d WHERE d.endpoint_id = $1 AND d.status = 'pending'"      \
	" AND NOT EXISTS (SELECT FROM bm_webhook.endpoint WHERE id = $1 AND deleted_at IS NULL) AND" BMW_NOT_SET_ASIDE

static BmwStatement find_held = {"SELECT " HELD " LIMIT 1", 1, {INT8OID}};
static BmwStatement find_waiting = {"SELECT " WAITING " LIMIT 1", 1, {INT8OID}};

/* An endpoint that keeps the order no longer: what was held back is due. */
static BmwStatement let_go = {"WITH held AS MATERIALIZED (SELECT " HELD
							  " LIMIT $2 FOR NO KEY UPDATE OF d SKIP LOCKED)"
							  " UPDATE bm_webhook.delivery d SET next_attempt_at = pg_catalog.now()"
							  " FROM held WHERE d.event_id = held.event_id AND d.endpoint_id = $1"
							  " RETURNING d.event_id, d.next_attempt_at",
							  2,
							  {INT8OID, INT8OID}};

/*
 * Planned by a clock that was ahead: later than the schedule and its jitter can be from now. After an
 * attempt in the past it is, as a rule, a receiver that has asked for so much patience.
 */
#define LATEST                                                                                     \
	"pg_catalog.now() + 1.2 * coalesce(p.retry_delays[greatest(d.attempts, 1)], '0'::interval)"
#define TOO_LATE                                                                                   \
	"d.event_id, " LATEST " AS latest FROM bm_webhook.delivery d"                                  \
	" JOIN bm_webhook.endpoint p ON p.id = d.endpoint_id"                                          \
	" WHERE d.endpoint_id = $1 AND d.status = 'pending' AND d.next_attempt_at > " LATEST           \
	" AND d.next_attempt_at < 'infinity'"                                                          \
	" AND (d.last_attempt_at IS NULL OR d.last_attempt_at > pg_catalog.now()) AND" BMW_NOT_SET_ASIDE

static BmwStatement find_too_late = {"SELECT " TOO_LATE " LIMIT 1", 1, {INT8OID}};
static BmwStatement clamp = {"WITH late AS MATERIALIZED (SELECT " TOO_LATE
							 " LIMIT $2 FOR NO KEY UPDATE OF d SKIP LOCKED)"
							 " UPDATE bm_webhook.delivery d SET next_attempt_at = late.latest"
							 " FROM late WHERE d.event_id = late.event_id AND d.endpoint_id = $1"
							 " RETURNING d.event_id, d.next_attempt_at",
							 2,
							 {INT8OID, INT8OID}};

static BmwStatement cancel = {
	"WITH waiting AS MATERIALIZED (SELECT " WAITING " LIMIT $3 FOR NO KEY UPDATE OF d SKIP LOCKED)"
	", ended AS (UPDATE bm_webhook.delivery d SET status = 'canceled', next_attempt_at = NULL, error = $2"
	"  FROM waiting WHERE d.event_id = waiting.event_id AND d.endpoint_id = $1 RETURNING d.attempts),"
	" counted AS (INSERT INTO bm_webhook_internal.pending_change"
	"  SELECT $1, -pg_catalog.count(*), -pg_catalog.count(*) FILTER (WHERE attempts > 0) FROM ended"
	"  HAVING pg_catalog.count(*) > 0)"
	" SELECT FROM ended",
	3,
	{INT8OID, TEXTOID, INT8OID}};

static int move(BmwStatement *statement, BmwStatement *find, int64 endpoint_id, int limit,
				bool *is_done, BmwMovedFn fn, void *context);

int
bmw_store_let_go(int64 endpoint_id, int limit, bool *is_done, BmwMovedFn fn, void *context)
{
	return move(&let_go, &find_held, endpoint_id, limit, is_done, fn, context);
}

int
bmw_store_clamp(int64 endpoint_id, int limit, bool *is_done, BmwMovedFn fn, void *context)
{
	*is_done = false;
	if (!bmw_store_can_read_endpoints())
		return 0;
	return move(&clamp, &find_too_late, endpoint_id, limit, is_done, fn, context);
}

int
bmw_store_cancel(int64 endpoint_id, const char *reason, int limit, bool *is_done)
{
	Datum values[3] = {Int64GetDatum(endpoint_id), bmw_sql_from_utf8(reason), Int64GetDatum(limit)};
	int changed;

	*is_done = false;
	if (!bmw_store_can_read_endpoints())
		return 0;
	changed = bmw_statement_run(&cancel, values);
	*is_done = changed < limit && bmw_statement_run(&find_waiting, values) == 0;
	return changed;
}

static int
move(BmwStatement *statement, BmwStatement *find, int64 endpoint_id, int limit, bool *is_done,
	 BmwMovedFn fn, void *context)
{
	Datum values[2] = {Int64GetDatum(endpoint_id), Int64GetDatum(limit)};
	int changed = bmw_statement_run(statement, values);

	bmw_store_forget_oldest();
	for (int i = 0; i < changed; i++)
	{
		BmwSqlRow row = {SPI_tuptable->vals[i], SPI_tuptable->tupdesc};
		BmwUuid id = bmw_sql_uuid(&row, 1);

		fn(&id, bmw_sql_due(&row, 2), context);
	}
	*is_done = changed < limit && bmw_statement_run(find, values) == 0;
	return changed;
}
