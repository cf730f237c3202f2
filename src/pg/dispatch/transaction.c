/*
 * pg/dispatch/transaction.c - the dispatcher's transactions: short, and never fatal.
 *
 * An error must not end the process, because requests are in flight: it is
 * caught, the transaction is rolled back, and the caller tries again later with
 * what it still has in memory. Before any work the extension's tables are
 * looked up: DROP EXTENSION may have run since the last transaction.
 */
#include "postgres.h"

#include "pg/dispatch/transaction.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pg/server/troubles.h"
#include "pg/sql/insert.h"
#include "pg/sql/statement.h"
#include "pgstat.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

typedef struct Setting
{
	const char *name;
	const char *value;
} Setting;

/*
 * Every statement of a dispatcher is a look-up by an index or an append: plans
 * that sort or scan what waits are ruled out. Plans are made once, but for those
 * that would keep all partitions (statement.h).
 */
static const Setting settings[] = {
	{"default_transaction_read_only", "off"},
	{"default_transaction_isolation", "read committed"},
	{"default_transaction_deferrable", "off"},
	{"search_path", "pg_catalog, pg_temp"},
	{"lock_timeout", "100ms"},
	{"exit_on_error", "off"},
	{"transaction_timeout", "0"},
	{"idle_in_transaction_session_timeout", "0"},
	{"statement_timeout", "0"},
	{"row_security", "on"},
	{"session_replication_role", "origin"},
	{"synchronous_commit", "off"},
	{"standard_conforming_strings", "on"},
	{"plan_cache_mode", "auto"},
	{"enable_seqscan", "off"},
	{"enable_bitmapscan", "off"},
	{"enable_sort", "off"},
	{"enable_hashjoin", "off"},
	{"enable_mergejoin", "off"},
	{"enable_material", "off"},
	{"enable_partition_pruning", "on"},
	{"max_parallel_workers_per_gather", "0"},
	{"jit", "off"},
	{"IntervalStyle", "postgres"},
	{"DateStyle", "ISO"},
	{"TimeZone", "UTC"},
};

static Oid event_table = InvalidOid; /* whose presence is checked */
static BmwTransactionError last_error;
static bool has_statistics = false;

static void begin(void);
static void finish(void);
static bool is_extension_there(void);
static void become_owner(void);
static void failed(MemoryContext caller);
static BmwErrorKind kind_of(int sqlstate);

void
bmw_transaction_init(void)
{
	/* transaction_timeout came with 17 */
	for (size_t i = 0; i < lengthof(settings); i++)
		if (GetConfigOption(settings[i].name, true, false) != NULL)
			SetConfigOption(settings[i].name, settings[i].value, PGC_SUSET, PGC_S_OVERRIDE);
	bmw_statement_keep_plans();
}

BmwTransactionResult
bmw_transaction_run(BmwSlot *slot, BmwStreak *streak, BmwWork work, void *context)
{
	BmwTransactionResult result = bmw_transaction_try(work, context);

	if (result == BMW_TRANSACTION_FAILED)
		bmw_transaction_report(slot, streak);
	else
		bmw_transaction_recovered(slot, streak);
	return result;
}

BmwTransactionResult
bmw_transaction_try(BmwWork work, void *context)
{
	volatile BmwTransactionResult result = BMW_TRANSACTION_DONE;
	MemoryContext caller = CurrentMemoryContext;

	PG_TRY();
	{
		begin();
		if (is_extension_there())
		{
			become_owner();
			work(context);
		}
		else
			result = BMW_TRANSACTION_NO_EXTENSION;
		finish();
	}
	PG_CATCH();
	{
		result = BMW_TRANSACTION_FAILED;
		failed(caller);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	return result;
}

bool
bmw_transaction_has_statistics(void)
{
	return has_statistics;
}

void
bmw_transaction_report_statistics(void)
{
	pgstat_report_stat(true);
	has_statistics = false;
}

const BmwTransactionError *
bmw_transaction_error(void)
{
	return &last_error;
}

void
bmw_transaction_report(BmwSlot *slot, BmwStreak *streak)
{
	if (streak->length++ == 0)
		streak->since = GetCurrentTimestamp();
	if (bmw_troubles_note(slot, !streak->is_noted, last_error.sqlstate))
		ereport(LOG, errmsg("bm_webhook could not work on its tables: %s", last_error.message),
				errdetail_internal("SQLSTATE %s.", unpack_sql_state(last_error.sqlstate)),
				errhint("It tries again; what is in memory is kept."));
	streak->is_noted = true;
	if (last_error.kind == BMW_ERROR_OF_PROCESS || last_error.kind == BMW_ERROR_INTERNAL)
		streak->mendable++;
	else
		streak->mendable = 0;
	bmw_shmem_error(slot, last_error.message);
}

void
bmw_transaction_recovered(BmwSlot *slot, BmwStreak *streak)
{
	if (bmw_troubles_done(slot, streak->is_noted))
		ereport(LOG, errmsg("bm_webhook works on its tables again"));
	*streak = (BmwStreak){0};
}

void
bmw_transaction_require_memory(bool has_memory)
{
	if (!has_memory)
		ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"));
}

void
bmw_transaction_limit_lock_wait(const char *limit)
{
	(void) set_config_option("lock_timeout", limit, PGC_SUSET, PGC_S_OVERRIDE, GUC_ACTION_LOCAL,
							 true, 0, false);
}

static void
begin(void)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
}

static void
finish(void)
{
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
	has_statistics = pgstat_report_stat(false) > 0;
}

static bool
is_extension_there(void)
{
	Oid schema = get_namespace_oid("bm_webhook", true);
	Oid table = OidIsValid(schema) ? get_relname_relid("event", schema) : InvalidOid;

	if (!OidIsValid(event_table))
		event_table = table; /* the first transaction of this process */
	return OidIsValid(table) && table == event_table;
}

/* Every later transaction starts as that role, too: it returns to what it found. */
static void
become_owner(void)
{
	Oid owner = bmw_event_store_owner();

	if (GetUserId() != owner)
		SetUserIdAndSecContext(owner, SECURITY_LOCAL_USERID_CHANGE);
}

static void
failed(MemoryContext caller)
{
	ErrorData *error;
	int len;

	MemoryContextSwitchTo(caller);
	error = CopyErrorData();
	FlushErrorState();
	AbortCurrentTransaction();
	pgstat_report_stat(false);
	last_error.sqlstate = error->sqlerrcode;
	last_error.kind = kind_of(error->sqlerrcode);
	len =
		pg_mbcliplen(error->message, (int) strlen(error->message), sizeof(last_error.message) - 1);
	memcpy(last_error.message, error->message, len);
	last_error.message[len] = '\0';
	FreeErrorData(error);
}

/*
 * What is not known to concern the whole server is taken to be the row's own:
 * a trigger of the administrator can raise anything.
 */
static BmwErrorKind
kind_of(int sqlstate)
{
	if (sqlstate == ERRCODE_LOCK_NOT_AVAILABLE)
		return BMW_ERROR_OF_LOCK;
	if (sqlstate == ERRCODE_OUT_OF_MEMORY)
		return BMW_ERROR_OF_PROCESS;
	switch (ERRCODE_TO_CATEGORY(sqlstate))
	{
		case ERRCODE_CONNECTION_EXCEPTION:
		case ERRCODE_INVALID_TRANSACTION_STATE: /* read-only */
		case ERRCODE_TRANSACTION_ROLLBACK:		/* deadlock */
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE:
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_SYSTEM_ERROR:
		case ERRCODE_CONFIG_FILE_ERROR:
			return BMW_ERROR_OF_SERVER;
		case ERRCODE_INTERNAL_ERROR:
			return BMW_ERROR_INTERNAL;
		default:
			return BMW_ERROR_OF_ROW;
	}
}
