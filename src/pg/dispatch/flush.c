/*
 * pg/dispatch/flush.c - a list of records into the log, whatever some of them meet there.
 *
 * Each attempt is a transaction. Which records are attempted together is
 * core/bisect.h's: all of them as long as nothing goes wrong.
 */
#include "postgres.h"

#include <inttypes.h>

#include "core/bisect.h"
#include "pg/dispatch/flush.h"

#define BUDGET_US INT64CONST(250000) /* then let requests and answers have their turn */
#define LOCK_WAIT "20ms" /* for an uncommitted row of the same key: nothing else waits */
#define MAX_LINES 10	 /* a minute */
#define MINUTE_US (60 * INT64CONST(1000000))

typedef struct Attempt
{
	BmwRecord *records;
	int length;
	bool has_waited; /* for a lock before: look at each partition */
	bool is_locked;	 /* out: some table of the log is */
} Attempt;

typedef struct SettingAside
{
	const BmwRecord *record;
	BmwTransactionError cause;
} SettingAside;

static BmwFlushResult attempt(BmwFlush *flush, BmwSlot *slot, Attempt *attempt, BmwBisect *bisect);
static void write_log(void *context);
static void decide_fates(Attempt *attempt);
static BmwFlushResult refused(BmwFlush *flush, BmwSlot *slot, Attempt *attempt, BmwBisect *bisect);
static BmwRecordFate set_aside(BmwFlush *flush, const BmwRecord *record);
static void write_set_aside(void *context);
static void log_set_aside(BmwFlush *flush, const BmwRecord *record,
						  const BmwTransactionError *cause);
static BmwFlushResult log_is_locked(BmwFlush *flush, BmwSlot *slot);

BmwFlushResult
bmw_flush_write(BmwFlush *flush, BmwSlot *slot, BmwRecord *records, int length)
{
	TimestampTz deadline = GetCurrentTimestamp() + BUDGET_US;
	BmwFlushResult result = BMW_FLUSH_DONE;
	Attempt now = {0};
	BmwBisect bisect;

	for (int i = 0; i < length; i++)
		records[i].fate = BMW_RECORD_UNTRIED;
	bmw_bisect_begin(&bisect, length, flush->size);
	while (result == BMW_FLUSH_DONE && (now.length = bmw_bisect_next(&bisect)) > 0)
	{
		now.records = &records[bisect.position];
		result = attempt(flush, slot, &now, &bisect);
		if (result == BMW_FLUSH_DONE && bisect.position < length &&
			GetCurrentTimestamp() > deadline)
			result = BMW_FLUSH_UNFINISHED;
	}
	flush->size = result == BMW_FLUSH_UNFINISHED ? bisect.size : 0;
	if (length > 0 && (result == BMW_FLUSH_DONE || result == BMW_FLUSH_UNFINISHED))
		flush->streak = (BmwStreak){0};
	return result;
}

static BmwFlushResult
attempt(BmwFlush *flush, BmwSlot *slot, Attempt *attempt, BmwBisect *bisect)
{
	attempt->is_locked = false;
	switch (bmw_transaction_try(write_log, attempt))
	{
		case BMW_TRANSACTION_DONE:
			if (attempt->is_locked)
				return log_is_locked(flush, slot);
			decide_fates(attempt);
			bmw_bisect_succeeded(bisect);
			return BMW_FLUSH_DONE;
		case BMW_TRANSACTION_FAILED:
			return refused(flush, slot, attempt, bisect);
		case BMW_TRANSACTION_NO_EXTENSION:
			break;
	}
	return BMW_FLUSH_NO_EXTENSION;
}

static void
write_log(void *context)
{
	Attempt *attempt = context;

	bmw_transaction_limit_lock_wait(LOCK_WAIT);
	attempt->is_locked = !bmw_store_log_is_free(attempt->has_waited);
	if (!attempt->is_locked)
		bmw_store_record(attempt->records, attempt->length);
}

static void
decide_fates(Attempt *attempt)
{
	for (int i = 0; i < attempt->length; i++)
		attempt->records[i].fate =
			attempt->records[i].is_locked ? BMW_RECORD_STUCK : BMW_RECORD_WRITTEN;
}

static BmwFlushResult
refused(BmwFlush *flush, BmwSlot *slot, Attempt *attempt, BmwBisect *bisect)
{
	BmwErrorKind kind = bmw_transaction_error()->kind;

	if (kind == BMW_ERROR_OF_SERVER || kind == BMW_ERROR_OF_PROCESS)
	{
		bmw_transaction_report(slot, &flush->streak);
		return BMW_FLUSH_FAILED;
	}
	attempt->has_waited |= kind == BMW_ERROR_OF_LOCK;
	if (bmw_bisect_failed(bisect))
		attempt->records[0].fate =
			kind == BMW_ERROR_OF_LOCK ? BMW_RECORD_STUCK : set_aside(flush, attempt->records);
	return BMW_FLUSH_DONE;
}

/* When that fails, too, it stays in memory. */
static BmwRecordFate
set_aside(BmwFlush *flush, const BmwRecord *record)
{
	SettingAside aside = {.record = record, .cause = *bmw_transaction_error()};

	if (bmw_transaction_try(write_set_aside, &aside) != BMW_TRANSACTION_DONE)
		return BMW_RECORD_STUCK;
	log_set_aside(flush, record, &aside.cause);
	return BMW_RECORD_SET_ASIDE;
}

static void
write_set_aside(void *context)
{
	SettingAside *aside = context;

	bmw_transaction_limit_lock_wait(LOCK_WAIT);
	bmw_store_set_aside(aside->record, aside->cause.message,
						unpack_sql_state(aside->cause.sqlstate));
}

/* A line for each, but no flood when a trigger refuses everything. */
static void
log_set_aside(BmwFlush *flush, const BmwRecord *record, const BmwTransactionError *cause)
{
	TimestampTz now = GetCurrentTimestamp();
	char id[BMW_UUID_TEXT_SIZE];

	if (now - flush->lines_since > MINUTE_US)
	{
		flush->lines = 0;
		flush->lines_since = now;
	}
	if (flush->lines++ >= MAX_LINES)
		return;
	bmw_uuid_format(&record->event_id, id);
	ereport(LOG,
			errmsg("bm_webhook set aside the outcome of event %s for endpoint %" PRId64 ": %s", id,
				   record->endpoint_id, cause->message),
			errdetail_internal("SQLSTATE %s.", unpack_sql_state(cause->sqlstate)),
			flush->lines == MAX_LINES
				? errhint("The table bm_webhook.set_aside has those that follow within a minute.")
				: errhint("When the cause is gone, call bm_webhook.retry_set_aside()."));
}

static BmwFlushResult
log_is_locked(BmwFlush *flush, BmwSlot *slot)
{
	if (flush->streak.length++ == 0)
		flush->streak.since = GetCurrentTimestamp();
	bmw_shmem_error(slot, "another session has locked tables of the log");
	return BMW_FLUSH_LOCKED;
}
