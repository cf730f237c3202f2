/*
 * pg/sql/idempotency.c - keys under which an event is emitted only once.
 *
 * A unique index decides, so that only who uses the same key waits, and a transaction may
 * use any number of them. Both statements read with the latest snapshot: a
 * transaction at REPEATABLE READ, too, must see the event that another one has emitted
 * meanwhile. There PostgreSQL refuses to insert beside a row that the transaction's own
 * snapshot does not see (40001): the refusal is caught, and the row is found at the next look.
 */
#include "postgres.h"

#include "pg/sql/idempotency.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "pg/server/settings.h"
#include "pg/sql/statement.h"
#include "utils/builtins.h"
#include "utils/resowner.h"

static BmwStatement find = {
	"SELECT k.event_id, k.fingerprint FROM bm_webhook_internal.idempotency_key k"
	" WHERE k.application OPERATOR(pg_catalog.=) $1 AND k.key OPERATOR(pg_catalog.=) $2"
	" AND k.expires_at OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp()",
	2,
	{TEXTOID, TEXTOID}};

static BmwStatement claim = {
	"INSERT INTO bm_webhook_internal.idempotency_key AS k (application, key, event_id, fingerprint, expires_at)"
	" VALUES ($1, $2, $3, $4, pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => $5))"
	" ON CONFLICT (application, key) DO UPDATE SET event_id = excluded.event_id,"
	"  fingerprint = excluded.fingerprint, expires_at = excluded.expires_at"
	"  WHERE k.expires_at OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp()"
	" RETURNING true",
	5,
	{TEXTOID, TEXTOID, UUIDOID, INT8OID, FLOAT8OID}};

static bool is_taken(const Datum *values, const BmwIdempotencyKey *key, pg_uuid_t *event_id,
					 bool *says_the_same);
static bool take(Datum *values);
static bool take_guarded(Datum *values);

bool
bmw_idempotency_claim(const BmwIdempotencyKey *key, pg_uuid_t *event_id, bool *says_the_same)
{
	Datum values[5] = {CStringGetTextDatum(key->application != NULL ? key->application : ""),
					   CStringGetTextDatum(key->key), UUIDPGetDatum(event_id),
					   Int64GetDatum((int64) key->fingerprint),
					   Float8GetDatum(bmw_idempotency_window)};

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (is_taken(values, key, event_id, says_the_same))
			return false;
		if (XactIsoLevel == XACT_REPEATABLE_READ ? take_guarded(values) : take(values))
			return true;
	}
}

static bool
is_taken(const Datum *values, const BmwIdempotencyKey *key, pg_uuid_t *event_id,
		 bool *says_the_same)
{
	Datum names[2] = {values[0], values[1]};
	BmwSqlRow row;
	BmwUuid id;

	if (bmw_statement_run_latest(&find, names) == 0)
		return false;
	row = (BmwSqlRow){SPI_tuptable->vals[0], SPI_tuptable->tupdesc};
	id = bmw_sql_uuid(&row, 1);
	memcpy(event_id->data, id.bytes, UUID_LEN);
	*says_the_same = (uint64) bmw_sql_int64(&row, 2) == key->fingerprint;
	return true;
}

/* Waits for whoever is about to take it. False: somebody has. */
static bool
take(Datum *values)
{
	return bmw_statement_run_latest(&claim, values) > 0;
}

static bool
take_guarded(Datum *values)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner resources = CurrentResourceOwner;
	volatile bool is_ours = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		is_ours = take(values);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = resources;
	}
	PG_CATCH();
	{
		ErrorData *caught;

		MemoryContextSwitchTo(context);
		caught = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = resources;
		if (caught->sqlerrcode != ERRCODE_T_R_SERIALIZATION_FAILURE)
			ReThrowError(caught);
		FreeErrorData(caught);
	}
	PG_END_TRY();
	return is_ours;
}
