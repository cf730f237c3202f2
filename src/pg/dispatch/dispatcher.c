/*
 * pg/dispatch/dispatcher.c - the cycle of a dispatcher: take in, send, collect, record.
 *
 * No transaction is open while anything is sent or waited for: take_in and the
 * flush each run one of their own, and between them only the core works.
 */
#include "postgres.h"

#include <inttypes.h>

#include "miscadmin.h"
#include "pg/dispatch/dispatcher.h"
#include "pg/server/settings.h"
#include "pg/sql/interval.h"
#include "portability/instr_time.h"
#include "storage/fd.h"
#include "utils/memutils.h"

#define LANE_CAPACITY 4096				   /* jobs in each queue of a lane */
#define STUCK_US (5 * INT64CONST(1000000)) /* in a queue; then it is parked */
#define SECOND_US INT64CONST(1000000)
#define MINUTE_US (60 * INT64CONST(1000000))
#define PARTITION_MINUTES 60 /* between looks whether partitions must be made */
#define LACKING_MINUTES 10	 /* and while some could not be made */
#define CLOCK_JUMP_US (10 * SECOND_US)
#define MAX_WAIT_MS 60000
#define CLOCK_SLACK_US SECOND_US /* that a clock may go back by itself */
#define LOCK_RETRY_US INT64CONST(200000)
#define MAX_FAILURES 120 /* in a row, that a new process may mend */

static void set_up(void *context);
static int socket_budget(void);
static void create_http(BmwDispatcher *dispatcher);
static void socket_closed(void);
static void update_now(BmwDispatcher *dispatcher);
static void judge_clock(BmwDispatcher *dispatcher, int64 elapsed_us, int64 true_us);
static void look_for_due(BmwDispatcher *dispatcher);
static void retry_later(BmwDispatcher *dispatcher);
static bool wants_transaction(BmwDispatcher *dispatcher);
static void take_in(void *context);
static void tend(BmwDispatcher *dispatcher);
static void park_if_stuck(BmwLane *lane, void *context);
static void look_at_table(void *context);
static void make_partitions(void *context);
static void expect_pending(int64 endpoint_id, int64 due_us, void *context);
static void publish(BmwDispatcher *dispatcher);
static long wait_ms(BmwDispatcher *dispatcher);

BmwDispatcher *
bmw_dispatcher_create(BmwSlot *slot)
{
	BmwDispatcher *dispatcher = MemoryContextAllocZero(TopMemoryContext, sizeof(*dispatcher));
	HASHCTL control = {.keysize = sizeof(BmwDeliveryKey), .entrysize = sizeof(BmwDeliveryKey)};
	HASHCTL wanted_control = {.keysize = sizeof(int64), .entrysize = sizeof(BmwWanted)};
	HASHCTL id_control = {.keysize = sizeof(int64), .entrysize = sizeof(int64)};

	dispatcher->slot = slot;
	dispatcher->shard = slot->shard;
	dispatcher->shards = bmw_shards;
	dispatcher->has_extension = true;
	dispatcher->loaded = hash_create("bm_webhook loaded", 1024, &control, HASH_ELEM | HASH_BLOBS);
	dispatcher->signer = bmw_signer_create();
	dispatcher->lanes =
		bmw_lanes_create(Min(bmw_max_in_flight, socket_budget() / 2), LANE_CAPACITY);
	dispatcher->ordering.order = bmw_order_create();
	dispatcher->ordering.wanted =
		hash_create("bm_webhook wanted", 64, &wanted_control, HASH_ELEM | HASH_BLOBS);
	dispatcher->ordering.endpoints =
		hash_create("bm_webhook ordered", 64, &id_control, HASH_ELEM | HASH_BLOBS);
	pg_prng_seed(&dispatcher->random, (uint64) GetCurrentTimestamp() ^ MyProcPid);
	dispatcher->ca_file = MemoryContextStrdup(TopMemoryContext, bmw_ca_file);
	create_http(dispatcher);
	if (dispatcher->ordering.order == NULL || dispatcher->signer == NULL ||
		dispatcher->lanes == NULL || dispatcher->http == NULL)
		ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY),
				errmsg("could not set up libcurl and OpenSSL"));
	update_now(dispatcher);
	dispatcher->next_minute_us = dispatcher->now_us + MINUTE_US;
	(void) bmw_dispatcher_run(dispatcher, &dispatcher->chores, make_partitions);
	if (!bmw_dispatcher_run(dispatcher, &dispatcher->streak, set_up) && dispatcher->has_extension)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("could not read bm_webhook's tables"));
	return dispatcher;
}

long
bmw_dispatcher_cycle(BmwDispatcher *dispatcher)
{
	update_now(dispatcher);
	if (dispatcher->ordering.needs_flush && dispatcher->now_us >= dispatcher->recorder.retry_at_us)
		bmw_recorder_flush(dispatcher);
	dispatcher->ordering.needs_flush =
		dispatcher->ordering.needs_flush && dispatcher->recorder.fresh.length > 0;
	look_for_due(dispatcher);
	if (wants_transaction(dispatcher) &&
		!bmw_dispatcher_run(dispatcher, &dispatcher->streak, take_in))
		retry_later(dispatcher);
	bmw_sender_start(dispatcher);
	bmw_http_drive(dispatcher->http);
	update_now(dispatcher);
	bmw_sender_collect(dispatcher);
	bmw_sender_start(dispatcher);
	if (bmw_recorder_is_due(dispatcher))
		bmw_recorder_flush(dispatcher);
	if (dispatcher->now_us >= dispatcher->next_second_us)
		tend(dispatcher);
	publish(dispatcher);
	return wait_ms(dispatcher);
}

bool
bmw_dispatcher_run(BmwDispatcher *dispatcher, BmwStreak *streak, BmwWork work)
{
	BmwTransactionResult result = bmw_transaction_run(dispatcher->slot, streak, work, dispatcher);

	if (result == BMW_TRANSACTION_NO_EXTENSION)
		dispatcher->has_extension = false;
	bmw_dispatcher_judge(streak);
	return result == BMW_TRANSACTION_DONE;
}

/*
 * What is in memory is sent again by a new process: so never for want of disk,
 * for a lock or for a row.
 */
void
bmw_dispatcher_judge(const BmwStreak *streak)
{
	if (streak->mendable >= MAX_FAILURES)
		ereport(
			ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("bm_webhook's dispatcher gives up after %d failed transactions", MAX_FAILURES),
			errhint("It is started again; what was in memory is read from the tables."));
}

/*
 * Connections that are open are judged by the new address policy before each
 * request. Authorities are read into libcurl's caches and connections: a new
 * file of them takes a new process, which the launcher starts at once.
 */
bool
bmw_dispatcher_reload(BmwDispatcher *dispatcher)
{
	BmwAddressPolicy policy;

	bmw_guc_address_policy(&policy);
	bmw_address_policy_free(&dispatcher->policy);
	dispatcher->policy = policy;
	bmw_lanes_limit(dispatcher->lanes, Min(bmw_max_in_flight, socket_budget() / 2));
	return strcmp(dispatcher->ca_file, bmw_ca_file) == 0;
}

void
bmw_dispatcher_stop(BmwDispatcher *dispatcher)
{
	int before = dispatcher->recorder.fresh.length + 1;

	update_now(dispatcher);
	while (dispatcher->has_extension && dispatcher->recorder.fresh.length < before)
	{
		before = dispatcher->recorder.fresh.length;
		bmw_recorder_flush(dispatcher);
	}
	bmw_http_destroy(dispatcher->http);
	dispatcher->http = NULL;
}

static void
set_up(void *context)
{
	BmwDispatcher *dispatcher = context;

	bmw_intake_start(dispatcher);
	(void) bmw_cache_refresh(dispatcher);
	if (bmw_cache_is_loaded(dispatcher))
		bmw_store_pending(expect_pending, dispatcher);
	else
		pg_atomic_write_u32(&dispatcher->slot->has_due, 1);
}

/* PostgreSQL lends a third of its descriptors to others. */
static int
socket_budget(void)
{
	return Max(max_safe_fds / 3 - 8, 16);
}

static void
create_http(BmwDispatcher *dispatcher)
{
	BmwHttpConfig config = {
		.max_connections = socket_budget(),
		.user_agent = "bm_webhook/" BMW_VERSION,
		.ca_file = dispatcher->ca_file,
		.policy = &dispatcher->policy,
		.may_open_socket = AcquireExternalFD,
		.socket_closed = socket_closed,
	};

	bmw_guc_address_policy(&dispatcher->policy);
	dispatcher->http = bmw_http_create(&config);
}

static void
socket_closed(void)
{
	ReleaseExternalFD();
}

static void
update_now(BmwDispatcher *dispatcher)
{
	int64 now_us = bmw_unix_us(GetCurrentTimestamp());
	instr_time monotonic;

	INSTR_TIME_SET_CURRENT(monotonic);
	if (dispatcher->now_us != 0)
		judge_clock(dispatcher, now_us - dispatcher->now_us,
					(int64) INSTR_TIME_GET_MICROSEC(monotonic) - dispatcher->monotonic_us);
	dispatcher->now_us = now_us;
	dispatcher->monotonic_us = (int64) INSTR_TIME_GET_MICROSEC(monotonic);
}

/* So much time has passed by the clock, and so much in truth. */
static void
judge_clock(BmwDispatcher *dispatcher, int64 elapsed_us, int64 true_us)
{
	if (elapsed_us < -CLOCK_SLACK_US)
	{
		/* all that was planned lies too far ahead now: begin anew from the tables */
		dispatcher->is_clock_back = true;
		ereport(LOG, errmsg("the clock has gone back by %" PRId64 " s", -elapsed_us / SECOND_US),
				errdetail("bm_webhook's dispatcher plans anew."));
	}
	else if (elapsed_us - true_us > CLOCK_JUMP_US)
		ereport(LOG,
				errmsg("the clock has jumped ahead by %" PRId64 " s",
					   (elapsed_us - true_us) / SECOND_US),
				errdetail("What bm_webhook's dispatcher has planned for that time is due now."));
}

/* Somebody has made deliveries due by SQL. */
static void
look_for_due(BmwDispatcher *dispatcher)
{
	if (pg_atomic_read_u32(&dispatcher->slot->has_due) == 0 || !bmw_cache_is_loaded(dispatcher) ||
		dispatcher->now_us < dispatcher->retry_at_us)
		return;
	pg_atomic_write_u32(&dispatcher->slot->has_due, 0);
	if (bmw_dispatcher_run(dispatcher, &dispatcher->streak, look_at_table))
		return;
	pg_atomic_write_u32(&dispatcher->slot->has_due, 1);
	retry_later(dispatcher);
}

/* After a failure: soon, when it was only somebody's lock. */
static void
retry_later(BmwDispatcher *dispatcher)
{
	bool is_lock = bmw_transaction_error()->kind == BMW_ERROR_OF_LOCK;

	dispatcher->retry_at_us = dispatcher->now_us + (is_lock ? LOCK_RETRY_US : SECOND_US);
}

static bool
wants_transaction(BmwDispatcher *dispatcher)
{
	if (dispatcher->now_us < dispatcher->retry_at_us)
		return false;
	return bmw_intake_wants(dispatcher) || bmw_ordering_wants(dispatcher) ||
		   bmw_sender_has_due(dispatcher) || bmw_cache_wants_refresh(dispatcher);
}

/*
 * The endpoints are read after the snapshot of a new pass was taken, and before
 * its events are matched: bmw_intake_read() sees to that.
 */
static void
take_in(void *context)
{
	BmwDispatcher *dispatcher = context;

	if (bmw_intake_wants(dispatcher))
		bmw_intake_read(dispatcher);
	else
		(void) bmw_cache_refresh(dispatcher);
	bmw_ordering_fetch(dispatcher);
	bmw_sender_fetch_due(dispatcher);
}

/* Once a second, and in it once a minute. */
static void
tend(BmwDispatcher *dispatcher)
{
	dispatcher->next_second_us = dispatcher->now_us + SECOND_US;
	if (bmw_transaction_has_statistics())
		bmw_transaction_report_statistics();
	bmw_sender_abort_unwanted(dispatcher);
	bmw_lanes_each(dispatcher->lanes, park_if_stuck, dispatcher);
	if (dispatcher->now_us < dispatcher->next_minute_us)
		return;
	dispatcher->next_minute_us = dispatcher->now_us + MINUTE_US;
	if (bmw_cache_is_loaded(dispatcher))
		(void) bmw_dispatcher_run(dispatcher, &dispatcher->streak, look_at_table);
	if (--dispatcher->minutes_to_partitions <= 0)
		(void) bmw_dispatcher_run(dispatcher, &dispatcher->chores, make_partitions);
}

/* What waits for long goes to the table, so that the cursor can move on. */
static void
park_if_stuck(BmwLane *lane, void *context)
{
	BmwDispatcher *dispatcher = context;
	int64 oldest = bmw_lane_oldest_us(lane);

	if (oldest != BMW_NEVER_US && dispatcher->now_us - oldest > STUCK_US)
		bmw_sender_park(dispatcher, lane);
}

/* Rows that somebody has changed by SQL, and whatever else was not heard of: at least once a minute. */
static void
look_at_table(void *context)
{
	BmwDispatcher *dispatcher = context;

	bmw_store_pending(expect_pending, dispatcher);
	bmw_ordering_resume_all(dispatcher);
}

/* Not a condition of anything else: there is a default partition. */
static void
make_partitions(void *context)
{
	BmwDispatcher *dispatcher = context;
	const char *missing = bmw_store_create_partitions();

	dispatcher->minutes_to_partitions = missing != NULL ? LACKING_MINUTES : PARTITION_MINUTES;
	if (dispatcher->lacks_partitions == (missing != NULL))
		return;
	dispatcher->lacks_partitions = missing != NULL;
	if (missing == NULL)
		ereport(LOG, errmsg("bm_webhook has made all partitions for the coming days"));
	else
		ereport(
			LOG, errmsg("bm_webhook could not make partitions: %s", missing),
			errdetail(
				"Somebody holds a lock on the table, or its default partition has rows of that day."),
			errhint(
				"It tries again every %d minutes; rows of a day without a partition go to the default one.",
				LACKING_MINUTES));
}

static void
expect_pending(int64 endpoint_id, int64 due_us, void *context)
{
	BmwDispatcher *dispatcher = context;
	BmwLane *lane = bmw_lanes_find(dispatcher->lanes, endpoint_id);

	if (lane != NULL)
		bmw_lane_expect(lane, due_us);
	else if (bmw_cache_is_ours(dispatcher, endpoint_id))
		bmw_recorder_cancel_pending(dispatcher, endpoint_id);
}

static void
publish(BmwDispatcher *dispatcher)
{
	BmwSlot *slot = dispatcher->slot;
	BmwLaneCounts counts = bmw_lanes_counts(dispatcher->lanes);

	SpinLockAcquire(&slot->mutex);
	slot->numbers.in_flight = counts.in_flight;
	slot->numbers.queued = counts.queued;
	slot->numbers.unrecorded = bmw_recorder_count(dispatcher);
	slot->numbers.unrecorded_since = dispatcher->recorder.flush.streak.since;
	slot->numbers.sent = dispatcher->sent;
	slot->numbers.resent = dispatcher->resent;
	SpinLockRelease(&slot->mutex);
}

static long
wait_ms(BmwDispatcher *dispatcher)
{
	int http_ms = bmw_http_prepare_wait(dispatcher->http);
	int64 wakeup = Min(bmw_recorder_wakeup_us(dispatcher), dispatcher->next_minute_us);
	BmwLaneCounts counts = bmw_lanes_counts(dispatcher->lanes);
	int64 ms;

	if (counts.queued > 0 || counts.in_flight > 0 || bmw_transaction_has_statistics())
		wakeup = Min(wakeup, dispatcher->next_second_us);
	if (dispatcher->cache.is_locked)
		wakeup = Min(wakeup, Max(dispatcher->cache.read_again_us, dispatcher->retry_at_us));
	if (bmw_ordering_wants(dispatcher))
		wakeup = Min(wakeup, Max(dispatcher->now_us, dispatcher->retry_at_us));
	if (bmw_enabled && !dispatcher->is_stopping && !bmw_recorder_is_full(dispatcher))
		wakeup = Min(wakeup, Max(Min(bmw_intake_wakeup_us(dispatcher),
									 bmw_lanes_wakeup_us(dispatcher->lanes, dispatcher->now_us)),
								 dispatcher->retry_at_us));
	ms = wakeup <= dispatcher->now_us ? 0 : (wakeup - dispatcher->now_us + 999) / 1000;
	if (http_ms >= 0)
		ms = Min(ms, http_ms);
	return (long) Min(ms, MAX_WAIT_MS);
}
