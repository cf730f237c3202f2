/*
 * pg/dispatch/statistics.c - the clerk of a dispatcher who counts what became of attempts.
 *
 * Counts what was written, when it was: what is in the log is what is counted. There is
 * room for a limited number of endpoints; of more in a minute the rest is not counted.
 */
#include "postgres.h"

#include "pg/dispatch/statistics.h"

#include <math.h>

#include "pg/dispatch/clock.h"
#include "pg/dispatch/store_statistics.h"
#include "utils/memutils.h"

#define SECOND_US INT64CONST(1000000)
#define MINUTE_US (60 * SECOND_US)
#define HOUR_US (60 * MINUTE_US)
#define MAX_ENTRIES 50000
#define GROWTH 1.1 /* from one bucket to the next; the first one: a millisecond */
#define LOCK_WAIT "20ms"

static HTAB *create(const char *name, Size key, Size entry);
static void add(BmwStatistics *statistics, const BmwRecord *record);
static bool is_settled(const BmwRecord *record);
static int64 minute_us(const BmwStatistics *statistics, const BmwRecord *record);
static void count(HTAB *minutes, const BmwMinuteKey *key, const BmwRecord *record, int bucket);
static BmwMinute *minute_of(HTAB *minutes, const BmwMinuteKey *key);
static void add_delivered(BmwMinute *minute, const BmwRecord *record, int bucket);
static void add_failure(BmwStatistics *statistics, const BmwRecord *record);
static int bucket_of(int64 us);
static bool is_empty(const BmwStatistics *statistics);
static void write_counts(BmwStatistics *statistics);
static void write_tables(void *context);
static void forget(void *context);
static void run(BmwStatistics *statistics, BmwWork work);
static void clear(BmwStatistics *statistics);

void
bmw_statistics_init(BmwStatistics *statistics, BmwSlot *slot, int64 now_us)
{
	*statistics = (BmwStatistics){.slot = slot,
								  .write_at_us = now_us - now_us % MINUTE_US + MINUTE_US,
								  .forget_at_us = now_us + MINUTE_US,
								  .now_us = now_us,
								  .phase = BMW_PHASE_UPKEEP,
								  .phase_since_us = bmw_clock_us(),
								  .has_extension = true};
	clear(statistics);
}

void
bmw_statistics_took(BmwStatistics *statistics, int events)
{
	statistics->counts.events += events;
}

void
bmw_statistics_add(BmwStatistics *statistics, const BmwRecord *records, int length,
				   BmwWriting result, int64 duration_us)
{
	BmwDispatcherCounts *counts = &statistics->counts;
	int written = 0;

	for (int i = 0; i < length; i++)
		if (is_settled(&records[i]))
		{
			add(statistics, &records[i]);
			written++;
		}
	if (result == BMW_WRITING_LOCKED || result == BMW_WRITING_FAILED)
		counts->failed_flushes++;
	counts->longest_flush_us = Max(counts->longest_flush_us, duration_us);
	if (written == 0)
		return;
	counts->flushes++;
	counts->records += written;
	counts->largest_flush = Max(counts->largest_flush, written);
}

void
bmw_statistics_enter(BmwStatistics *statistics, BmwPhase phase)
{
	int64 now_us = bmw_clock_us();

	statistics->counts.phase_us[statistics->phase] += now_us - statistics->phase_since_us;
	statistics->phase = phase;
	statistics->phase_since_us = now_us;
}

void
bmw_statistics_run(BmwStatistics *statistics, int64 now_us)
{
	statistics->now_us = now_us;
	if (now_us >= statistics->write_at_us)
	{
		statistics->write_at_us = now_us - now_us % MINUTE_US + MINUTE_US;
		if (!is_empty(statistics))
			write_counts(statistics);
	}
	if (now_us < statistics->forget_at_us || statistics->slot->shard != 0)
		return;
	statistics->forget_at_us = now_us + HOUR_US;
	run(statistics, forget);
}

void
bmw_statistics_end(BmwStatistics *statistics)
{
	bmw_statistics_enter(statistics, statistics->phase);
	write_counts(statistics);
}

void
bmw_statistics_shift(BmwStatistics *statistics, int64 back_us)
{
	statistics->write_at_us -= back_us;
	statistics->forget_at_us -= back_us;
}

int64
bmw_statistics_wakeup_us(const BmwStatistics *statistics)
{
	return is_empty(statistics) ? PG_INT64_MAX : statistics->write_at_us;
}

static HTAB *
create(const char *name, Size key, Size entry)
{
	HASHCTL control = {.keysize = key, .entrysize = entry, .hcxt = TopMemoryContext};

	return hash_create(name, 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static bool
is_settled(const BmwRecord *record)
{
	return record->fate == BMW_RECORD_WRITTEN || record->fate == BMW_RECORD_OVERTAKEN ||
		   record->fate == BMW_RECORD_SET_ASIDE;
}

static void
add(BmwStatistics *statistics, const BmwRecord *record)
{
	BmwDispatcherCounts *counts = &statistics->counts;
	const bool is_delivered = record->status == BMW_DELIVERED;
	const bool is_given_up = record->status == BMW_FAILED;
	const bool is_canceled = record->status == BMW_CANCELED;
	const int bucket = is_delivered ? bucket_of(record->times.total_us) : 0;
	BmwMinuteKey key = {.id = record->endpoint_id, .minute_us = minute_us(statistics, record)};

	if (!is_delivered && !is_given_up && !is_canceled && !record->is_failed_attempt)
		return;
	counts->delivered += is_delivered;
	counts->failed_attempts += record->is_failed_attempt;
	counts->given_up += is_given_up;
	counts->canceled += is_canceled;
	count(statistics->minutes, &key, record, bucket);
	key.id = statistics->slot->shard;
	count(statistics->totals, &key, record, bucket);
	if (record->is_failed_attempt)
		add_failure(statistics, record);
}

static int64
minute_us(const BmwStatistics *statistics, const BmwRecord *record)
{
	const bool is_attempt = record->status == BMW_DELIVERED || record->is_failed_attempt;
	const int64 at_us =
		is_attempt && record->last_attempt_us != 0 ? record->last_attempt_us : statistics->now_us;

	return at_us - at_us % MINUTE_US;
}

static void
count(HTAB *minutes, const BmwMinuteKey *key, const BmwRecord *record, int bucket)
{
	const bool is_delivered = record->status == BMW_DELIVERED;
	BmwMinute *minute = minute_of(minutes, key);

	if (minute == NULL)
		return;
	minute->failed_attempts += record->is_failed_attempt;
	minute->given_up += record->status == BMW_FAILED;
	minute->canceled += record->status == BMW_CANCELED;
	minute->retries += (is_delivered || record->is_failed_attempt) && record->attempts > 1;
	if (is_delivered)
		add_delivered(minute, record, bucket);
	if (record->is_failed_attempt)
		minute->last_failure_us = Max(minute->last_failure_us, record->last_attempt_us);
}

/* NULL: there is no room. */
static BmwMinute *
minute_of(HTAB *minutes, const BmwMinuteKey *key)
{
	bool is_there;
	BmwMinute *minute = hash_search(
		minutes, key, hash_get_num_entries(minutes) < MAX_ENTRIES ? HASH_ENTER : HASH_FIND,
		&is_there);

	if (minute != NULL && !is_there)
		*minute = (BmwMinute){.key = *key};
	return minute;
}

static void
add_delivered(BmwMinute *minute, const BmwRecord *record, int bucket)
{
	minute->delivered++;
	minute->duration_us += record->times.total_us;
	minute->last_success_us = Max(minute->last_success_us, record->last_attempt_us);
	minute->histogram[bucket]++;
}

static void
add_failure(BmwStatistics *statistics, const BmwRecord *record)
{
	BmwFailureKey key;
	BmwFailure *failure;
	bool is_there;

	memset(&key, 0, sizeof(key));
	key.endpoint_id = record->endpoint_id;
	strlcpy(key.cause, record->error_class != NULL ? record->error_class : "unknown",
			sizeof(key.cause));
	failure = hash_search(statistics->failures, &key,
						  hash_get_num_entries(statistics->failures) < MAX_ENTRIES ? HASH_ENTER
																				   : HASH_FIND,
						  &is_there);
	if (failure == NULL)
		return;
	if (!is_there)
		failure->attempts = failure->last_us = 0;
	failure->attempts++;
	failure->last_us = Max(failure->last_us, record->last_attempt_us);
}

static int
bucket_of(int64 us)
{
	if (us <= 1000)
		return 0;
	return Min((int) ceil(log(us / 1000.0) / log(GROWTH)), BMW_HISTOGRAM_BUCKETS - 1);
}

static bool
is_empty(const BmwStatistics *statistics)
{
	const BmwDispatcherCounts *counts = &statistics->counts;

	return counts->events == 0 && counts->flushes == 0 && counts->failed_flushes == 0;
}

/* What cannot be written now is written with the next minute. */
static void
write_counts(BmwStatistics *statistics)
{
	if (statistics->has_extension)
		run(statistics, write_tables);
}

static void
write_tables(void *context)
{
	BmwStatistics *statistics = context;

	bmw_transaction_limit_lock_wait(LOCK_WAIT);
	bmw_store_minutes(statistics->minutes);
	bmw_store_totals(statistics->totals);
	bmw_store_failures(statistics->failures);
	bmw_store_dispatcher(statistics->slot->shard, &statistics->counts);
}

static void
forget(void *context)
{
	bmw_transaction_limit_lock_wait(LOCK_WAIT);
	bmw_store_forget_statistics();
}

static void
run(BmwStatistics *statistics, BmwWork work)
{
	switch (bmw_transaction_run(statistics->slot, &statistics->streak, work, statistics))
	{
		case BMW_TRANSACTION_DONE:
			if (work == write_tables)
				clear(statistics);
			break;
		case BMW_TRANSACTION_NO_EXTENSION:
			statistics->has_extension = false;
			break;
		case BMW_TRANSACTION_FAILED:
			break;
	}
}

static void
clear(BmwStatistics *statistics)
{
	if (statistics->minutes != NULL)
		hash_destroy(statistics->minutes);
	if (statistics->totals != NULL)
		hash_destroy(statistics->totals);
	if (statistics->failures != NULL)
		hash_destroy(statistics->failures);
	statistics->minutes = create("bm_webhook minutes", sizeof(BmwMinuteKey), sizeof(BmwMinute));
	statistics->totals = create("bm_webhook totals", sizeof(BmwMinuteKey), sizeof(BmwMinute));
	statistics->failures = create("bm_webhook failures", sizeof(BmwFailureKey), sizeof(BmwFailure));
	statistics->counts = (BmwDispatcherCounts){0};
}
