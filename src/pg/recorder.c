/*
 * pg/recorder.c - from outcomes to tables.
 *
 * Outcomes gather for a few milliseconds and are written by one transaction, a
 * flush. Until it has committed they stay in memory: a flush that fails is
 * tried again, and nothing is sent while too many wait. Changes of endpoint
 * rows are tasks of their own, each in its own transaction, because a user may
 * have locked such a row; they are tried until they succeed.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "pg/dispatcher.h"
#include "pg/guc.h"
#include "utils/memutils.h"

#define FLUSH_AT 1000 /* records */
#define FULL_AT 10000 /* records: nothing more is started */
#define RETRY_DELAY_US INT64CONST(1000000)
#define CURSOR_INTERVAL_US INT64CONST(1000000)
#define CURSOR_IDLE_INTERVAL_US (INT64CONST(60) * 1000000)
#define AT_ONCE 1000
#define ENDPOINT_DELETED "the endpoint was deleted"

typedef enum TaskKind
{
	TASK_SET_FAILING,
	TASK_DISABLE,
	TASK_CANCEL,
	TASK_LET_GO
} TaskKind;

typedef struct Task
{
	TaskKind kind;
	int64 endpoint_id;
	int64 since_us;
	const char *reason; /* constant */
	bool is_done;
} Task;

static BmwRecord *add(BmwDispatcher *dispatcher, const BmwEvent *event, int64 endpoint_id);
static void fill_failure(BmwRecord *record, const BmwOutcome *outcome, const BmwHttpResult *result);
static char *copy_text(const char *bytes, size_t len);
static bool is_text(const char *bytes, size_t len);
static void write_records(void *context);
static bool is_cursor_due(const BmwDispatcher *dispatcher);
static void written(BmwDispatcher *dispatcher, bool with_cursor);
static void forget(BmwDispatcher *dispatcher, BmwRecord *record);
static void broadcast(BmwDispatcher *dispatcher);
static void add_task(BmwDispatcher *dispatcher, Task task);
static void run_tasks(BmwDispatcher *dispatcher);
static void run_task(void *context);

void
bmw_recorder_park(BmwDispatcher *dispatcher, const BmwEvent *event, int64 endpoint_id,
				  BmwPass *pass, int64 due_us)
{
	BmwRecord *record = add(dispatcher, event, endpoint_id);

	record->status = "pending";
	record->next_attempt_us = Max(due_us, dispatcher->now_us);
	record->pass = pass;
}

void
bmw_recorder_hold_back(BmwDispatcher *dispatcher, const BmwEvent *event, int64 endpoint_id,
					   int attempts, int64 first_attempt_us)
{
	BmwRecord *record = add(dispatcher, event, endpoint_id);

	record->status = "pending";
	record->has_row = true;
	record->attempts = attempts;
	record->first_attempt_us = first_attempt_us;
	record->next_attempt_us = BMW_HELD_BACK;
}

void
bmw_recorder_finished(BmwDispatcher *dispatcher, const BmwJob *job, int64 endpoint_id,
					  const BmwOutcome *outcome, const BmwHttpResult *result)
{
	BmwRecord *record = add(dispatcher, job->event, endpoint_id);

	record->has_row = job->has_row;
	record->pass = job->pass;
	record->attempts = job->attempts + 1;
	record->first_attempt_us = job->first_attempt_us != 0 ? job->first_attempt_us : job->started_us;
	record->last_attempt_us = job->started_us;
	record->http_status = result->http_status;
	record->times = result->times;
	switch (outcome->verdict)
	{
		case BMW_VERDICT_DELIVERED:
			record->status = "delivered";
			return;
		case BMW_VERDICT_RETRY:
			record->status = "pending";
			record->next_attempt_us = outcome->retry_at_us;
			break;
		case BMW_VERDICT_GIVE_UP:
		case BMW_VERDICT_GONE:
		case BMW_VERDICT_LOCAL:
			record->status = "failed";
			/* not of an operational event: it would fail for the same reason, for ever */
			record->is_exhausted = !job->event->is_operational;
			break;
	}
	fill_failure(record, outcome, result);
}

void
bmw_recorder_cancel(BmwDispatcher *dispatcher, const BmwJob *job, int64 endpoint_id)
{
	BmwRecord *record = add(dispatcher, job->event, endpoint_id);

	record->status = "canceled";
	record->has_row = job->has_row;
	record->pass = job->pass;
	record->attempts = job->attempts;
	record->first_attempt_us = job->first_attempt_us;
	record->error = copy_text(ENDPOINT_DELETED, strlen(ENDPOINT_DELETED));
}

void
bmw_recorder_settled(BmwDispatcher *dispatcher, BmwSnapshot *snapshot, int64 since_us)
{
	BmwRecorder *recorder = &dispatcher->recorder;

	bmw_snapshot_free(&recorder->settled);
	recorder->settled = *snapshot;
	recorder->settled_since_us = since_us;
	recorder->has_settled = true;
}

void
bmw_recorder_set_failing(BmwDispatcher *dispatcher, int64 endpoint_id, int64 since_us)
{
	add_task(dispatcher,
			 (Task){.kind = TASK_SET_FAILING, .endpoint_id = endpoint_id, .since_us = since_us});
}

void
bmw_recorder_disable(BmwDispatcher *dispatcher, int64 endpoint_id, const char *reason)
{
	add_task(dispatcher,
			 (Task){.kind = TASK_DISABLE, .endpoint_id = endpoint_id, .reason = reason});
}

void
bmw_recorder_let_go(BmwDispatcher *dispatcher, int64 endpoint_id)
{
	add_task(dispatcher, (Task){.kind = TASK_LET_GO, .endpoint_id = endpoint_id});
}

void
bmw_recorder_cancel_pending(BmwDispatcher *dispatcher, int64 endpoint_id)
{
	add_task(dispatcher,
			 (Task){.kind = TASK_CANCEL, .endpoint_id = endpoint_id, .reason = ENDPOINT_DELETED});
}

bool
bmw_recorder_is_full(const BmwDispatcher *dispatcher)
{
	return dispatcher->recorder.length >= FULL_AT;
}

bool
bmw_recorder_is_due(const BmwDispatcher *dispatcher)
{
	return bmw_recorder_wakeup_us(dispatcher) <= dispatcher->now_us;
}

int64
bmw_recorder_wakeup_us(const BmwDispatcher *dispatcher)
{
	const BmwRecorder *recorder = &dispatcher->recorder;
	int64 wakeup = BMW_NEVER_US;

	if (recorder->length >= FLUSH_AT)
		wakeup = 0;
	else if (recorder->length > 0)
		wakeup = recorder->oldest_us + bmw_flush_interval * INT64CONST(1000);
	if (dispatcher->tasks != NIL)
		wakeup = Min(wakeup, recorder->tasks_retry_at_us);
	if (recorder->has_settled)
		wakeup = Min(wakeup, recorder->cursor_written_us + CURSOR_IDLE_INTERVAL_US);
	return Max(wakeup, recorder->retry_at_us);
}

void
bmw_recorder_flush(BmwDispatcher *dispatcher)
{
	BmwRecorder *recorder = &dispatcher->recorder;
	bool with_cursor = is_cursor_due(dispatcher);

	recorder->retry_at_us = 0;
	if (recorder->length > 0 || with_cursor)
	{
		if (!bmw_dispatcher_run(dispatcher, write_records))
		{
			recorder->retry_at_us = dispatcher->now_us + RETRY_DELAY_US;
			return;
		}
		written(dispatcher, with_cursor);
		broadcast(dispatcher);
	}
	run_tasks(dispatcher);
}

static BmwRecord *
add(BmwDispatcher *dispatcher, const BmwEvent *event, int64 endpoint_id)
{
	BmwRecorder *recorder = &dispatcher->recorder;
	BmwRecord *record;

	if (recorder->length == recorder->capacity)
	{
		int capacity = Max(recorder->capacity * 2, 2 * FLUSH_AT);
		BmwRecord *grown = realloc(recorder->records, sizeof(*grown) * capacity);

		if (grown == NULL)
			ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"));
		recorder->records = grown;
		recorder->capacity = capacity;
	}
	if (recorder->length == 0)
		recorder->oldest_us = dispatcher->now_us;
	record = &recorder->records[recorder->length++];
	memset(record, 0, sizeof(*record));
	record->event_id = event->id;
	memcpy(record->message, event->message, sizeof(record->message));
	record->endpoint_id = endpoint_id;
	return record;
}

static void
fill_failure(BmwRecord *record, const BmwOutcome *outcome, const BmwHttpResult *result)
{
	char text[64];

	record->is_failed_attempt = true;
	record->error_class = outcome->error_class;
	snprintf(text, sizeof(text), "HTTP status %d", result->http_status);
	record->error = result->error[0] != '\0' ? copy_text(result->error, strlen(result->error))
											 : copy_text(text, strlen(text));
	if (result->transport != BMW_TRANSPORT_BLOCKED)
		record->response = copy_text(result->response, result->response_len);
}

/* malloc'd and 0-terminated; NULL when it is empty or no UTF-8 text. */
static char *
copy_text(const char *bytes, size_t len)
{
	char *copy;

	/* the ceiling may have cut a character in two */
	for (int cut = 0; cut < 4 && len > 0 && !is_text(bytes, len); cut++)
		len--;
	if (len == 0 || !is_text(bytes, len))
		return NULL;
	copy = malloc(len + 1);
	if (copy == NULL)
		return NULL;
	memcpy(copy, bytes, len);
	copy[len] = '\0';
	return copy;
}

static bool
is_text(const char *bytes, size_t len)
{
	return memchr(bytes, '\0', len) == NULL &&
		   pg_encoding_verifymbstr(PG_UTF8, bytes, (int) len) == (int) len;
}

static void
write_records(void *context)
{
	BmwDispatcher *dispatcher = context;
	BmwRecorder *recorder = &dispatcher->recorder;

	if (recorder->length > 0)
		bmw_store_record(recorder->records, recorder->length);
	if (is_cursor_due(dispatcher))
		bmw_store_write_cursor(dispatcher->shard, &recorder->settled, recorder->settled_since_us);
}

static bool
is_cursor_due(const BmwDispatcher *dispatcher)
{
	const BmwRecorder *recorder = &dispatcher->recorder;

	return recorder->has_settled &&
		   (dispatcher->is_stopping ||
			dispatcher->now_us - recorder->cursor_written_us >= CURSOR_INTERVAL_US);
}

/* Only now may what was in memory be forgotten. */
static void
written(BmwDispatcher *dispatcher, bool with_cursor)
{
	BmwRecorder *recorder = &dispatcher->recorder;
	int length = recorder->length;

	if (with_cursor)
	{
		recorder->has_settled = false;
		recorder->cursor_written_us = dispatcher->now_us;
	}
	recorder->length = 0;
	for (int i = 0; i < length; i++)
		forget(dispatcher, &recorder->records[i]);
}

static void
forget(BmwDispatcher *dispatcher, BmwRecord *record)
{
	BmwLane *lane = record->next_attempt_us != 0
						? bmw_lanes_find(dispatcher->lanes, record->endpoint_id)
						: NULL;

	if (record->next_attempt_us == 0)
		bmw_ordering_ended(dispatcher, record);
	if (record->has_row)
		bmw_sender_unload(dispatcher, &record->event_id, record->endpoint_id);
	if (lane != NULL)
		bmw_lane_expect(lane, record->next_attempt_us);
	bmw_intake_settled(dispatcher, record->pass);
	free(record->error);
	free(record->response);
}

/* wait_for_delivery() looks again. */
static void
broadcast(BmwDispatcher *dispatcher)
{
	ConditionVariableBroadcast(&dispatcher->slot->flushed);
}

static void
add_task(BmwDispatcher *dispatcher, Task task)
{
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
	Task *copy = palloc(sizeof(*copy));
	ListCell *cell;

	foreach (cell, dispatcher->tasks)
	{
		Task *waiting = lfirst(cell);

		if (waiting->kind == task.kind && waiting->endpoint_id == task.endpoint_id)
		{
			waiting->since_us = task.since_us;
			pfree(copy);
			MemoryContextSwitchTo(caller);
			return;
		}
	}
	*copy = task;
	dispatcher->tasks = lappend(dispatcher->tasks, copy);
	MemoryContextSwitchTo(caller);
}

static void
run_tasks(BmwDispatcher *dispatcher)
{
	List *tasks = dispatcher->tasks;
	ListCell *cell;

	if (dispatcher->now_us < dispatcher->recorder.tasks_retry_at_us)
		return;
	dispatcher->recorder.tasks_retry_at_us = 0;
	dispatcher->tasks = NIL;
	foreach (cell, tasks)
	{
		Task *task = lfirst(cell);
		BmwLane *lane;

		/* a row that somebody has locked is left for later; a batch of many goes on at once */
		if (bmw_transaction_run(dispatcher->slot, run_task, task) != BMW_TRANSACTION_DONE ||
			(!task->is_done && task->kind != TASK_CANCEL && task->kind != TASK_LET_GO))
			dispatcher->recorder.tasks_retry_at_us = dispatcher->now_us + RETRY_DELAY_US;
		if (!task->is_done)
			add_task(dispatcher, *task);
		else if (task->kind == TASK_LET_GO &&
				 (lane = bmw_lanes_find(dispatcher->lanes, task->endpoint_id)) != NULL)
			bmw_lane_expect(lane, dispatcher->now_us);
		pfree(task);
	}
	list_free(tasks);
}

static void
run_task(void *context)
{
	Task *task = context;

	switch (task->kind)
	{
		case TASK_SET_FAILING:
			task->is_done = bmw_store_set_failing(task->endpoint_id, task->since_us);
			break;
		case TASK_DISABLE:
			task->is_done = bmw_store_disable(task->endpoint_id, task->reason);
			break;
		case TASK_CANCEL:
			task->is_done = bmw_store_cancel(task->endpoint_id, task->reason, AT_ONCE) < AT_ONCE;
			break;
		case TASK_LET_GO:
			task->is_done = bmw_store_let_go(task->endpoint_id, AT_ONCE) < AT_ONCE;
			break;
	}
}
