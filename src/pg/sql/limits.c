/*
 * pg/sql/limits.c - how much an application may have registered.
 *
 * Endpoints are counted with those that others are just registering, in transactions that
 * have not ended: so many sessions at once do not get beyond the limit either, and nobody
 * waits for anybody.
 */
#include "postgres.h"

#include "pg/sql/limits.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "core/pattern.h"
#include "core/secret.h"
#include "pg/sql/identity.h"
#include "pg/sql/ids.h"
#include "pg/sql/ownership.h"
#include "pg/sql/statement.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#define MAX_ENDPOINTS 1000000
#define MAX_IN_FLIGHT 10000
#define MAX_EMIT_RATE 100000
#define MAX_WAITING 1000000000

typedef struct Range
{
	const char *column;
	int least;
	int most;
} Range;

/* Of an application; -1: none. */
typedef struct Limits
{
	int endpoints;
	int event_types;
} Limits;

static const Range columns[] = {
	{"max_endpoints", 0, MAX_ENDPOINTS}, {"max_event_types", 1, BMW_MAX_PATTERNS},
	{"max_secrets", 2, BMW_MAX_SECRETS}, {"max_in_flight", 1, MAX_IN_FLIGHT},
	{"max_emit_rate", 1, MAX_EMIT_RATE}, {"max_waiting", 1, MAX_WAITING},
};

/* Only who may use the application is told that it is full. */
static BmwStatement limits_of = {
	"SELECT e.max_endpoints, e.max_event_types FROM (SELECT a.name AS application, a.max_endpoints, a.max_event_types"
	" FROM bm_webhook.application a WHERE a.name OPERATOR(pg_catalog.=) $1) e WHERE " BMW_OWNERSHIP,
	3,
	{TEXTOID, OIDOID, BOOLOID}};

static BmwStatement secrets_of = {
	"SELECT a.max_secrets FROM bm_webhook.endpoint e JOIN bm_webhook.application a"
	" ON a.name OPERATOR(pg_catalog.=) e.application WHERE e.id OPERATOR(pg_catalog.=) $1"
	" AND a.max_secrets IS NOT NULL",
	1,
	{INT8OID}};

static void check_column(BmwRow *row, const Range *limit);
static bool are_known(void);
static Limits read_limits(Datum application, Oid owner);
static int read_limit(const BmwSqlRow *row, int column);
static void check_event_types(const BmwRow *row, int most);
static bool is_new_there(const BmwRow *row);
static void check_endpoints(const BmwRow *row, int most);
static int count_endpoints(const BmwRow *row);

void
bmw_limits_check_application(BmwRow *row)
{
	for (size_t i = 0; i < lengthof(columns); i++)
		if (bmw_row_has_changed(row, columns[i].column) && !bmw_row_is_null(row, columns[i].column))
			check_column(row, &columns[i]);
}

void
bmw_limits_check_endpoint(const BmwRow *row)
{
	Limits limits;

	if (row->is_restored || bmw_row_is_null(row, "application") || !are_known() ||
		(!is_new_there(row) && !bmw_row_has_changed(row, "event_types")))
		return;
	limits = read_limits(bmw_row_value(row, "application"), row->relation->rd_rel->relowner);
	if (limits.event_types >= 0)
		check_event_types(row, limits.event_types);
	if (limits.endpoints >= 0 && is_new_there(row))
		check_endpoints(row, limits.endpoints);
}

int
bmw_limits_secrets(int64 endpoint_id, Oid owner)
{
	Datum id = Int64GetDatum(endpoint_id);
	int most = BMW_MAX_SECRETS;
	BmwIdentity before;

	if (!are_known())
		return most;
	before = bmw_identity_become(owner);
	SPI_connect();
	if (bmw_statement_run(&secrets_of, &id) > 0)
		most = bmw_sql_int32(&(BmwSqlRow){SPI_tuptable->vals[0], SPI_tuptable->tupdesc}, 1);
	SPI_finish();
	bmw_identity_return(before);
	return most;
}

static void
check_column(BmwRow *row, const Range *limit)
{
	const int32 value = DatumGetInt32(bmw_row_value(row, limit->column));

	if (value < limit->least || value > limit->most)
		bmw_row_refuse(psprintf("\"%s\" is out of range", limit->column),
					   psprintf("It must be between %d and %d.", limit->least, limit->most),
					   "null is no limit but that of every endpoint.");
}

/* Not between the start with a new library and ALTER EXTENSION UPDATE. */
static bool
are_known(void)
{
	return get_attnum(bmw_statement_table("application"), "max_endpoints") != InvalidAttrNumber;
}

static Limits
read_limits(Datum application, Oid owner)
{
	BmwCaller caller = bmw_ownership_caller();
	Datum values[3] = {application, caller.role, caller.is_unbound};
	Limits limits = {.endpoints = -1, .event_types = -1};
	BmwIdentity before = bmw_identity_become(owner);

	SPI_connect();
	if (bmw_statement_run(&limits_of, values) > 0)
	{
		BmwSqlRow row = {SPI_tuptable->vals[0], SPI_tuptable->tupdesc};

		limits.endpoints = read_limit(&row, 1);
		limits.event_types = read_limit(&row, 2);
	}
	SPI_finish();
	bmw_identity_return(before);
	return limits;
}

static int
read_limit(const BmwSqlRow *row, int column)
{
	return bmw_sql_is_null(row, column) ? -1 : bmw_sql_int32(row, column);
}

static void
check_event_types(const BmwRow *row, int most)
{
	ArrayType *patterns = DatumGetArrayTypeP(bmw_row_value(row, "event_types"));

	if (ArrayGetNItems(ARR_NDIM(patterns), ARR_DIMS(patterns)) > most)
		ereport(
			ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			errmsg("\"event_types\" has too many patterns for the endpoint's application"),
			errhint(
				"At most %d are allowed: its max_event_types, which an administrator can change.",
				most));
}

static bool
is_new_there(const BmwRow *row)
{
	return !bmw_row_is_update(row) || bmw_row_has_changed(row, "application");
}

static void
check_endpoints(const BmwRow *row, int most)
{
	if (count_endpoints(row) >= most)
		ereport(
			ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			errmsg("the application has too many endpoints"),
			errhint("At most %d are allowed: its max_endpoints, which an administrator can change. "
					"bm_webhook.delete_endpoint() deletes one.",
					most));
}

/* Of the application, those that are not deleted; one that is being changed has two rows, and counts once. */
static int
count_endpoints(const BmwRow *row)
{
	Relation relation = row->relation;
	Oid index = get_relname_relid("endpoint_application_idx", RelationGetNamespace(relation));
	AttrNumber id = SPI_fnumber(row->desc, "id");
	AttrNumber deleted_at = SPI_fnumber(row->desc, "deleted_at");
	int64 *ids = palloc(sizeof(int64) * 64);
	int room = 64;
	int length = 0;
	SnapshotData dirty;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;
	bool is_null;

	InitDirtySnapshot(dirty);
	ScanKeyEntryInitialize(&key, 0, SPI_fnumber(row->desc, "application"), BTEqualStrategyNumber,
						   TEXTOID, DEFAULT_COLLATION_OID, F_TEXTEQ,
						   bmw_row_value(row, "application"));
	scan = systable_beginscan(relation, index, OidIsValid(index), &dirty, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		(void) heap_getattr(tuple, deleted_at, row->desc, &is_null);
		if (!is_null)
			continue;
		if (length == room)
			ids = repalloc(ids, sizeof(int64) * (room *= 2));
		ids[length++] = DatumGetInt64(heap_getattr(tuple, id, row->desc, &is_null));
	}
	systable_endscan(scan);
	return bmw_ids_sort_once(ids, length);
}
