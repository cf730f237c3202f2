/*
 * pg/dispatch/recorder.c - from outcomes to tables.
 *
 * Outcomes gather for a few milliseconds and are written by one transaction, a
 * flush (pg/dispatch/flush.h has its rules). Until it has committed they stay in memory:
 * what could not be written is tried again, and nothing is sent while too many
 * wait. Changes of endpoint rows are tasks of their own, each in its own
 * transaction, because a user may have locked such a row; they are tried until
 * they succeed. So is the cursor, which only ever says what has been committed.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "pg/dispatch/dispatcher.h"
#include "pg/server/settings.h"
#include "utils/memutils.h"

#define FLUSH_AT 1000 /* records */
#define FULL_AT 10000 /* fresh records: nothing more is started */
#define FULL_OF_STUCK_AT 50000
#define RETRY_DELAY_US INT64CONST(1000000)
#define LOCK_RETRY_DELAY_US INT64CONST(200000)
#define STUCK_SHARE 5 /* at most this part of the time goes into what is stuck */
#define CURSOR_INTERVAL_US INT64CONST(1000000)
#define CURSOR_IDLE_INTERVAL_US (INT64CONST(60) * 1000000)
#define AT_ONCE 1000
#define TASKS_AT_ONCE 100
#define ENDPOINT_DELETED "the endpoint was deleted"
#define ENDPOINT_REPLACED "the endpoint was deleted, or is for another application now"
#define NO_SECRET "the endpoint has no usable secret"

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
	bool is_moving; /* a batch of many: go on at once */
} Task;

static BmwRecord *add(BmwDispatcher *dispatcher, const BmwEvent *event, int64 endpoint_id);
static bool lacks_secret(const BmwDispatcher *dispatcher, int64 endpoint_id);
static void fill_failure(BmwRecord *record, const BmwOutcome *outcome, const BmwHttpResult *result);
static char *copy_text(const char *bytes, size_t len);
static bool is_text(const char *bytes, size_t len);
static BmwRecord *append(BmwRecords *list);
static bool write_list(BmwDispatcher *dispatcher, BmwRecords *list);
static bool keep(BmwRecorder *recorder, BmwRecords *list, BmwRecord *record);
static int64 retry_delay(BmwFlushResult result);
static void write_stuck(BmwDispatcher *dispatcher);
static bool is_cursor_due(const BmwDispatcher *dispatcher);
static void write_cursor(BmwDispatcher *dispatcher);
static void update_cursor(void *context);
static void forget(BmwDispatcher *dispatcher, BmwRecord *record);
static void broadcast(BmwDispatcher *dispatcher);
static void add_task(BmwDispatcher *dispatcher, Task task);
static void run_tasks(BmwDispatcher *dispatcher);
static void put_off(BmwDispatcher *dispatcher, List *tasks, bool is_any_done);
static void run_task(void *context);

void
bmw_recorder_park(BmwDispatcher *dispatcher, const BmwEvent *event, int64 endpoint_id,
				  BmwPass *pass, int64 due_us)
{
	BmwRecord *record = add(dispatcher, event, endpoint_id);

	record->status = "pending";
	record->next_attempt_us = Max(due_us, dispatcher->now_us);
	record->pass = pass;
	if (lacks_secret(dispatcher, endpoint_id))
	{
		record->error_class = "no_secret";
		record->error = copy_text(NO_SECRET, strlen(NO_SECRET));
	}
}

static bool
lacks_secret(const BmwDispatcher *dispatcher, int64 endpoint_id)
{
	const BmwLane *lane = bmw_lanes_find(dispatcher->lanes, endpoint_id);
	const BmwEndpoint *endpoint = lane != NULL ? bmw_lane_tag(lane) : NULL;

	return endpoint != NULL && endpoint->secrets_length == 0;
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
		case BMW_VERDICT_ABORTED:
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
bmw_recorder_refuse(BmwDispatcher *dispatcher, const BmwDueRow *row, const BmwEvent *event,
					int64 endpoint_id)
{
	BmwRecord *record = add(dispatcher, event, endpoint_id);

	record->status = "canceled";
	record->has_row = true;
	record->attempts = row->attempts;
	record->first_attempt_us = row->first_attempt_us;
	record->error = copy_text(ENDPOINT_REPLACED, strlen(ENDPOINT_REPLACED));
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
	return dispatcher->recorder.fresh.length >= FULL_AT ||
		   dispatcher->recorder.stuck.length >= FULL_OF_STUCK_AT;
}

int
bmw_recorder_count(const BmwDispatcher *dispatcher)
{
	return dispatcher->recorder.fresh.length + dispatcher->recorder.stuck.length;
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

	if (recorder->fresh.length >= FLUSH_AT)
		wakeup = 0;
	else if (recorder->fresh.length > 0)
		wakeup = recorder->oldest_us + bmw_flush_interval * INT64CONST(1000);
	if (recorder->stuck.length > 0)
		wakeup = Min(wakeup, recorder->stuck_at_us);
	if (dispatcher->tasks != NIL)
		wakeup = Min(wakeup, recorder->tasks_retry_at_us);
	if (recorder->has_settled)
		wakeup = Min(wakeup, Max(recorder->cursor_written_us + CURSOR_IDLE_INTERVAL_US,
								 recorder->cursor_retry_at_us));
	return Max(wakeup, recorder->retry_at_us);
}

void
bmw_recorder_flush(BmwDispatcher *dispatcher)
{
	BmwRecorder *recorder = &dispatcher->recorder;

	recorder->retry_at_us = 0;
	if (recorder->fresh.length > 0)
	{
		bool can_go_on = write_list(dispatcher, &recorder->fresh);

		broadcast(dispatcher);
		if (!can_go_on)
			return;
	}
	write_stuck(dispatcher);
	if (is_cursor_due(dispatcher))
		write_cursor(dispatcher);
	run_tasks(dispatcher);
}

static BmwRecord *
add(BmwDispatcher *dispatcher, const BmwEvent *event, int64 endpoint_id)
{
	BmwRecorder *recorder = &dispatcher->recorder;
	BmwRecord *record = append(&recorder->fresh);

	if (record == NULL)
		ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"));
	if (recorder->fresh.length == 1)
		recorder->oldest_us = dispatcher->now_us;
	memset(record, 0, sizeof(*record));
	record->event_id = event->id;
	memcpy(record->message, event->message, sizeof(record->message));
	record->endpoint_id = endpoint_id;
	return record;
}

/* NULL: no memory. */
static BmwRecord *
append(BmwRecords *list)
{
	if (list->length == list->capacity)
	{
		int capacity = Max(list->capacity * 2, 2 * FLUSH_AT);
		BmwRecord *grown = realloc(list->items, sizeof(*grown) * capacity);

		if (grown == NULL)
			return NULL;
		list->items = grown;
		list->capacity = capacity;
	}
	return &list->items[list->length++];
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

/*
 * Writes what can be written, and keeps the rest: what is stuck in its own
 * list. False: nothing more can be written for now.
 */
static bool
write_list(BmwDispatcher *dispatcher, BmwRecords *list)
{
	BmwRecorder *recorder = &dispatcher->recorder;
	BmwFlushResult result =
		bmw_flush_write(&recorder->flush, dispatcher->slot, list->items, list->length);
	int kept = 0;

	for (int i = 0; i < list->length; i++)
	{
		if (keep(recorder, list, &list->items[i]))
			list->items[kept++] = list->items[i];
		else if (list->items[i].fate != BMW_RECORD_STUCK)
			forget(dispatcher, &list->items[i]);
	}
	list->length = kept;
	if (result == BMW_FLUSH_NO_EXTENSION)
		dispatcher->has_extension = false;
	bmw_dispatcher_judge(&recorder->flush.streak);
	if (retry_delay(result) > 0)
		recorder->retry_at_us = dispatcher->now_us + retry_delay(result);
	return result == BMW_FLUSH_DONE;
}

/* Does it stay in this list? A stuck one moves to the list of those. */
static bool
keep(BmwRecorder *recorder, BmwRecords *list, BmwRecord *record)
{
	BmwRecord *stuck;

	if (record->fate != BMW_RECORD_STUCK || list == &recorder->stuck)
		return record->fate == BMW_RECORD_UNTRIED || record->fate == BMW_RECORD_STUCK;
	stuck = append(&recorder->stuck);
	if (stuck == NULL)
		return true;
	*stuck = *record;
	return false;
}

/* 0: go on at once. */
static int64
retry_delay(BmwFlushResult result)
{
	switch (result)
	{
		case BMW_FLUSH_LOCKED:
			return LOCK_RETRY_DELAY_US;
		case BMW_FLUSH_FAILED:
			return RETRY_DELAY_US;
		case BMW_FLUSH_DONE:
		case BMW_FLUSH_UNFINISHED:
		case BMW_FLUSH_NO_EXTENSION:
			break;
	}
	return 0;
}

/* However many are stuck, the others have most of the time. */
static void
write_stuck(BmwDispatcher *dispatcher)
{
	BmwRecorder *recorder = &dispatcher->recorder;
	TimestampTz start = GetCurrentTimestamp();
	int length = recorder->stuck.length;

	if (length == 0 || (dispatcher->now_us < recorder->stuck_at_us && !dispatcher->is_stopping))
		return;
	(void) write_list(dispatcher, &recorder->stuck);
	recorder->stuck_at_us = dispatcher->now_us +
							Max(LOCK_RETRY_DELAY_US, STUCK_SHARE * (GetCurrentTimestamp() - start));
	if (recorder->stuck.length < length)
		broadcast(dispatcher);
}

static bool
is_cursor_due(const BmwDispatcher *dispatcher)
{
	const BmwRecorder *recorder = &dispatcher->recorder;

	if (!recorder->has_settled)
		return false;
	return dispatcher->is_stopping ||
		   (dispatcher->now_us - recorder->cursor_written_us >= CURSOR_INTERVAL_US &&
			dispatcher->now_us >= recorder->cursor_retry_at_us);
}

static void
write_cursor(BmwDispatcher *dispatcher)
{
	BmwRecorder *recorder = &dispatcher->recorder;

	recorder->cursor_retry_at_us = dispatcher->now_us + CURSOR_INTERVAL_US;
	if (!bmw_dispatcher_run(dispatcher, &recorder->cursor_streak, update_cursor) ||
		!recorder->is_cursor_updated)
		return;
	recorder->has_settled = false;
	recorder->cursor_written_us = dispatcher->now_us;
}

/* A row that somebody has locked is written later: the cursor may lag behind. */
static void
update_cursor(void *context)
{
	BmwDispatcher *dispatcher = context;
	BmwRecorder *recorder = &dispatcher->recorder;

	recorder->is_cursor_updated =
		bmw_store_write_cursor(dispatcher->shard, &recorder->settled, recorder->settled_since_us);
}

/* Only when it has been committed may what was in memory be forgotten. */
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
	bmw_intake_recorded(dispatcher, record);
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
	bool is_any_done = false;

	if (dispatcher->now_us < dispatcher->recorder.tasks_retry_at_us)
		return;
	dispatcher->recorder.tasks_retry_at_us = 0;
	dispatcher->tasks = NIL;
	foreach (cell, tasks)
	{
		Task *task = lfirst(cell);
		BmwLane *lane;
		bool is_committed;

		if (foreach_current_index(cell) == TASKS_AT_ONCE)
		{
			put_off(dispatcher, tasks, is_any_done);
			break;
		}
		/* a row that somebody has locked is left for later */
		task->is_moving = false;
		is_committed = bmw_transaction_run(dispatcher->slot, &dispatcher->recorder.tasks_streak,
										   run_task, task) == BMW_TRANSACTION_DONE;
		task->is_done &= is_committed;
		is_any_done |= task->is_done;
		if (!is_committed || (!task->is_done && !task->is_moving))
			dispatcher->recorder.tasks_retry_at_us = dispatcher->now_us + RETRY_DELAY_US;
		if (!task->is_done)
			add_task(dispatcher, *task);
		else if (task->kind == TASK_DISABLE)
			bmw_cache_disable(dispatcher, task->endpoint_id);
		else if (task->kind == TASK_LET_GO &&
				 (lane = bmw_lanes_find(dispatcher->lanes, task->endpoint_id)) != NULL)
			bmw_lane_expect(lane, dispatcher->now_us);
		pfree(task);
	}
	list_free(tasks);
}

/* The others have their turn in the next cycle, or when it is tried again: nobody waits for thousands of them. */
static void
put_off(BmwDispatcher *dispatcher, List *tasks, bool is_any_done)
{
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
	List *undone = dispatcher->tasks;

	dispatcher->tasks = list_concat(list_copy_tail(tasks, TASKS_AT_ONCE), undone);
	if (is_any_done)
		dispatcher->recorder.tasks_retry_at_us = 0;
	list_free(undone);
	MemoryContextSwitchTo(caller);
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
			task->is_moving = bmw_store_cancel(task->endpoint_id, task->reason, AT_ONCE,
											   &task->is_done) >= AT_ONCE;
			break;
		case TASK_LET_GO:
			task->is_moving =
				bmw_store_let_go(task->endpoint_id, AT_ONCE, &task->is_done) >= AT_ONCE;
			break;
	}
}
