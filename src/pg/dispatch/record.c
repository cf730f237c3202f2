/*
 * pg/dispatch/record.c - the clerk of a dispatcher who writes: outcomes, the cursor, changes of endpoints.
 *
 * Which records are tried together is core/flush.c's; each attempt is a
 * transaction. Changes of endpoint rows are errands, each step in its own
 * transaction, because a user may have locked such a row. So is the cursor,
 * which only ever says what has been committed.
 */
#include "postgres.h"

#include "pg/dispatch/record.h"

#include <inttypes.h>

#include "access/xlog.h"
#include "pg/dispatch/clock.h"
#include "pg/dispatch/store.h"
#include "pg/server/troubles.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"

#define LOCK_WAIT "20ms"		  /* for an uncommitted row of the same key: nothing else waits */
#define LOCKED_LOG_MS 10000		  /* shorter is usual */
#define WRITE_US INT64CONST(5000) /* of a cycle; what is left is written in the next one */
#define MAX_LINES 10			  /* a minute */
#define MINUTE_US (60 * INT64CONST(1000000))

typedef struct Attempt
{
	BmwFlushStep step;
	bool has_waited; /* for a lock before: look at each partition */
	bool is_locked;	 /* out: some table of the log is */
} Attempt;

typedef struct SettingAside
{
	const BmwRecord *record;
	BmwTransactionError cause;
} SettingAside;

typedef struct WritingCursor
{
	int shard;
	const BmwSnapshot *snapshot;
	int64 since_us;
	bool is_written;
} WritingCursor;

typedef struct Moved
{
	BmwUuid event_id;
	int64 due_us;
} Moved;

/* A step of an errand. */
typedef struct Step
{
	BmwErrand errand;
	bool is_done;
	int rows; /* that were changed */
	Moved moved[BMW_ERRAND_ROWS];
	int moved_length;
} Step;

static void flush_at_exit(int code, Datum argument);
static bool write_due(BmwRecorder *recorder);
static BmwFlushAttempt attempt(BmwRecorder *recorder, Attempt *attempt);
static void write_log(void *context);
static BmwFlushAttempt judge_failure(BmwRecorder *recorder, Attempt *attempt);
static bool set_aside(BmwRecorder *recorder, const BmwRecord *record);
static void write_set_aside(void *context);
static void log_set_aside(BmwRecorder *recorder, const BmwRecord *record,
						  const BmwTransactionError *cause);
static void note_locked(BmwRecorder *recorder);
static void write_cursor(BmwRecorder *recorder);
static void update_cursor(void *context);
static void run_errands(BmwRecorder *recorder);
static BmwErrandResult run_errand(BmwRecorder *recorder, Step *step);
static void make_step(void *context);
static void note_moved(const BmwUuid *event_id, int64 due_us, void *context);

void
bmw_record_init(BmwRecorder *recorder, BmwScheduler *scheduler, BmwSlot *slot,
				BmwStatistics *statistics)
{
	*recorder = (BmwRecorder){.scheduler = scheduler,
							  .slot = slot,
							  .statistics = statistics,
							  .has_extension = true};
	before_shmem_exit(flush_at_exit, 0);
}

/*
 * The next dispatcher takes for durable what it reads in the rows: else it could
 * send the next event of a message before the end of the one before is on disk.
 */
static void
flush_at_exit(int code, Datum argument)
{
	if (!XLogRecPtrIsInvalid(XactLastCommitEnd))
		XLogFlush(XactLastCommitEnd);
}

void
bmw_record_run(BmwRecorder *recorder)
{
	const int64 start_us = bmw_clock_us();
	uint64 needed;

	while (recorder->has_extension && write_due(recorder) && bmw_clock_us() - start_us < WRITE_US)
		;
	needed = bmw_scheduler_wants_durable(recorder->scheduler);
	if (needed != 0)
	{
		XLogFlush(needed);
		bmw_record_look(recorder);
	}
	if (recorder->has_extension)
		write_cursor(recorder);
	if (recorder->has_extension)
		run_errands(recorder);
}

void
bmw_record_look(BmwRecorder *recorder)
{
	bmw_scheduler_durable(recorder->scheduler, GetFlushRecPtr(NULL));
}

/* False: nothing is due, or nothing more can be written for now. */
static bool
write_due(BmwRecorder *recorder)
{
	int length;
	BmwRecord *records = bmw_scheduler_due_records(recorder->scheduler, &length);
	int64 start_us = bmw_clock_us();
	int64 duration_us;
	Attempt at_hand = {0};

	if (records == NULL)
		return false;
	bmw_flush_begin(&recorder->flush, records, length, start_us);
	while ((at_hand.step = bmw_flush_next(&recorder->flush, bmw_clock_us())).length > 0)
		if (at_hand.step.is_setting_aside)
			bmw_flush_set_aside(&recorder->flush, set_aside(recorder, at_hand.step.records));
		else
			bmw_flush_attempted(&recorder->flush, attempt(recorder, &at_hand));
	if (recorder->flush.result == BMW_WRITING_DONE ||
		recorder->flush.result == BMW_WRITING_UNFINISHED)
		bmw_transaction_recovered(recorder->slot, &recorder->streak);
	duration_us = bmw_clock_us() - start_us;
	bmw_statistics_add(recorder->statistics, records, length, recorder->flush.result, duration_us);
	bmw_scheduler_records_done(recorder->scheduler, recorder->flush.result, XactLastCommitEnd,
							   duration_us);
	/* wait_for_delivery() looks again */
	ConditionVariableBroadcast(&recorder->slot->flushed);
	return recorder->flush.result == BMW_WRITING_DONE;
}

static BmwFlushAttempt
attempt(BmwRecorder *recorder, Attempt *attempt)
{
	attempt->is_locked = false;
	switch (bmw_transaction_try(write_log, attempt))
	{
		case BMW_TRANSACTION_DONE:
			if (!attempt->is_locked)
				return BMW_FLUSH_COMMITTED;
			note_locked(recorder);
			return BMW_FLUSH_LOG_LOCKED;
		case BMW_TRANSACTION_FAILED:
			return judge_failure(recorder, attempt);
		case BMW_TRANSACTION_NO_EXTENSION:
			break;
	}
	recorder->has_extension = false;
	return BMW_FLUSH_IMPOSSIBLE;
}

static void
write_log(void *context)
{
	Attempt *attempt = context;

	bmw_transaction_limit_lock_wait(LOCK_WAIT);
	attempt->is_locked = !bmw_store_log_is_free(attempt->has_waited);
	if (!attempt->is_locked)
		bmw_store_record(attempt->step.records, attempt->step.length);
}

static BmwFlushAttempt
judge_failure(BmwRecorder *recorder, Attempt *attempt)
{
	switch (bmw_transaction_error()->kind)
	{
		case BMW_ERROR_OF_SERVER:
		case BMW_ERROR_OF_PROCESS:
			bmw_transaction_report(recorder->slot, &recorder->streak);
			return BMW_FLUSH_IMPOSSIBLE;
		case BMW_ERROR_OF_LOCK:
			attempt->has_waited = true;
			return BMW_FLUSH_ROW_LOCKED;
		case BMW_ERROR_OF_ROW:
		case BMW_ERROR_INTERNAL:
			break;
	}
	return BMW_FLUSH_ROW_REFUSED;
}

/* When that fails, too, it stays in memory. */
static bool
set_aside(BmwRecorder *recorder, const BmwRecord *record)
{
	SettingAside aside = {.record = record, .cause = *bmw_transaction_error()};

	if (bmw_transaction_try(write_set_aside, &aside) != BMW_TRANSACTION_DONE)
		return false;
	log_set_aside(recorder, record, &aside.cause);
	return true;
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
log_set_aside(BmwRecorder *recorder, const BmwRecord *record, const BmwTransactionError *cause)
{
	TimestampTz now = GetCurrentTimestamp();
	char id[BMW_UUID_TEXT_SIZE];

	if (now - recorder->lines_since > MINUTE_US)
	{
		recorder->lines = 0;
		recorder->lines_since = now;
	}
	if (recorder->lines++ >= MAX_LINES)
		return;
	bmw_uuid_format(&record->event_id, id);
	ereport(LOG,
			errmsg("bm_webhook set aside the outcome of event %s for endpoint %" PRId64 ": %s", id,
				   record->endpoint_id, cause->message),
			errdetail_internal("SQLSTATE %s.", unpack_sql_state(cause->sqlstate)),
			recorder->lines == MAX_LINES
				? errhint("The table bm_webhook.set_aside has those that follow within a minute.")
				: errhint("When the cause is gone, call bm_webhook.retry_set_aside()."));
}

static void
note_locked(BmwRecorder *recorder)
{
	static const char *const what = "another session has locked tables of the log";
	BmwStreak *streak = &recorder->streak;
	TimestampTz now = GetCurrentTimestamp();

	if (streak->length++ == 0)
		streak->since = now;
	bmw_shmem_error(recorder->slot, what);
	if (!streak->is_noted && !TimestampDifferenceExceeds(streak->since, now, LOCKED_LOG_MS))
		return;
	if (bmw_troubles_note(recorder->slot, !streak->is_noted, ERRCODE_LOCK_NOT_AVAILABLE))
		ereport(LOG, errmsg("bm_webhook cannot write to its log: %s", what),
				errhint("It tries again; what is in memory is kept."));
	streak->is_noted = true;
}

static void
write_cursor(BmwRecorder *recorder)
{
	WritingCursor writing = {.shard = recorder->slot->shard};
	BmwTransactionResult result;

	if (!bmw_scheduler_due_cursor(recorder->scheduler, &writing.snapshot, &writing.since_us))
		return;
	result = bmw_transaction_run(recorder->slot, &recorder->cursor_streak, update_cursor, &writing);
	recorder->has_extension = result != BMW_TRANSACTION_NO_EXTENSION;
	bmw_scheduler_cursor_done(recorder->scheduler,
							  result == BMW_TRANSACTION_DONE && writing.is_written);
}

/* A row that somebody has locked is written later: the cursor may lag behind. */
static void
update_cursor(void *context)
{
	WritingCursor *writing = context;

	writing->is_written =
		bmw_store_write_cursor(writing->shard, writing->snapshot, writing->since_us);
}

static void
run_errands(BmwRecorder *recorder)
{
	Step step;

	while (recorder->has_extension && bmw_scheduler_next_errand(recorder->scheduler, &step.errand))
	{
		BmwErrandResult result = run_errand(recorder, &step);

		bmw_scheduler_errand_done(recorder->scheduler, &step.errand, result);
	}
}

static BmwErrandResult
run_errand(BmwRecorder *recorder, Step *step)
{
	BmwTransactionResult result;

	step->is_done = false;
	step->rows = step->moved_length = 0;
	result = bmw_transaction_run(recorder->slot, &recorder->errand_streak, make_step, step);
	recorder->has_extension = result != BMW_TRANSACTION_NO_EXTENSION;
	if (result != BMW_TRANSACTION_DONE)
		return BMW_ERRAND_LATER;
	for (int i = 0; i < step->moved_length; i++)
		bmw_scheduler_moved(recorder->scheduler, step->errand.endpoint_id, &step->moved[i].event_id,
							step->moved[i].due_us);
	return bmw_errand_result(step->is_done, step->rows);
}

static void
make_step(void *context)
{
	Step *step = context;
	int64 endpoint_id = step->errand.endpoint_id;

	switch (step->errand.kind)
	{
		case BMW_ERRAND_FAILING:
			step->is_done =
				bmw_store_set_failing(endpoint_id, step->errand.time_us, step->errand.reason);
			break;
		case BMW_ERRAND_DISABLE:
			step->is_done = bmw_store_disable(endpoint_id, step->errand.reason);
			break;
		case BMW_ERRAND_CANCEL:
			step->rows =
				bmw_store_cancel(endpoint_id, step->errand.reason, BMW_ERRAND_ROWS, &step->is_done);
			break;
		case BMW_ERRAND_LET_GO:
			step->rows =
				bmw_store_let_go(endpoint_id, BMW_ERRAND_ROWS, &step->is_done, note_moved, step);
			break;
		case BMW_ERRAND_CLAMP:
			step->rows =
				bmw_store_clamp(endpoint_id, BMW_ERRAND_ROWS, &step->is_done, note_moved, step);
			break;
	}
}

static void
note_moved(const BmwUuid *event_id, int64 due_us, void *context)
{
	Step *step = context;

	step->moved[step->moved_length++] = (Moved){.event_id = *event_id, .due_us = due_us};
}
