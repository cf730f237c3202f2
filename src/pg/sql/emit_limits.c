/*
 * pg/sql/emit_limits.c - when no event of an application may be emitted: too many a second, or too much waits.
 *
 * A session reads the limits, and whether too much waits, again when it has known them for a second, so
 * that most calls cost no query. That too much waits was noted by a dispatcher (pg/dispatch/full.h).
 */
#include "postgres.h"

#include "pg/sql/emit_limits.h"

#include "access/attnum.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "core/pattern.h"
#include "miscadmin.h"
#include "pg/server/shared_tokens.h"
#include "pg/sql/identity.h"
#include "pg/sql/ownership.h"
#include "pg/sql/statement.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#define KNOWN_LENGTH 256
#define PINGS_A_SECOND 100

typedef struct Known
{
	uint64 of; /* a hash of the application */
	TimestampTz read_at;
	uint64 bucket;
	int rate;		 /* 0: no limit */
	int max_waiting; /* 0: less waits */
} Known;

static BmwStatement limits_of = {
	"SELECT a.name, a.max_emit_rate, f.max_waiting FROM bm_webhook.application a"
	" LEFT JOIN bm_webhook_internal.full_application f ON f.application OPERATOR(pg_catalog.=) a.name"
	" WHERE coalesce(a.max_emit_rate, f.max_waiting) IS NOT NULL"
	" AND a.name OPERATOR(pg_catalog.=) $1",
	1,
	{TEXTOID}};

static bool is_counted(const BmwNewEvent *event);
static const Known *find(const char *application);
static void read_limits(const char *application, Known *known);
static bool is_known(void);

void
bmw_emit_limits_check(const BmwNewEvent *event)
{
	const Known *known;

	if (bmw_shared == NULL || !is_counted(event))
		return;
	known = find(event->application);
	if (known->max_waiting > 0)
		ereport(ERROR, errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				errmsg("too many deliveries of the application wait"),
				errhint("At most %d may wait when an event is emitted: its max_waiting, which an "
						"administrator can change. bm_webhook.backlog tells what they wait for.",
						known->max_waiting));
	if (known->rate > 0 && !bmw_shared_tokens_take_emit(known->bucket, known->rate))
		ereport(ERROR, errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				errmsg("too many events of the application are emitted"),
				errhint("At most %d a second are accepted: its max_emit_rate, which an "
						"administrator can change. Try again in a moment.",
						known->rate));
}

/* They need no right to emit, and all take the same way as the events of others. */
void
bmw_emit_limits_check_ping(void)
{
	const BmwCaller caller = bmw_ownership_caller();
	const Oid role = DatumGetObjectId(caller.role);

	if (bmw_shared == NULL || DatumGetBool(caller.is_unbound) ||
		bmw_shared_tokens_take_emit(bmw_shared_tokens_key_of_role(MyDatabaseId, role),
									PINGS_A_SECOND))
		return;
	ereport(ERROR, errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED), errmsg("too many pings"),
			errhint("At most %d a second of a role are accepted. Try again in a moment.",
					PINGS_A_SECOND));
}

/* Not what belongs to no application, and what the extension reports when an administrator calls it. */
static bool
is_counted(const BmwNewEvent *event)
{
	if (event->application == NULL)
		return false;
	return !bmw_event_type_is_operational(event->type) ||
		   !DatumGetBool(bmw_ownership_caller().is_unbound);
}

static const Known *
find(const char *application)
{
	static Known all[KNOWN_LENGTH];
	const uint64 of =
		hash_bytes_extended((const unsigned char *) application, (int) strlen(application), 0);
	const TimestampTz now = GetCurrentTimestamp();
	Known *known = &all[of % KNOWN_LENGTH];

	if (known->of == of && now >= known->read_at && now < known->read_at + USECS_PER_SEC)
		return known;
	*known = (Known){0};
	if (is_known())
		read_limits(application, known);
	known->of = of;
	known->read_at = now;
	return known;
}

/* As they are now, whatever the isolation level is: the dispatcher holds us to what is refused now. */
static void
read_limits(const char *application, Known *known)
{
	Datum values[1] = {CStringGetTextDatum(application)};
	BmwIdentity before = bmw_identity_become(bmw_event_store_owner());

	SPI_connect();
	if (bmw_statement_run_latest(&limits_of, values) > 0)
	{
		BmwSqlRow row = {SPI_tuptable->vals[0], SPI_tuptable->tupdesc};

		known->bucket =
			bmw_shared_tokens_key(MyDatabaseId, SPI_getvalue(row.tuple, row.descriptor, 1));
		known->rate = bmw_sql_is_null(&row, 2) ? 0 : bmw_sql_int32(&row, 2);
		known->max_waiting = bmw_sql_is_null(&row, 3) ? 0 : bmw_sql_int32(&row, 3);
	}
	SPI_finish();
	bmw_identity_return(before);
}

/* Not between the start with a new library and ALTER EXTENSION UPDATE. */
static bool
is_known(void)
{
	return get_attnum(bmw_statement_table("application"), "max_waiting") != InvalidAttrNumber;
}
