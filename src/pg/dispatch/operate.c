#include "postgres.h"

#include "pg/dispatch/operate.h"

#include "access/xlog.h"
#include "pg/dispatch/clock.h"
#include "pg/dispatch/store.h"

#define OF_ONE_APPLICATION 16 /* operations that are known at a time, of those of a shard */
#define LOCK_WAIT "20ms"	  /* for a row of a user: then the step is made later */

typedef struct Step
{
	BmwScheduler *scheduler;
	int64 id;
	int rows;
	BmwOperationRow row;
	BmwOperationStep progress;
	const char *error; /* why it cannot go on */
} Step;

static void read_open(BmwOperator *clerk, int64 start_us);
static void run_read(void *context);
static bool add(const BmwOpenOperation *open, void *context);
static BmwOperationResult make_step(BmwOperator *clerk, Step *step);
static void run_step(void *context);
static void cancel_in_memory(Step *step);
static void list_in_memory(Step *step);
static void check_taken(const Step *step);
static bool is_taken(uint64 xid, const void *context);
static void tell(const Step *step);
static BmwOperationResult judge_failure(BmwOperator *clerk, Step *step);
static void give_up(void *context);

void
bmw_operate_init(BmwOperator *clerk, BmwScheduler *scheduler, BmwSlot *slot,
				 bool (*is_ours)(int64 endpoint_id, void *context), void *context)
{
	*clerk = (BmwOperator){.scheduler = scheduler,
						   .slot = slot,
						   .is_ours = is_ours,
						   .context = context,
						   .has_extension = true};
}

void
bmw_operate_run(BmwOperator *clerk)
{
	bool is_announced = pg_atomic_read_u32(&clerk->slot->has_operation) != 0;
	int64 start_us = bmw_clock_us();
	Step step = {.scheduler = clerk->scheduler};

	if (bmw_operations_wants_reading(&clerk->operations, is_announced, start_us))
		read_open(clerk, start_us);
	if (!clerk->has_extension || !bmw_operations_next(&clerk->operations, &step.id, start_us))
		return;

	step.rows = bmw_operations_rows(&clerk->operations);

	BmwOperationResult result = make_step(clerk, &step);
	int64 end_us = bmw_clock_us();

	bmw_operations_done(&clerk->operations, step.id, result, end_us - start_us, end_us);
}

int64
bmw_operate_wait_us(const BmwOperator *clerk)
{
	return bmw_operations_wakeup_us(&clerk->operations) - bmw_clock_us();
}

static void
read_open(BmwOperator *clerk, int64 start_us)
{
	BmwOperations before = clerk->operations;

	/* before the statement: what comes in between is read again */
	pg_atomic_write_u32(&clerk->slot->has_operation, 0);
	switch (bmw_transaction_run(clerk->slot, &clerk->streak, run_read, clerk))
	{
		case BMW_TRANSACTION_DONE:
			bmw_operations_read(&clerk->operations, !clerk->has_more, start_us);
			return;
		case BMW_TRANSACTION_FAILED:
			break;
		case BMW_TRANSACTION_NO_EXTENSION:
			clerk->has_extension = false;
			break;
	}
	clerk->operations = before;
	bmw_operations_read(&clerk->operations, false, start_us);
}

static void
run_read(void *context)
{
	BmwOperator *clerk = context;

	clerk->has_more = false;
	bmw_operations_begin_reading(&clerk->operations);
	bmw_store_operations(OF_ONE_APPLICATION * clerk->slot->shards, add, clerk);
}

static bool
add(const BmwOpenOperation *open, void *context)
{
	BmwOperator *clerk = context;

	clerk->has_more = clerk->has_more || open->is_last;
	if (!clerk->is_ours(open->endpoint_id, clerk->context) ||
		bmw_operations_add(&clerk->operations, open->id, open->application))
		return true;
	clerk->has_more = true;
	return false;
}

static BmwOperationResult
make_step(BmwOperator *clerk, Step *step)
{
	switch (bmw_transaction_try(run_step, step))
	{
		case BMW_TRANSACTION_DONE:
			tell(step);
			return step->progress.has_ended	   ? BMW_OPERATION_ENDED
				   : step->progress.is_waiting ? BMW_OPERATION_LATER
											   : BMW_OPERATION_MORE;
		case BMW_TRANSACTION_FAILED:
			return judge_failure(clerk, step);
		case BMW_TRANSACTION_NO_EXTENSION:
			break;
	}
	clerk->has_extension = false;
	return BMW_OPERATION_LATER;
}

static void
run_step(void *context)
{
	Step *step = context;

	bmw_transaction_limit_lock_wait(LOCK_WAIT);
	step->progress = (BmwOperationStep){0};
	step->progress.has_ended = !bmw_store_operation(step->id, &step->row);
	if (step->progress.has_ended)
		return;
	if (step->row.is_cancel)
		cancel_in_memory(step);
	if (step->row.is_recovery)
		list_in_memory(step);
	bmw_store_operation_step(step->id, step->rows, &step->progress);
	if (step->row.is_recovery)
		check_taken(step);
}

/* What is canceled must not begin any more, so memory comes first. */
static void
cancel_in_memory(Step *step)
{
	int64 left = bmw_scheduler_cancel(step->scheduler, &step->row.cancellation);

	step->progress.is_more_to_come =
		left > 0 || !bmw_scheduler_has_taken(step->scheduler, step->row.xid);
}

/* What is in memory alone is no less known than what has a row. */
static void
list_in_memory(Step *step)
{
	int64 endpoint_id = step->row.cancellation.endpoint_id;
	int length = bmw_scheduler_in_memory(step->scheduler, endpoint_id, NULL, 0);
	BmwUuid *events = palloc(sizeof(*events) * Max(length, 1));

	step->progress.is_more_to_come = !bmw_scheduler_has_taken(step->scheduler, step->row.xid);
	step->progress.in_memory = events;
	step->progress.in_memory_length =
		bmw_scheduler_in_memory(step->scheduler, endpoint_id, events, length);
}

/*
 * An event that is committed and not taken yet gets its deliveries when it is: rows that are
 * made for it here would meet theirs. The step is undone, and made later.
 */
static void
check_taken(const Step *step)
{
	if (!bmw_store_operation_all_of_step(step->id, &step->row.reached, is_taken, step->scheduler))
		ereport(ERROR, errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				errmsg("events of operation " INT64_FORMAT " have not been taken yet", step->id));
}

static bool
is_taken(uint64 xid, const void *context)
{
	return bmw_scheduler_has_taken(context, xid);
}

/* It has been committed. */
static void
tell(const Step *step)
{
	int64 endpoint_id = step->row.cancellation.endpoint_id;

	if (step->row.is_cancel && bmw_scheduler_keeps_order(step->scheduler, endpoint_id))
		XLogFlush(XactLastCommitEnd);
	if (step->row.is_cancel)
		bmw_scheduler_canceled(step->scheduler, endpoint_id);
	else if (endpoint_id != 0)
		bmw_scheduler_expect(step->scheduler, endpoint_id, 0);
}

/* What the log refuses it would refuse again: the operation ends, and says why. */
static BmwOperationResult
judge_failure(BmwOperator *clerk, Step *step)
{
	BmwErrorKind kind = bmw_transaction_error()->kind;

	if (kind == BMW_ERROR_OF_LOCK)
		return BMW_OPERATION_LATER;
	if (kind == BMW_ERROR_OF_SERVER || kind == BMW_ERROR_OF_PROCESS)
	{
		bmw_transaction_report(clerk->slot, &clerk->streak);
		return BMW_OPERATION_LATER;
	}
	step->error = pstrdup(bmw_transaction_error()->message);
	ereport(LOG, errmsg("bm_webhook ends operation " INT64_FORMAT ": %s", step->id, step->error),
			errdetail("The table bm_webhook.operation shows how far it got."));
	return bmw_transaction_run(clerk->slot, &clerk->streak, give_up, step) == BMW_TRANSACTION_DONE
			   ? BMW_OPERATION_ENDED
			   : BMW_OPERATION_LATER;
}

static void
give_up(void *context)
{
	const Step *step = context;

	bmw_transaction_limit_lock_wait(LOCK_WAIT);
	bmw_store_end_operation(step->id, step->error);
}
