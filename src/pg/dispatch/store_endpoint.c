/*
 * pg/dispatch/store_endpoint.c - the statements about endpoints.
 *
 * The dispatcher changes an endpoint only when nobody has locked its row: it
 * waits for no user.
 */
#include "postgres.h"

#include <inttypes.h>

#include "catalog/pg_type.h"
#include "core/backoff.h"
#include "core/header.h"
#include "core/pattern.h"
#include "core/sign.h"
#include "pg/sql/insert.h"
#include "pg/sql/interval.h"
#include "pg/server/notify.h"
#include "pg/sql/sql_row.h"
#include "pg/sql/statement.h"
#include "pg/dispatch/store.h"
#include "pg/dispatch/store_secret.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#define HAS_HEADERS "headers <> '{}' AND pg_catalog.jsonb_typeof(headers) = 'object'"

/*
 * Nothing here can fail for a row that came past the triggers. A scan of one index each, merged here: a plan
 * that was made when there were few endpoints is right when there are many.
 */
static BmwStatement endpoints = {
	"SELECT id, application, channel, url, enabled, timeout, max_in_flight, created_at, event_types,"
	" CASE WHEN " HAS_HEADERS
	" THEN ARRAY(SELECT h.key FROM pg_catalog.jsonb_each_text(headers) h) END,"
	" CASE WHEN " HAS_HEADERS
	" THEN ARRAY(SELECT h.value FROM pg_catalog.jsonb_each_text(headers) h) END,"
	" retry_delays, ordering = 'by_message', coalesce(events_since, created_at), ttl,"
	" paused_at IS NOT NULL OR coalesce(a.is_paused, false), coalesce(rate_limit, 0), coalesce(rate_burst, 1),"
	" coalesce(a.rate, 0), coalesce(a.burst, 1), filter, payload = 'thin',"
	" signature_header, signature_scheme, credentials, credentials_key_id, ca_certificates, coalesce(use_proxy, true),"
	" coalesce(a.most, 0)"
	" FROM bm_webhook.endpoint LEFT JOIN LATERAL (SELECT p.paused_at IS NOT NULL, p.rate_limit, p.rate_burst,"
	"  p.max_in_flight FROM bm_webhook.application p WHERE p.name = application OFFSET 0) a (is_paused, rate, burst, most) ON true"
	" WHERE id = ANY ($1) AND deleted_at IS NULL ORDER BY id",
	1,
	{INT8ARRAYOID},
	.is_stable = true};

static BmwStatement ids_after = {
	"SELECT id FROM bm_webhook.endpoint WHERE id > $1 AND deleted_at IS NULL ORDER BY id LIMIT $2",
	2,
	{INT8OID, INT8OID}};

/* Few have something here: it is not for a join, whose plan would be one for few endpoints. */
static BmwStatement states = {
	"SELECT endpoint_id, failing_since, unverified_since FROM bm_webhook.endpoint_state WHERE endpoint_id = ANY ($1)"
	" AND (failing_since IS NOT NULL OR unverified_since IS NOT NULL) ORDER BY endpoint_id",
	1,
	{INT8ARRAYOID},
	.is_stable = true};

/* A row that a user has locked is left for later: the dispatcher waits for nobody. */
static BmwStatement set_failing = {
	"WITH free AS (SELECT e.id, e.application, e.channel, s.failing_since FROM bm_webhook.endpoint_state s"
	"  JOIN bm_webhook.endpoint e ON e.id = s.endpoint_id WHERE s.endpoint_id = $1 AND e.deleted_at IS NULL"
	"  FOR NO KEY UPDATE OF s SKIP LOCKED),"
	" changed AS (UPDATE bm_webhook.endpoint_state s SET failing_since = $2 FROM free WHERE s.endpoint_id = free.id"
	"  RETURNING free.application, free.channel, free.failing_since AS was_failing_since)"
	" SELECT EXISTS (SELECT FROM changed) OR NOT EXISTS (SELECT FROM bm_webhook.endpoint WHERE id = $1 AND deleted_at IS NULL),"
	"  (SELECT CASE WHEN was_failing_since IS NULL AND $2 IS NOT NULL THEN 'endpoint.failing'"
	"   WHEN was_failing_since IS NOT NULL AND $2 IS NULL THEN 'endpoint.recovered' END FROM changed),"
	"  (SELECT application FROM changed), (SELECT channel FROM changed),"
	"  CASE WHEN $2 IS NULL THEN pg_catalog.json_build_object('endpoint_id', $1,"
	"    'failing_since', (SELECT was_failing_since FROM changed))"
	"   ELSE pg_catalog.json_build_object('endpoint_id', $1, 'failing_since', $2, 'error_class', $3) END::text",
	3,
	{INT8OID, TIMESTAMPTZOID, TEXTOID}};

static BmwStatement disable = {
	"WITH free AS (SELECT e.id, s.failing_since FROM bm_webhook.endpoint e JOIN bm_webhook.endpoint_state s ON s.endpoint_id = e.id"
	"  WHERE e.id = $1 AND e.enabled FOR NO KEY UPDATE SKIP LOCKED),"
	" changed AS (UPDATE bm_webhook.endpoint e SET enabled = false FROM free WHERE e.id = free.id"
	"  RETURNING e.id, e.application, e.channel, free.failing_since),"
	" explained AS (UPDATE bm_webhook.endpoint_state s SET disabled_reason = $2 FROM changed WHERE s.endpoint_id = changed.id)"
	" SELECT EXISTS (SELECT FROM changed),"
	"  NOT EXISTS (SELECT FROM bm_webhook.endpoint WHERE id = $1 AND enabled),"
	"  (SELECT application FROM changed), (SELECT channel FROM changed),"
	"  pg_catalog.json_build_object('endpoint_id', $1, 'reason', $2,"
	"   'failing_since', (SELECT failing_since FROM changed))::text",
	2,
	{INT8OID, TEXTOID}};

/* Rows that belong to endpoints, in their order, and how far they have been used. */
typedef struct Rows
{
	SPITupleTable *table;
	uint64 next;
} Rows;

static Datum ids_datum(const int64 *ids, int length);
static bool can_change_endpoints(void);
static void read_endpoint(const BmwSqlRow *row, BmwEndpointRow *endpoint);
static void read_state(Rows *all, BmwEndpointRow *endpoint);
static void read_secrets(Rows *all, BmwEndpointRow *endpoint);
static void skip_to(Rows *all, int64 endpoint_id);
static bool is_next_of(const Rows *all, int64 endpoint_id);
static int64 owner_of(const Rows *all);
static int timeout_ms(const Interval *interval);
static void read_headers(const BmwSqlRow *row, BmwEndpointRow *endpoint);
static void read_delays(const BmwSqlRow *row, BmwEndpointRow *endpoint);
static void emit_about_endpoint(const char *type, const BmwSqlRow *row);

void
bmw_store_endpoints(const int64 *ids, int length, BmwEndpointRowFn fn, void *context)
{
	Datum wanted = ids_datum(ids, length);
	MemoryContext row_context = bmw_statement_row_context();
	MemoryContext caller;
	SPITupleTable *table;
	Rows found;
	Rows all;

	/* one for all: an endpoint is never seen without its secrets */
	PushActiveSnapshot(GetLatestSnapshot());
	bmw_statement_run(&endpoints, &wanted);
	table = SPI_tuptable;
	bmw_statement_run(&states, &wanted);
	found = (Rows){.table = SPI_tuptable};
	bmw_store_run_secrets(wanted);
	all = (Rows){.table = SPI_tuptable};
	PopActiveSnapshot();
	caller = MemoryContextSwitchTo(row_context);
	for (uint64 i = 0; i < table->numvals; i++)
	{
		BmwSqlRow row = {table->vals[i], table->tupdesc};
		BmwEndpointRow endpoint;

		read_endpoint(&row, &endpoint);
		read_state(&found, &endpoint);
		read_secrets(&all, &endpoint);
		fn(&endpoint, context);
		MemoryContextReset(row_context);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(row_context);
	SPI_freetuptable(table);
	SPI_freetuptable(found.table);
	SPI_freetuptable(all.table);
}

int
bmw_store_endpoint_ids(int64 after, int limit, int64 *ids)
{
	Datum values[2] = {Int64GetDatum(after), Int64GetDatum(limit)};
	int rows = bmw_statement_run(&ids_after, values);

	for (int i = 0; i < rows; i++)
		ids[i] = bmw_sql_int64(&(BmwSqlRow){SPI_tuptable->vals[i], SPI_tuptable->tupdesc}, 1);
	SPI_freetuptable(SPI_tuptable);
	return rows;
}

bool
bmw_store_set_failing(int64 endpoint_id, int64 since_us, const char *error_class)
{
	Datum values[3] = {Int64GetDatum(endpoint_id), TimestampTzGetDatum(bmw_from_unix_us(since_us)),
					   error_class != NULL ? CStringGetTextDatum(error_class) : (Datum) 0};
	BmwSqlRow row;
	const char *type;

	if (!can_change_endpoints())
		return false;
	bmw_statement_run_with(&set_failing, values, since_us == 0 ? " nn" : NULL, 0);
	row = (BmwSqlRow){SPI_tuptable->vals[0], SPI_tuptable->tupdesc};

	bool is_done = bmw_sql_bool(&row, 1);

	type = bmw_sql_text(&row, 2, NULL);
	if (type != NULL)
		emit_about_endpoint(type, &row);
	return is_done;
}

bool
bmw_store_disable(int64 endpoint_id, const char *reason)
{
	Datum values[2] = {Int64GetDatum(endpoint_id), bmw_sql_from_utf8(reason)};
	BmwSqlRow row;

	if (!can_change_endpoints())
		return false;
	bmw_statement_run(&disable, values);
	row = (BmwSqlRow){SPI_tuptable->vals[0], SPI_tuptable->tupdesc};
	bmw_notify_endpoint_is_known();
	if (!bmw_sql_bool(&row, 1))
		return bmw_sql_bool(&row, 2);
	emit_about_endpoint("endpoint.disabled", &row);
	ereport(LOG, errmsg("bm_webhook has disabled endpoint %" PRId64 ": %s", endpoint_id, reason),
			errhint("Enable it again when it is repaired; what waits for it is then sent."));
	return true;
}

static Datum
ids_datum(const int64 *ids, int length)
{
	BmwSqlColumn column;

	bmw_sql_column_init(&column, INT8OID, Max(length, 1));
	for (int i = 0; i < length; i++)
		bmw_sql_column_add(&column, Int64GetDatum(ids[i]));
	return bmw_sql_column_array(&column);
}

static bool
can_change_endpoints(void)
{
	return bmw_store_can_read_endpoints() &&
		   bmw_statement_lock(bmw_statement_table("endpoint"), RowExclusiveLock) &&
		   bmw_statement_lock(bmw_statement_table("endpoint_state"), RowExclusiveLock);
}

static void
read_endpoint(const BmwSqlRow *row, BmwEndpointRow *endpoint)
{
	endpoint->id = bmw_sql_int64(row, 1);
	endpoint->application = bmw_sql_text(row, 2, NULL);
	endpoint->channel = bmw_sql_text(row, 3, NULL);
	endpoint->url = bmw_sql_text(row, 4, NULL);
	endpoint->is_enabled = bmw_sql_bool(row, 5);
	endpoint->timeout_ms = timeout_ms(bmw_sql_interval(row, 6));
	endpoint->max_in_flight = bmw_sql_int32(row, 7);
	endpoint->created_us = bmw_sql_time(row, 8);
	endpoint->patterns = bmw_store_read_patterns(row, 9, &endpoint->patterns_length);
	endpoint->is_sealed = false;
	if (bmw_sql_is_null(row, 25))
		read_headers(row, endpoint);
	else
		bmw_store_open_headers(row, 25, endpoint);
	read_delays(row, endpoint);
	endpoint->is_ordered = bmw_sql_bool(row, 13);
	endpoint->since_us = bmw_sql_time(row, 14);
	endpoint->ttl_us = 0;
	if (!bmw_sql_is_null(row, 15))
		(void) bmw_interval_ttl(bmw_sql_interval(row, 15), &endpoint->ttl_us);
	endpoint->is_paused = bmw_sql_bool(row, 16);
	endpoint->rate_limit = bmw_sql_int32(row, 17);
	endpoint->rate_burst = bmw_sql_int32(row, 18);
	endpoint->application_rate_limit = bmw_sql_int32(row, 19);
	endpoint->application_rate_burst = bmw_sql_int32(row, 20);
	endpoint->filter = bmw_sql_jsonpath(row, 21);
	endpoint->is_thin = bmw_sql_bool(row, 22);
	endpoint->scheme_header = bmw_sql_text(row, 23, NULL);
	endpoint->scheme = bmw_sql_text(row, 24, NULL);
	endpoint->authorities = bmw_sql_text(row, 27, NULL);
	endpoint->is_direct = !bmw_sql_bool(row, 28);
	endpoint->application_max_in_flight = bmw_sql_int32(row, 29);
}

static void
read_state(Rows *all, BmwEndpointRow *endpoint)
{
	BmwSqlRow row;

	skip_to(all, endpoint->id);
	endpoint->failing_since_us = endpoint->unverified_us = 0;
	if (!is_next_of(all, endpoint->id))
		return;
	row = (BmwSqlRow){all->table->vals[all->next], all->table->tupdesc};
	endpoint->failing_since_us = bmw_sql_time(&row, 2);
	endpoint->unverified_us = bmw_sql_time(&row, 3);
}

/* Newest first. */
static void
read_secrets(Rows *all, BmwEndpointRow *endpoint)
{
	uint64 first;

	skip_to(all, endpoint->id);
	first = all->next;
	while (is_next_of(all, endpoint->id))
		all->next++;
	bmw_store_begin_secrets(endpoint);
	for (uint64 i = all->next; i > first && endpoint->secrets_length < BMW_MAX_SECRETS; i--)
		bmw_store_add_secret(&(BmwSqlRow){all->table->vals[i - 1], all->table->tupdesc}, endpoint);
}

/* Past the rows of endpoints before this one. */
static void
skip_to(Rows *all, int64 endpoint_id)
{
	while (all->next < all->table->numvals && owner_of(all) < endpoint_id)
		all->next++;
}

static bool
is_next_of(const Rows *all, int64 endpoint_id)
{
	return all->next < all->table->numvals && owner_of(all) == endpoint_id;
}

static int64
owner_of(const Rows *all)
{
	BmwSqlRow row = {all->table->vals[all->next], all->table->tupdesc};

	return bmw_sql_int64(&row, 1);
}

static int
timeout_ms(const Interval *interval)
{
	int64 us;

	(void) bmw_interval_timeout(interval, &us);
	return (int) (us / 1000);
}

/* The valid ones: matching relies on that. */
const char **
bmw_store_read_patterns(const BmwSqlRow *row, int column, int *length)
{
	int texts_length;
	const char **texts = bmw_sql_texts(row, column, &texts_length);

	*length = 0;
	for (int i = 0; i < texts_length; i++)
		if (texts[i] != NULL && bmw_pattern_is_valid(texts[i], strlen(texts[i])))
			texts[(*length)++] = texts[i];
	return texts;
}

/* Those that cannot split a request. */
static void
read_headers(const BmwSqlRow *row, BmwEndpointRow *endpoint)
{
	int names_length;
	int length = 0;
	const char **names = bmw_sql_texts(row, 10, &names_length);
	const char **values = bmw_sql_texts(row, 11, &names_length);

	for (int i = 0; i < names_length; i++)
	{
		if (!bmw_header_can_be_sent(names[i], values[i]))
			continue;
		names[length] = names[i];
		values[length++] = values[i];
	}
	endpoint->header_names = names;
	endpoint->header_values = values;
	endpoint->headers_length = length;
}

static void
read_delays(const BmwSqlRow *row, BmwEndpointRow *endpoint)
{
	int length;
	const Interval **delays = bmw_sql_intervals(row, 12, &length);

	endpoint->delays_length = Min(length, BMW_BACKOFF_MAX_DELAYS);
	endpoint->delays_us = palloc(sizeof(int64) * Max(endpoint->delays_length, 1));
	for (int i = 0; i < endpoint->delays_length; i++)
		(void) bmw_interval_delay(delays[i], &endpoint->delays_us[i]);
}

/* Columns 3 to 5 of the row: application, channel, data. */
static void
emit_about_endpoint(const char *type, const BmwSqlRow *row)
{
	BmwNewEvent event = {
		.type = type,
		.application = SPI_getvalue(row->tuple, row->descriptor, 3),
		.channel = SPI_getvalue(row->tuple, row->descriptor, 4),
		.data = SPI_getvalue(row->tuple, row->descriptor, 5),
	};

	bmw_event_store_insert(&event, 1);
}
