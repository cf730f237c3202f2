/*
 * clerk_record.c - the clerk who writes: outcomes and the cursor.
 */
#include "check.h"
#include "dispatcher.h"
#include "trace.h"
#include "world.h"

static Result write_due(Dispatcher *dispatcher, bool *is_more);
static Result flush(Dispatcher *dispatcher);
static BmwFlushAttempt attempt(const Dispatcher *dispatcher, BmwRecord *records, int length);
static void write_record(BmwRecord *record);
static bool set_aside(const BmwRecord *record);
static Result write_cursor(Dispatcher *dispatcher);

Result
clerk_record(Dispatcher *dispatcher)
{
	Result result = RESULT_DONE;
	bool is_more = true;
	uint64_t needed;

	while (is_more && result != RESULT_DIED)
		result = write_due(dispatcher, &is_more);
	if (result == RESULT_DIED)
		return result;
	needed = bmw_scheduler_wants_durable(dispatcher->scheduler);
	if (needed != 0)
	{
		MET(MET_WAITED_FOR_WAL);
		wal_flush(needed);
		bmw_scheduler_durable(dispatcher->scheduler, wal_flushed());
	}
	result = write_cursor(dispatcher);
	return result == RESULT_DIED ? result : clerk_errands(dispatcher);
}

static Result
write_due(Dispatcher *dispatcher, bool *is_more)
{
	int length;
	BmwRecord *records = bmw_scheduler_due_records(dispatcher->scheduler, &length);
	int64_t start = world.now;

	*is_more = false;
	if (records == NULL)
		return RESULT_DONE;
	dispatcher->deeds++;
	bmw_flush_begin(&dispatcher->flush, records, length, start);
	if (flush(dispatcher) == RESULT_DIED)
		return RESULT_DIED;
	memory_begin(true);
	bmw_scheduler_records_done(dispatcher->scheduler, dispatcher->flush.result,
							   dispatcher->committed, world.now - start);
	memory_end();
	*is_more = dispatcher->flush.result == BMW_WRITING_DONE;
	return RESULT_DONE;
}

static Result
flush(Dispatcher *dispatcher)
{
	BmwFlushStep step;

	while ((step = bmw_flush_next(&dispatcher->flush, world.now)).length > 0)
	{
		if (!dispatcher_pause(dispatcher, random_chance(10) ? 50 * MS : 500))
			return RESULT_DIED;
		world.steps++;
		if (step.is_setting_aside)
		{
			bmw_flush_set_aside(&dispatcher->flush, set_aside(step.records));
			continue;
		}
		bmw_flush_attempted(&dispatcher->flush, attempt(dispatcher, step.records, step.length));
		dispatcher->committed = wal_end();
	}
	return RESULT_DONE;
}

static BmwFlushAttempt
attempt(const Dispatcher *dispatcher, BmwRecord *records, int length)
{
	if (tables.log_locked_until > world.now)
	{
		MET(MET_LOG_LOCKED);
		return BMW_FLUSH_LOG_LOCKED;
	}
	if (tables.full_until > world.now)
	{
		MET(MET_WRITING_FAILED);
		return BMW_FLUSH_IMPOSSIBLE;
	}
	for (int i = 0; i < length; i++)
		if (pair_of(event_of(&records[i].event_id), registry_of(records[i].endpoint_id))
				->is_refused)
		{
			MET(MET_HALVED);
			return BMW_FLUSH_ROW_REFUSED;
		}
	for (int i = 0; i < length; i++)
	{
		check_record(dispatcher, &records[i]);
		write_record(&records[i]);
	}
	wal_commit();
	return BMW_FLUSH_COMMITTED;
}

static void
write_record(BmwRecord *record)
{
	int event = event_of(&record->event_id);
	int endpoint = registry_of(record->endpoint_id);
	Pair *pair = pair_of(event, endpoint);
	Row row = pair->row;
	bool is_overtaken =
		record->has_row && row.status == ROW_PENDING && row.due != record->fetched_due_us;

	record->is_locked = record->has_row && pair->locked_until > world.now;
	if (record->is_locked)
	{
		MET(MET_STUCK);
		return;
	}
	row.attempts = (int16_t) record->attempts;
	row.first = record->first_attempt_us;
	if (record->last_attempt_us != 0)
		row.last = record->last_attempt_us;
	if (is_overtaken)
	{
		MET(MET_OVERTAKEN);
		record->fate = BMW_RECORD_OVERTAKEN;
		record->kept_due_us = row.due;
		pair->not_before = 0; /* a user wants it at once, whatever the receiver has asked for */
	}
	else
	{
		row.status = (int8_t) (ROW_PENDING + record->status);
		row.due = record->next_attempt_us;
	}
	row_write(event, endpoint, &row);
	trace("event %d for endpoint %d is recorded: status %d, %d attempts, due %.6f%s", event,
		  endpoint, row.status, row.attempts,
		  row.due == BMW_HELD_BACK ? -1.0 : (double) (row.due - world.clock) / (double) SECOND,
		  is_overtaken ? ", overtaken" : "");
	if (row.status == ROW_PENDING && row.due == BMW_HELD_BACK)
		MET(MET_HELD_BACK);
}

static bool
set_aside(const BmwRecord *record)
{
	int event = event_of(&record->event_id);
	int endpoint = registry_of(record->endpoint_id);
	Row row = pair_of(event, endpoint)->row;

	if (tables.full_until > world.now || tables.log_locked_until > world.now)
		return false;
	MET(MET_SET_ASIDE);
	row.aside = (int8_t) (ROW_PENDING + record->status);
	row_write(event, endpoint, &row);
	wal_commit();
	trace("event %d for endpoint %d is set aside", event, endpoint);
	return true;
}

static Result
write_cursor(Dispatcher *dispatcher)
{
	const BmwSnapshot *snapshot;
	int64_t since;
	bool is_written;

	if (!bmw_scheduler_due_cursor(dispatcher->scheduler, &snapshot, &since))
		return RESULT_DONE;
	if (!dispatcher_pause(dispatcher, 300))
		return RESULT_DIED;
	dispatcher->deeds++;
	is_written = tables.cursor_locked_until <= world.now && tables.full_until <= world.now;
	if (is_written)
	{
		check_cursor(dispatcher, snapshot);
		cursor_write(dispatcher->shard, snapshot, since);
		wal_commit();
		MET(MET_CURSOR_WRITTEN);
		trace("shard %d writes its cursor %d:%d", dispatcher->shard, (int) snapshot->xmin,
			  (int) snapshot->xmax);
	}
	bmw_scheduler_cursor_done(dispatcher->scheduler, is_written);
	return RESULT_DONE;
}
