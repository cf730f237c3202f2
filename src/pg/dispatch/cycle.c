/*
 * pg/dispatch/cycle.c - the cycle of a dispatcher: take in, send, collect, record.
 *
 * The clerks do what the scheduler says (core/scheduler.h); here is when each has
 * its turn. No transaction is open while anything is sent or waited for: take_in
 * and what is written each run one of their own, and between them only the core
 * works. Times are Unix microseconds.
 */
#include "postgres.h"

#include "pg/dispatch/cycle.h"

#include "pg/dispatch/clock.h"
#include "pg/dispatch/crash.h"
#include "pg/dispatch/descriptors.h"
#include "pg/dispatch/endpoints.h"
#include "pg/dispatch/fetch.h"
#include "pg/dispatch/filters.h"
#include "pg/server/settings.h"
#include "pg/server/shared_places.h"
#include "pg/server/shared_tokens.h"
#include "pg/dispatch/intake.h"
#include "pg/sql/interval.h"
#include "pg/dispatch/operate.h"
#include "pg/dispatch/keys.h"
#include "pg/dispatch/partitions.h"
#include "pg/dispatch/record.h"
#include "pg/dispatch/send.h"
#include "pg/dispatch/statistics.h"
#include "pg/dispatch/store.h"
#include "pg/dispatch/tally.h"
#include "pg/dispatch/tell.h"
#include "pg/dispatch/transaction.h"
#include "utils/memutils.h"

#define LANE_CAPACITY 4096	  /* deliveries in each queue of a lane */
#define MAX_BYTES (128 << 20) /* of bodies in memory; beyond, deliveries wait in the table */
#define SECOND_US INT64CONST(1000000)
#define MAX_WAIT_MS 60000
#define LOCK_RETRY_US INT64CONST(200000)
#define MAX_FAILURES 120 /* in a row, that a new process may mend */

struct BmwCycle
{
	BmwSlot *slot;
	BmwScheduler *scheduler;
	BmwEndpoints endpoints;
	BmwFilters filters;
	BmwIntake intake;
	BmwFetcher fetcher;
	BmwSender sender;
	BmwVerifier verifier;
	BmwRecorder recorder;
	BmwPartitions partitions;
	BmwKeys keys;
	BmwOperator operator;
	BmwTallyClerk tally;
	BmwStatistics statistics;
	BmwTeller teller;
	int64 now_us;		/* of this turn */
	int64 monotonic_us; /* the same moment by a clock that nobody sets */
	BmwStreak streak;	/* of failures to take in */
	bool is_stopping;
	bool has_extension;
};

static BmwLimits limits(void);
static bool is_ours(int64 endpoint_id, void *context);
static bool run(BmwCycle *cycle, BmwStreak *streak, BmwWork work);
static void judge(const BmwStreak *streak);
static void set_up(void *context);
static void set_mode(BmwCycle *cycle);
static void update_now(BmwCycle *cycle);
static void take_in(BmwCycle *cycle);
static bool wants_transaction(BmwCycle *cycle);
static void read_tables(void *context);
static void exchange(BmwCycle *cycle);
static void record(BmwCycle *cycle);
static void operate(BmwCycle *cycle);
static void tally(BmwCycle *cycle);
static void make_partitions(BmwCycle *cycle);
static void tell(BmwCycle *cycle);
static long wait_ms(BmwCycle *cycle);

BmwCycle *
bmw_cycle_create(BmwSlot *slot)
{
	BmwCycle *cycle = MemoryContextAllocZero(TopMemoryContext, sizeof(*cycle));
	BmwTokenPort tokens = bmw_shared_tokens(slot);
	BmwPlacePort places = bmw_shared_places(slot);
	BmwDestinationPort destinations = bmw_shared_destinations(slot);
	BmwLimits now;

	bmw_descriptors_init();
	now = limits();
	cycle->slot = slot;
	cycle->has_extension = true;
	update_now(cycle);
	cycle->scheduler = bmw_scheduler_create(&now, cycle->now_us);
	bmw_transaction_require_memory(cycle->scheduler != NULL);
	bmw_scheduler_set_tokens(cycle->scheduler, &tokens);
	bmw_scheduler_set_places(cycle->scheduler, &places);
	bmw_scheduler_set_destinations(cycle->scheduler, &destinations);
	bmw_filters_init(&cycle->filters, slot);
	bmw_endpoints_init(&cycle->endpoints, cycle->scheduler, slot, &cycle->filters);
	bmw_intake_init(&cycle->intake, cycle->scheduler, slot, &cycle->endpoints, &cycle->filters,
					&cycle->statistics);
	bmw_fetch_init(&cycle->fetcher, cycle->scheduler, slot, is_ours, &cycle->endpoints);
	bmw_verify_init(&cycle->verifier, cycle->scheduler, slot);
	bmw_send_init(&cycle->sender, cycle->scheduler, &cycle->verifier, slot, bmw_crash_open(slot));
	bmw_statistics_init(&cycle->statistics, slot, cycle->now_us);
	bmw_record_init(&cycle->recorder, cycle->scheduler, slot, &cycle->statistics);
	bmw_tally_init(&cycle->tally, slot);
	bmw_tell_init(&cycle->teller, cycle->scheduler, slot);
	bmw_operate_init(&cycle->operator, cycle->scheduler, slot, is_ours, &cycle->endpoints);
	bmw_partitions_init(&cycle->partitions, slot);
	bmw_keys_init(&cycle->keys, slot);
	make_partitions(cycle);
	bmw_crash_set_aside(cycle->sender.suspects, slot);
	if (!run(cycle, &cycle->streak, set_up) && cycle->has_extension)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("could not read bm_webhook's tables"));
	return cycle;
}

long
bmw_cycle_run(BmwCycle *cycle)
{
	bmw_statistics_enter(&cycle->statistics, BMW_PHASE_UPKEEP);
	update_now(cycle);
	set_mode(cycle);
	bmw_record_look(&cycle->recorder);
	take_in(cycle);
	exchange(cycle);
	bmw_statistics_enter(&cycle->statistics, BMW_PHASE_RECORD);
	record(cycle);
	bmw_statistics_enter(&cycle->statistics, BMW_PHASE_UPKEEP);
	operate(cycle);
	tally(cycle);
	make_partitions(cycle);
	bmw_keys_forget(&cycle->keys, cycle->now_us);
	tell(cycle);
	bmw_statistics_enter(&cycle->statistics, BMW_PHASE_IDLE);
	return wait_ms(cycle);
}

int
bmw_cycle_fd(const BmwCycle *cycle)
{
	return bmw_http_fd(cycle->sender.http);
}

bool
bmw_cycle_reload(BmwCycle *cycle)
{
	BmwLimits now = limits();

	bmw_scheduler_set_limits(cycle->scheduler, &now);
	bmw_partitions_reload(&cycle->partitions);
	return bmw_send_reload(&cycle->sender);
}

bool
bmw_cycle_stop(BmwCycle *cycle)
{
	BmwSchedulerCounts counts = bmw_scheduler_counts(cycle->scheduler);

	cycle->is_stopping = true;
	return counts.in_flight > 0 || counts.unwritten > 0;
}

void
bmw_cycle_end(BmwCycle *cycle)
{
	int before;

	cycle->is_stopping = true;
	update_now(cycle);
	set_mode(cycle);
	do
	{
		before = bmw_scheduler_counts(cycle->scheduler).unwritten;
		record(cycle);
	} while (cycle->has_extension && bmw_scheduler_counts(cycle->scheduler).unwritten < before);
	if (cycle->has_extension)
		bmw_statistics_end(&cycle->statistics);
	bmw_send_end(&cycle->sender);
}

bool
bmw_cycle_has_extension(const BmwCycle *cycle)
{
	return cycle->has_extension;
}

static BmwLimits
limits(void)
{
	return (BmwLimits){.max_in_flight = bmw_descriptors_max_in_flight(),
					   .max_to_destination = bmw_max_in_flight_per_address,
					   .lane_capacity = LANE_CAPACITY,
					   .max_bytes = MAX_BYTES,
					   .flush_interval_us = bmw_flush_interval * INT64CONST(1000),
					   .disable_after_us = bmw_disable_after * SECOND_US};
}

static bool
is_ours(int64 endpoint_id, void *context)
{
	return bmw_endpoints_is_ours(context, endpoint_id);
}

static bool
run(BmwCycle *cycle, BmwStreak *streak, BmwWork work)
{
	BmwTransactionResult result = bmw_transaction_run(cycle->slot, streak, work, cycle);

	if (result == BMW_TRANSACTION_NO_EXTENSION)
		cycle->has_extension = false;
	judge(streak);
	return result == BMW_TRANSACTION_DONE;
}

/*
 * What is in memory is sent again by a new process: so never for want of disk,
 * for a lock or for a row.
 */
static void
judge(const BmwStreak *streak)
{
	if (streak->mendable >= MAX_FAILURES)
		ereport(
			ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("bm_webhook's dispatcher gives up after %d failed transactions", MAX_FAILURES),
			errhint("It is started again; what was in memory is read from the tables."));
}

static void
set_up(void *context)
{
	BmwCycle *cycle = context;

	bmw_intake_start(&cycle->intake);
	bmw_endpoints_refresh(&cycle->endpoints);
}

static void
set_mode(BmwCycle *cycle)
{
	bmw_scheduler_set_mode(cycle->scheduler, cycle->is_stopping ? BMW_STOPPING
											 : bmw_enabled		? BMW_RUNNING
																: BMW_HOLDING);
}

static void
update_now(BmwCycle *cycle)
{
	int64 now_us = bmw_unix_us(GetCurrentTimestamp());
	int64 elapsed_us = now_us - cycle->now_us;
	int64 true_us;
	int64 back_us;

	true_us = bmw_clock_us() - cycle->monotonic_us;
	cycle->monotonic_us += true_us;
	cycle->now_us = now_us;
	if (cycle->scheduler == NULL)
		return;
	back_us = bmw_scheduler_set_time(cycle->scheduler, now_us);
	bmw_clock_log_jump(cycle->slot->shard, elapsed_us, true_us, back_us);
	bmw_partitions_shift(&cycle->partitions, back_us);
	cycle->keys.look_at_us -= back_us;
	bmw_tally_shift(&cycle->tally, back_us);
	bmw_statistics_shift(&cycle->statistics, back_us);
	bmw_tell_shift(&cycle->teller, back_us);
}

/* After a failure: soon again, when it was only somebody's lock. */
static void
take_in(BmwCycle *cycle)
{
	bool is_lock;

	if (!wants_transaction(cycle) || run(cycle, &cycle->streak, read_tables))
		return;
	is_lock = bmw_transaction_error()->kind == BMW_ERROR_OF_LOCK;
	bmw_scheduler_rest(cycle->scheduler, is_lock ? LOCK_RETRY_US : SECOND_US);
}

static bool
wants_transaction(BmwCycle *cycle)
{
	bool wants_endpoints = bmw_endpoints_wants(&cycle->endpoints);

	if (bmw_scheduler_is_resting(cycle->scheduler))
		return false;
	return wants_endpoints || bmw_intake_wants(&cycle->intake) ||
		   (bmw_endpoints_are_loaded(&cycle->endpoints) && bmw_fetch_wants(&cycle->fetcher));
}

/*
 * The endpoints are read after the snapshot of a new pass was taken, and before
 * its events are matched: bmw_intake_read() sees to that.
 */
static void
read_tables(void *context)
{
	BmwCycle *cycle = context;

	bmw_statistics_enter(&cycle->statistics, BMW_PHASE_INTAKE);
	if (bmw_intake_wants(&cycle->intake))
		bmw_intake_read(&cycle->intake);
	else
		bmw_endpoints_refresh(&cycle->endpoints);
	if (!bmw_endpoints_are_loaded(&cycle->endpoints))
		return;
	bmw_statistics_enter(&cycle->statistics, BMW_PHASE_FETCH);
	bmw_fetch_run(&cycle->fetcher);
}

static void
exchange(BmwCycle *cycle)
{
	bmw_statistics_enter(&cycle->statistics, BMW_PHASE_SEND);
	bmw_send_start(&cycle->sender);
	bmw_send_drive(&cycle->sender);
	update_now(cycle);
	bmw_send_collect(&cycle->sender);
	bmw_send_start(&cycle->sender);
}

static void
record(BmwCycle *cycle)
{
	bmw_record_run(&cycle->recorder);
	cycle->has_extension = cycle->has_extension && cycle->recorder.has_extension;
	judge(&cycle->recorder.streak);
}

static void
operate(BmwCycle *cycle)
{
	if (cycle->is_stopping || !bmw_enabled || !cycle->has_extension)
		return;
	bmw_operate_run(&cycle->operator);
	cycle->has_extension = cycle->operator.has_extension;
}

/* What is counted and told beside the work. */
static void
tally(BmwCycle *cycle)
{
	if (!cycle->has_extension)
		return;
	bmw_tally_run(&cycle->tally, cycle->now_us);
	bmw_statistics_run(&cycle->statistics, cycle->now_us);
	bmw_filters_tell(&cycle->filters);
	bmw_verify_write(&cycle->verifier);
	cycle->has_extension = cycle->tally.has_extension && cycle->statistics.has_extension &&
						   cycle->filters.has_extension && cycle->verifier.has_extension;
}

static void
make_partitions(BmwCycle *cycle)
{
	bmw_partitions_run(&cycle->partitions, cycle->now_us);
	cycle->has_extension = cycle->has_extension && cycle->partitions.has_extension;
	judge(&cycle->partitions.streak);
}

static void
tell(BmwCycle *cycle)
{
	BmwToldNumbers numbers = {.sent = cycle->sender.sent,
							  .resent = cycle->sender.resent,
							  .unrecorded_since = cycle->recorder.streak.since};

	bmw_tell_run(&cycle->teller, &numbers, cycle->now_us);
}

static long
wait_ms(BmwCycle *cycle)
{
	int http_ms = bmw_http_prepare_wait(cycle->sender.http);
	int64 wakeup = bmw_scheduler_wakeup_us(cycle->scheduler);
	int64 ms;

	wakeup = Min(wakeup, bmw_partitions_wakeup_us(&cycle->partitions, cycle->now_us));
	wakeup = Min(wakeup, bmw_keys_wakeup_us(&cycle->keys));
	wakeup = Min(wakeup, bmw_tally_wakeup_us(&cycle->tally));
	wakeup = Min(wakeup, bmw_statistics_wakeup_us(&cycle->statistics));
	wakeup = Min(wakeup, bmw_tell_wakeup_us(&cycle->teller));
	wakeup = Min(wakeup, cycle->now_us + bmw_filters_wait_us(&cycle->filters));
	if (!cycle->is_stopping && bmw_enabled)
		wakeup = Min(wakeup, cycle->now_us + bmw_operate_wait_us(&cycle->operator));
	ms = wakeup <= cycle->now_us ? 0 : (wakeup - cycle->now_us + 999) / 1000;
	if (http_ms >= 0)
		ms = Min(ms, http_ms);
	return (long) Min(ms, MAX_WAIT_MS);
}
