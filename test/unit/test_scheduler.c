/*
 * test_scheduler.c - the rules of the scheduler, each by itself, on virtual time
 * and without tables: the test plays the clerks.
 */
#include "core/scheduler.h"

#include <stdlib.h>

#include "core/lane.h"
#include "core/report.h"
#include "unit.h"

#define S INT64_C(1000000)
#define START (1000000 * S)
#define MAX_BYTES (1024 * 1024)

static BmwScheduler *scheduler;
static int64_t now_us;
static int64_t expires_us; /* of what is taken; 0: never */
static uint64_t xid;
static bool is_beyond; /* what is taken: the limit of its application */
static const int64_t delays[] = {5 * S, 300 * S};

static BmwLimits limits = {.max_in_flight = 100,
						   .lane_capacity = 1000,
						   .max_bytes = MAX_BYTES,
						   .flush_interval_us = 5000,
						   .disable_after_us = 3600 * S};

static BmwSnapshot
snapshot(uint64_t xmax)
{
	return (BmwSnapshot){.xmin = xmax, .xmax = xmax};
}

static BmwUuid
uuid(int number)
{
	BmwUuid id = {{0}};

	bmw_uuid_floor(START, &id);
	id.bytes[14] = (unsigned char) (number >> 8);
	id.bytes[15] = (unsigned char) number;
	return id;
}

static BmwEndpointRules
rules_of(int64_t id)
{
	return (BmwEndpointRules){.id = id,
							  .identity = (uint64_t) id,
							  .max_in_flight = 10,
							  .is_enabled = true,
							  .has_secret = true,
							  .schedule = {.delays_us = delays, .length = 2}};
}

static void
set_rules(const BmwEndpointRules *rules)
{
	CHECK_INT(bmw_scheduler_set_endpoint(scheduler, rules), BMW_OK);
	bmw_scheduler_endpoints_read(scheduler, true, 0);
	CHECK(!bmw_scheduler_wants_endpoints(scheduler, false));
}

static void
delete_endpoint(void)
{
	bmw_scheduler_remove_endpoint(scheduler, 1);
	bmw_scheduler_endpoints_read(scheduler, true, 0);
	CHECK(!bmw_scheduler_wants_endpoints(scheduler, false));
}

static void
pass_time(int64_t us)
{
	now_us += us;
	CHECK_INT(bmw_scheduler_set_time(scheduler, now_us), 0);
}

static void
begin_with(const BmwLimits *with)
{
	BmwSnapshot cursor = snapshot(100);

	now_us = START;
	xid = 100;
	scheduler = bmw_scheduler_create(with, now_us);
	CHECK(scheduler != NULL);
	bmw_scheduler_start(scheduler, &cursor, now_us);
	/* there were none, and those that come may have rows */
	bmw_scheduler_endpoints_read(scheduler, true, 0);
}

/* With endpoint 1, after the first pass, which looks for what has rows. */
static void
begin(void)
{
	BmwEndpointRules rules = rules_of(1);
	BmwSnapshot now = snapshot(100);
	BmwChunk chunk;

	begin_with(&limits);
	set_rules(&rules);
	CHECK_INT(bmw_scheduler_begin_pass(scheduler, &now), BMW_OK);
	CHECK(!bmw_scheduler_wants_endpoints(scheduler, false));
	CHECK(bmw_scheduler_next_chunk(scheduler, &chunk));
	CHECK(chunk.needs_check);
	CHECK_INT(bmw_scheduler_end_chunk(scheduler, 0), BMW_OK);
	bmw_scheduler_cursor_done(scheduler, true);
	pass_time(S);
}

static void
look_at_all(void)
{
	BmwLook look = bmw_scheduler_begin_look(scheduler);

	bmw_scheduler_end_look(scheduler, &look, 0, 0, 0);
}

static void
end(void)
{
	bmw_scheduler_destroy(scheduler);
}

static BmwStatus
take(int number, int64_t endpoint_id, const char *message, size_t size)
{
	static char data[MAX_BYTES];
	BmwEventSource source = {.id = uuid(number),
							 .type = "t",
							 .message_id = message,
							 .timestamp_us = now_us,
							 .expires_us = expires_us,
							 .data = data,
							 .data_len = size};
	BmwMatch match = {.endpoint_id = endpoint_id};
	BmwArrival arrival = {.position = {.xid = xid, .id = source.id},
						  .source = &source,
						  .matches = &match,
						  .matches_length = 1,
						  .is_beyond = is_beyond};

	memset(data, '1', sizeof(data));
	return bmw_scheduler_take(scheduler, &arrival);
}

static void
begin_pass(void)
{
	BmwSnapshot now = snapshot(++xid + 1);
	BmwChunk chunk;

	CHECK_INT(bmw_scheduler_begin_pass(scheduler, &now), BMW_OK);
	(void) bmw_scheduler_wants_endpoints(scheduler, false);
	CHECK(bmw_scheduler_next_chunk(scheduler, &chunk));
	CHECK(chunk.xids == NULL);
}

static void
end_pass(int rows)
{
	CHECK_INT(bmw_scheduler_end_chunk(scheduler, rows), BMW_OK);
}

static void
take_pass(int first, int count, int64_t endpoint_id, const char *message)
{
	begin_pass();
	for (int i = first; i < first + count; i++)
		CHECK_INT(take(i, endpoint_id, message, 10), BMW_OK);
	end_pass(count);
}

/* The number of the event that is sent next; -1: none. */
static int
send_next(BmwRequest *request)
{
	if (!bmw_scheduler_next_request(scheduler, request))
		return -1;
	return request->event->id.bytes[14] << 8 | request->event->id.bytes[15];
}

static BmwRecord *
answer(const BmwRequest *request, int status)
{
	BmwEnd result = {.transport = status == 0 ? BMW_TRANSPORT_TIMEOUT : BMW_TRANSPORT_OK,
					 .http_status = status,
					 .retry_after_us = BMW_RETRY_AFTER_NONE,
					 .random = 0.5};

	return bmw_scheduler_ended(scheduler, request->delivery, &result);
}

/* Writes what is due; returns how many. */
static int
write_all(BmwRecordFate fate, uint64_t committed)
{
	BmwRecord *records;
	int length;
	int total = 0;

	while ((records = bmw_scheduler_due_records(scheduler, &length)) != NULL)
	{
		for (int i = 0; i < length; i++)
			records[i].fate = fate;
		total += length;
		bmw_scheduler_records_done(scheduler, BMW_WRITING_DONE, committed, 0);
		if (fate == BMW_RECORD_STUCK)
			break;
	}
	return total;
}

static uint64_t
cursor(void)
{
	const BmwSnapshot *stored;
	int64_t since_us;

	return bmw_scheduler_due_cursor(scheduler, &stored, &since_us) ? stored->xmax : 0;
}

/* From one endpoint, as if there were no others. */
static bool
next_fetch(BmwFetch *what)
{
	return bmw_scheduler_next_heads(scheduler, BMW_FETCH_LENGTH, what, 1) > 0 ||
		   bmw_scheduler_next_due(scheduler, BMW_FETCH_LENGTH, what, 1) > 0;
}

static bool
fetch(BmwFetch *what, int number, int64_t due_us, const char *message)
{
	BmwDueRow row = {.event_id = uuid(number), .is_pending = true, .attempts = 1, .due_us = due_us};
	BmwEventSource source = {.id = row.event_id, .type = "t", .message_id = message};

	if (!bmw_scheduler_offer(scheduler, what, &row))
		return false;
	CHECK_INT(bmw_scheduler_load(scheduler, what, &row, &source, true), BMW_OK);
	return true;
}

static void
test_way_of_one(void)
{
	BmwRequest request;
	BmwRecord *record;
	BmwFetch what;

	begin();
	while (next_fetch(&what))
		bmw_scheduler_end_fetch(scheduler, &what, 0, BMW_NEVER_US);
	CHECK(bmw_scheduler_wants_events(scheduler, true));
	take_pass(1, 1, 1, NULL);
	CHECK_INT(bmw_scheduler_counts(scheduler).queued, 1);
	CHECK_INT(send_next(&request), 1);
	CHECK_INT(request.attempt, 1);
	CHECK_INT(send_next(&request), -1);
	record = answer(&request, 200);
	CHECK_INT(record->status, BMW_DELIVERED);
	CHECK(!record->has_row);
	CHECK_INT(bmw_scheduler_counts(scheduler).bytes, 0);
	CHECK_INT(write_all(BMW_RECORD_WRITTEN, 1), 0); /* too early */
	CHECK_INT(bmw_scheduler_wakeup_us(scheduler), now_us + 5000);
	pass_time(5000);
	CHECK_INT(cursor(), 0);
	CHECK_INT(write_all(BMW_RECORD_WRITTEN, 1), 1);
	CHECK_INT(cursor(), 102);
	bmw_scheduler_cursor_done(scheduler, true);
	CHECK_INT(cursor(), 0);
	CHECK_INT(bmw_scheduler_counts(scheduler).deliveries, 0);
	end();
}

/* What is taken twice is there once; a failure becomes a retry that is fetched when due. */
static void
test_retry(void)
{
	BmwRequest request;
	BmwRecord *record;
	BmwFetch what;

	begin();
	take_pass(1, 1, 1, NULL);
	take_pass(1, 1, 1, NULL);
	CHECK_INT(bmw_scheduler_counts(scheduler).deliveries, 1);
	CHECK_INT(send_next(&request), 1);
	record = answer(&request, 500);
	CHECK_INT(record->status, BMW_PENDING);
	CHECK(record->is_failed_attempt);
	CHECK_INT(record->next_attempt_us, now_us + 5 * S);
	pass_time(5000);
	CHECK_INT(write_all(BMW_RECORD_WRITTEN, 1), 1);
	while (next_fetch(&what))
		bmw_scheduler_end_fetch(scheduler, &what, 0, now_us + 5 * S - 5000);
	pass_time(5 * S);
	CHECK(next_fetch(&what));
	CHECK(fetch(&what, 1, now_us - 5000, NULL));
	CHECK(!fetch(&what, 1, now_us - 5000, NULL));
	bmw_scheduler_end_fetch(scheduler, &what, 1, BMW_NEVER_US);
	CHECK(!next_fetch(&what));
	CHECK_INT(send_next(&request), 1);
	CHECK_INT(request.attempt, 2);
	record = answer(&request, 500);
	CHECK(record->has_row);
	CHECK_INT(record->fetched_due_us, now_us - 5000);
	end();
}

/* A row that SQL made due during the attempt is fetched again. */
static void
test_overtaken(void)
{
	BmwRequest request;
	BmwFetch what;

	begin();
	CHECK(next_fetch(&what));
	CHECK(fetch(&what, 1, now_us - 5000, NULL));
	bmw_scheduler_end_fetch(scheduler, &what, 1, BMW_NEVER_US);
	CHECK_INT(send_next(&request), 1);
	CHECK_INT(answer(&request, 200)->status, BMW_DELIVERED);
	pass_time(5000);
	CHECK_INT(write_all(BMW_RECORD_OVERTAKEN, 1), 1);
	CHECK(next_fetch(&what));
	CHECK_INT(what.from_us, 0);
	CHECK(fetch(&what, 1, now_us - 1, NULL));
	end();
}

static void
test_cursor_waits(void)
{
	BmwRequest request;

	begin();
	take_pass(1, 1, 1, NULL);
	take_pass(2, 1, 1, NULL);
	CHECK_INT(send_next(&request), 1);
	CHECK(answer(&request, 200) != NULL);
	pass_time(5000);
	CHECK_INT(write_all(BMW_RECORD_STUCK, 1), 1);
	CHECK_INT(bmw_scheduler_counts(scheduler).stuck, 1);
	CHECK_INT(send_next(&request), 2);
	CHECK(answer(&request, 200) != NULL);
	pass_time(5000);
	CHECK_INT(write_all(BMW_RECORD_WRITTEN, 1), 1); /* the stuck one comes later, by itself */
	CHECK_INT(cursor(), 0);
	pass_time(S);
	CHECK_INT(write_all(BMW_RECORD_SET_ASIDE, 1), 1);
	CHECK_INT(cursor(), 103);
	end();
}

/* The next of a message goes when the end of the one before is durable, not only written. */
static void
test_order(void)
{
	BmwEndpointRules rules = rules_of(1);
	BmwRequest request;
	BmwFetch what;
	int64_t id;

	begin();
	rules.is_ordered = true;
	set_rules(&rules);
	CHECK_INT(bmw_scheduler_next_unlearnt(scheduler, &id, 1), 1);
	CHECK_INT(id, 1);
	take_pass(1, 1, 1, "m");
	CHECK_INT(send_next(&request), -1); /* an earlier one may wait in the table */
	bmw_scheduler_learnt(scheduler, 1);
	CHECK_INT(bmw_scheduler_next_unlearnt(scheduler, &id, 1), 0);
	pass_time(5000);
	CHECK_INT(write_all(BMW_RECORD_WRITTEN, 1), 1);
	while (next_fetch(&what))
	{
		if (what.heads != NULL)
			CHECK(fetch(&what, 1, BMW_HELD_BACK, "m"));
		bmw_scheduler_end_fetch(scheduler, &what, what.heads_length, BMW_NEVER_US);
	}
	take_pass(2, 2, 1, "m");
	CHECK_INT(send_next(&request), 1);
	CHECK(answer(&request, 200) != NULL);
	CHECK_INT(send_next(&request), -1);
	pass_time(5000);
	CHECK_INT(write_all(BMW_RECORD_WRITTEN, 77), 3); /* two are held back */
	CHECK(!next_fetch(&what) || what.heads == NULL);
	CHECK_INT(bmw_scheduler_wants_durable(scheduler), 77);
	bmw_scheduler_durable(scheduler, 76);
	CHECK(!next_fetch(&what) || what.heads == NULL);
	bmw_scheduler_durable(scheduler, 77);
	CHECK_INT(bmw_scheduler_wants_durable(scheduler), 0);
	CHECK(next_fetch(&what));
	CHECK_INT(what.heads_length, 1);
	CHECK(fetch(&what, 2, BMW_HELD_BACK, "m"));
	bmw_scheduler_end_fetch(scheduler, &what, 1, 0);
	CHECK_INT(send_next(&request), 2);
	CHECK_INT(send_next(&request), -1);
	end();
}

/* Rows that are in memory need not be among those that are found: more may come than there is room for. */
static void
test_no_room(void)
{
	BmwFetch what;
	BmwDueRow row = {.is_pending = true};
	int loaded = 0;

	begin();
	CHECK(next_fetch(&what));
	for (int i = 0; i < (int) limits.lane_capacity + 10; i++)
	{
		BmwEventSource source = {.type = "t"};

		row.event_id = source.id = uuid(i);
		row.due_us = now_us - 1000;
		if (bmw_scheduler_offer(scheduler, &what, &row) &&
			bmw_scheduler_has_room(scheduler, &what, &row, 1))
		{
			CHECK_INT(bmw_scheduler_load(scheduler, &what, &row, &source, true), BMW_OK);
			loaded++;
		}
	}
	CHECK_INT(loaded, limits.lane_capacity);
	CHECK_INT(bmw_scheduler_counts(scheduler).queued, limits.lane_capacity);
	end();
}

#define MANY 1000

static void
begin_many(bool is_ordered)
{
	begin();
	for (int64_t id = 1; id <= MANY; id++)
	{
		BmwEndpointRules rules = rules_of(id);
		BmwUuid event = uuid((int) id);

		rules.is_ordered = is_ordered;
		CHECK_INT(bmw_scheduler_set_endpoint(scheduler, &rules), BMW_OK);
		if (is_ordered)
			CHECK_INT(bmw_scheduler_learn(scheduler, id, NULL, "m", &event), BMW_OK);
		bmw_scheduler_learnt(scheduler, id);
	}
	bmw_scheduler_endpoints_read(scheduler, true, 0);
}

/* Ends each with what was found of it; each shares the rows, and is among them once. */
static void
end_many(BmwFetch *fetches, int length, int rows, char *has_come)
{
	for (int i = 0; i < length; i++)
	{
		CHECK_INT(has_come[fetches[i].endpoint_id]++, 0);
		CHECK_INT(fetches[i].limit, fetches[i].heads != NULL ? 1 : rows / length);
		bmw_scheduler_end_fetch(scheduler, &fetches[i], 0, BMW_NEVER_US);
	}
}

/* What is due for many endpoints is asked for at once; when the statement fails, again. */
static void
test_many_are_fetched_at_once(void)
{
	char has_come[MANY + 1] = {0};
	BmwFetch fetches[BMW_FETCHES];
	int length;
	int statements = 0;

	begin_many(false);
	CHECK_INT(bmw_scheduler_next_due(scheduler, BMW_FETCH_LENGTH, fetches, BMW_FETCHES),
			  BMW_FETCHES);
	pass_time(S);
	for (; (length = bmw_scheduler_next_due(scheduler, 200, fetches, BMW_FETCHES)) > 0;
		 statements++)
		end_many(fetches, length, 200, has_come);
	CHECK_INT(statements, MANY / BMW_FETCHES);
	end();
}

static void
test_heads_of_many_are_fetched_at_once(void)
{
	char has_come[MANY + 1] = {0};
	BmwFetch fetches[BMW_FETCHES];
	int length;
	int statements = 0;

	begin_many(true);
	CHECK_INT(bmw_scheduler_next_heads(scheduler, BMW_FETCH_LENGTH, fetches, BMW_FETCHES),
			  BMW_FETCHES);
	bmw_scheduler_rest(scheduler, 0);
	for (; (length = bmw_scheduler_next_heads(scheduler, 50, fetches, BMW_FETCHES)) > 0;
		 statements++)
	{
		CHECK_INT(length, 50);
		end_many(fetches, length, 50, has_come);
	}
	CHECK_INT(statements, MANY / 50);
	CHECK_INT(bmw_scheduler_counts(scheduler).ordered, 0);
	end();
}

/* Wanted heads of lanes that are full are left, and nobody loops. */
static void
test_no_room_for_heads(void)
{
	BmwEndpointRules rules[3];
	BmwFetch what;
	BmwUuid id = uuid(9999);

	begin();
	for (int e = 0; e < 3; e++)
	{
		rules[e] = rules_of(e + 1);
		rules[e].is_ordered = true;
		CHECK_INT(bmw_scheduler_set_endpoint(scheduler, &rules[e]), BMW_OK);
	}
	bmw_scheduler_endpoints_read(scheduler, true, 0);
	for (int e = 0; e < 3; e++)
		bmw_scheduler_learnt(scheduler, e + 1);
	for (int e = 0; e < 2; e++)
	{
		what = (BmwFetch){.endpoint_id = e + 1};
		for (int i = 0; i < limits.lane_capacity; i++)
		{
			BmwDueRow row = {.event_id = uuid(i), .is_pending = true, .due_us = now_us};
			BmwEventSource source = {.id = row.event_id, .type = "t"};

			CHECK_INT(bmw_scheduler_load(scheduler, &what, &row, &source, true), BMW_OK);
		}
	}
	for (int e = 0; e < 3; e++)
		CHECK_INT(bmw_scheduler_learn(scheduler, e + 1, NULL, "m", &id), BMW_OK);
	look_at_all();
	CHECK(next_fetch(&what));
	CHECK_INT(what.endpoint_id, 3);
	CHECK_INT(what.heads_length, 1);
	bmw_scheduler_end_fetch(scheduler, &what, 0, 0);
	while (next_fetch(&what))
	{
		CHECK(what.heads == NULL);
		bmw_scheduler_end_fetch(scheduler, &what, 0, BMW_NEVER_US);
	}
	CHECK(bmw_scheduler_wakeup_us(scheduler) <= now_us + S);
	end();
}

/* Nor when it is the bytes that do not fit. */
static void
test_no_bytes_for_heads(void)
{
	BmwEndpointRules rules = rules_of(1);
	BmwFetch what;
	BmwDueRow row = {.is_pending = true, .due_us = BMW_HELD_BACK};

	begin();
	rules.is_ordered = true;
	set_rules(&rules);
	for (int i = 1; i <= 2; i++)
	{
		char message[2] = {(char) ('a' + i), '\0'};

		row.event_id = uuid(i);
		CHECK_INT(bmw_scheduler_learn(scheduler, 1, NULL, message, &row.event_id), BMW_OK);
	}
	bmw_scheduler_learnt(scheduler, 1);
	CHECK(next_fetch(&what));
	CHECK_INT(what.heads_length, 2);
	for (int i = 1; i <= 2; i++)
	{
		BmwEventSource source = {.type = "t", .message_id = i == 1 ? "b" : "c"};

		row.event_id = source.id = uuid(i);
		CHECK(bmw_scheduler_offer(scheduler, &what, &row));
		CHECK_INT(bmw_scheduler_has_room(scheduler, &what, &row, MAX_BYTES), i == 1);
		if (i == 1)
			CHECK_INT(bmw_scheduler_load(scheduler, &what, &row, &source, true), BMW_OK);
	}
	bmw_scheduler_end_fetch(scheduler, &what, 2, 0);
	while (next_fetch(&what))
	{
		CHECK(what.heads == NULL);
		bmw_scheduler_end_fetch(scheduler, &what, 0, BMW_NEVER_US);
	}
	pass_time(S);
	CHECK(next_fetch(&what));
	CHECK_INT(what.heads_length, 1);
	end();
}

/* What is written as held back when nobody keeps the order any more is let go after all. */
static void
test_order_ends(void)
{
	BmwEndpointRules rules = rules_of(1);
	BmwErrand errand;

	begin();
	rules.is_ordered = true;
	set_rules(&rules);
	bmw_scheduler_learnt(scheduler, 1);
	take_pass(1, 2, 1, "m");
	rules.is_ordered = false;
	set_rules(&rules);
	CHECK(bmw_scheduler_next_errand(scheduler, &errand));
	CHECK_INT(errand.kind, BMW_ERRAND_LET_GO);
	bmw_scheduler_errand_done(scheduler, &errand, BMW_ERRAND_DONE);
	CHECK(!bmw_scheduler_next_errand(scheduler, &errand));
	pass_time(5000);
	CHECK_INT(write_all(BMW_RECORD_WRITTEN, 1), 1);
	CHECK(bmw_scheduler_next_errand(scheduler, &errand));
	CHECK_INT(errand.kind, BMW_ERRAND_LET_GO);
	bmw_scheduler_errand_done(scheduler, &errand, BMW_ERRAND_DONE);
	/* and what is seen in the table of before a restart */
	bmw_scheduler_expect(scheduler, 1, BMW_HELD_BACK);
	CHECK(bmw_scheduler_next_errand(scheduler, &errand));
	CHECK_INT(errand.kind, BMW_ERRAND_LET_GO);
	end();
}

/* A statement that fails changes nothing: the same head is asked for again. */
static void
test_fetch_fails(void)
{
	BmwEndpointRules rules = rules_of(1);
	BmwFetch what;
	BmwUuid id = uuid(7);

	begin();
	rules.is_ordered = true;
	set_rules(&rules);
	CHECK_INT(bmw_scheduler_learn(scheduler, 1, NULL, "m", &id), BMW_OK);
	bmw_scheduler_learnt(scheduler, 1);
	CHECK(next_fetch(&what));
	CHECK_INT(what.heads_length, 1);
	bmw_scheduler_rest(scheduler, 0);
	CHECK(next_fetch(&what));
	CHECK_INT(what.heads_length, 1);
	/* and one that nobody has any more keeps nobody waiting */
	bmw_scheduler_end_fetch(scheduler, &what, 0, 0);
	CHECK_INT(bmw_scheduler_counts(scheduler).ordered, 0);
	end();
}

static void
test_deleted(void)
{
	BmwRequest request;
	BmwErrand errand;
	BmwEnd aborted = {.transport = BMW_TRANSPORT_ABORTED};

	begin();
	take_pass(1, 2, 1, NULL);
	CHECK_INT(send_next(&request), 1);
	delete_endpoint();
	CHECK_INT(bmw_scheduler_counts(scheduler).unwritten, 1);
	CHECK(bmw_scheduler_next_errand(scheduler, &errand));
	CHECK_INT(errand.kind, BMW_ERRAND_CANCEL);
	bmw_scheduler_errand_done(scheduler, &errand, BMW_ERRAND_MORE);
	CHECK(!bmw_scheduler_next_errand(scheduler, &errand));
	CHECK(!bmw_scheduler_wants_abort(scheduler));
	pass_time(S);
	CHECK(bmw_scheduler_next_errand(scheduler, &errand));
	bmw_scheduler_errand_done(scheduler, &errand, BMW_ERRAND_DONE);
	CHECK(bmw_scheduler_wants_abort(scheduler));
	CHECK(bmw_scheduler_is_unwanted(scheduler, request.delivery));
	CHECK(bmw_scheduler_ended(scheduler, request.delivery, &aborted) == NULL);
	CHECK_INT(write_all(BMW_RECORD_WRITTEN, 1), 2);
	CHECK_INT(cursor(), 102);
	CHECK_INT(bmw_scheduler_counts(scheduler).deliveries, 0);
	end();
}

/* What was not written yet when it was deleted is pending then: it is canceled after all. */
static void
test_deleted_before_written(void)
{
	BmwRequest request;
	BmwErrand errand;

	begin();
	take_pass(1, 1, 1, NULL);
	CHECK_INT(send_next(&request), 1);
	CHECK_INT(answer(&request, 500)->status, BMW_PENDING);
	delete_endpoint();
	CHECK(bmw_scheduler_next_errand(scheduler, &errand));
	bmw_scheduler_errand_done(scheduler, &errand, BMW_ERRAND_DONE);
	pass_time(5000);
	CHECK_INT(write_all(BMW_RECORD_WRITTEN, 1), 1);
	CHECK(bmw_scheduler_next_errand(scheduler, &errand));
	CHECK_INT(errand.kind, BMW_ERRAND_CANCEL);
	CHECK_INT(errand.endpoint_id, 1);
	end();
}

/* A local fault of a request whose endpoint was deleted does not stay. */
static void
test_deleted_local_fault(void)
{
	BmwRequest request;

	begin();
	take_pass(1, 1, 1, NULL);
	CHECK_INT(send_next(&request), 1);
	delete_endpoint();
	bmw_scheduler_not_started(scheduler, request.delivery, S);
	pass_time(S);
	CHECK_INT(write_all(BMW_RECORD_WRITTEN, 1), 1);
	CHECK_INT(cursor(), 102);
	end();
}

static void
test_disabled(void)
{
	BmwEndpointRules rules = rules_of(1);
	BmwRequest request;
	BmwRecord *records;
	int length;

	begin();
	take_pass(1, 3, 1, NULL);
	CHECK_INT(send_next(&request), 1);
	rules.has_secret = false;
	set_rules(&rules);
	CHECK_INT(send_next(&request), -1);
	CHECK_INT(bmw_scheduler_counts(scheduler).queued, 0);
	take_pass(4, 1, 1, NULL);
	pass_time(5000);
	records = bmw_scheduler_due_records(scheduler, &length);
	CHECK_INT(length, 3);
	CHECK_TEXT(records[2].error_class, "no_secret");
	CHECK_INT(records[2].status, BMW_PENDING);
	for (int i = 0; i < length; i++)
		records[i].fate = BMW_RECORD_WRITTEN;
	bmw_scheduler_records_done(scheduler, BMW_WRITING_DONE, 1, 0);
	end();
}

/* What is taken while an endpoint, or everything, is paused waits in the table. */
static void
test_paused(void)
{
	BmwEndpointRules rules = rules_of(1);
	BmwRequest request;
	BmwFetch what;

	begin();
	rules.is_paused = true;
	set_rules(&rules);
	take_pass(1, 3, 1, NULL);
	CHECK_INT(send_next(&request), -1);
	CHECK_INT(bmw_scheduler_counts(scheduler).queued, 0);
	pass_time(5000);
	CHECK_INT(write_all(BMW_RECORD_WRITTEN, 1), 3);
	rules.is_paused = false;
	set_rules(&rules);
	bmw_scheduler_set_paused(scheduler, true);
	take_pass(4, 2, 1, NULL);
	CHECK_INT(send_next(&request), -1);
	CHECK(!next_fetch(&what));
	CHECK_INT(bmw_scheduler_counts(scheduler).queued, 2);
	/* neither what is queued nor what is due keeps the dispatcher awake */
	CHECK(bmw_scheduler_wakeup_us(scheduler) > now_us);
	for (int i = 0; i < 60; i++)
		pass_time(S);
	CHECK_INT(bmw_scheduler_counts(scheduler).queued, 0);
	CHECK_INT(write_all(BMW_RECORD_WRITTEN, 1), 2);
	begin_pass();
	end_pass(0);
	bmw_scheduler_cursor_done(scheduler, true);
	CHECK(bmw_scheduler_wakeup_us(scheduler) > now_us);
	bmw_scheduler_set_paused(scheduler, false);
	CHECK(bmw_scheduler_wakeup_us(scheduler) <= now_us);
	CHECK(next_fetch(&what));
	end();
}

/* What is in flight ends as it would have, unless the endpoint is disabled, too. */
static void
test_paused_in_flight(void)
{
	BmwEndpointRules rules = rules_of(1);
	BmwRequest first;
	BmwRequest second;

	begin();
	take_pass(1, 2, 1, NULL);
	CHECK_INT(send_next(&first), 1);
	CHECK_INT(send_next(&second), 2);
	rules.is_paused = true;
	set_rules(&rules);
	pass_time(2 * S);
	(void) bmw_scheduler_wants_abort(scheduler);
	CHECK(!bmw_scheduler_is_unwanted(scheduler, first.delivery));
	CHECK_INT(answer(&first, 200)->status, BMW_DELIVERED);
	rules.is_enabled = false;
	set_rules(&rules);
	pass_time(2 * S);
	CHECK(bmw_scheduler_wants_abort(scheduler));
	CHECK(bmw_scheduler_is_unwanted(scheduler, second.delivery));
	end();
}

/* For so long as the receiver has asked for, nothing is sent: a pause in between changes nothing. */
static void
test_paused_while_held(void)
{
	BmwEndpointRules rules = rules_of(1);
	BmwEnd later = {.transport = BMW_TRANSPORT_OK,
					.http_status = 429,
					.retry_after_us = 30 * S,
					.random = 0.5};
	BmwRequest request;

	begin();
	take_pass(1, 1, 1, NULL);
	CHECK_INT(send_next(&request), 1);
	CHECK_INT(bmw_scheduler_ended(scheduler, request.delivery, &later)->status, BMW_PENDING);
	rules.is_paused = true;
	set_rules(&rules);
	pass_time(S);
	rules.is_paused = false;
	set_rules(&rules);
	take_pass(2, 1, 1, NULL);
	CHECK_INT(send_next(&request), -1);
	rules.is_enabled = false;
	set_rules(&rules);
	rules.is_enabled = true;
	set_rules(&rules);
	take_pass(3, 1, 1, NULL);
	CHECK_INT(send_next(&request), 3);
	end();
}

/* What is canceled is queued no more; what has a row is let go; what is in flight is not called back. */
static void
test_cancel(void)
{
	BmwUuid some[] = {uuid(2), uuid(4), uuid(9)};
	BmwCancellation these = {.endpoint_id = 1, .events = some, .events_length = 3};
	BmwCancellation all = {.endpoint_id = 1, .before = uuid(6)};
	BmwEndpointRules rules = rules_of(1);
	BmwRequest request;
	BmwRecord *records;
	BmwUuid events[10];
	int length;

	begin();
	take_pass(1, 6, 1, NULL);
	CHECK_INT(send_next(&request), 1);
	CHECK_INT(bmw_scheduler_in_memory(scheduler, 1, events, 10), 6);
	CHECK_INT(bmw_scheduler_in_memory(scheduler, 2, events, 10), 0);
	CHECK(bmw_scheduler_has_taken(scheduler, xid - 1));
	CHECK(!bmw_scheduler_has_taken(scheduler, xid + 1));
	CHECK_INT(bmw_scheduler_cancel(scheduler, &these), 2);
	CHECK_INT(bmw_scheduler_counts(scheduler).queued, 3);
	CHECK_INT(bmw_scheduler_cancel(scheduler, &all), 5);
	CHECK_INT(bmw_scheduler_counts(scheduler).queued, 1);
	pass_time(5000);
	records = bmw_scheduler_due_records(scheduler, &length);
	CHECK_INT(length, 4);
	for (int i = 0; i < length; i++)
	{
		CHECK_INT(records[i].status, BMW_CANCELED);
		records[i].fate = BMW_RECORD_WRITTEN;
	}
	bmw_scheduler_records_done(scheduler, BMW_WRITING_DONE, 1, 0);
	CHECK_INT(bmw_scheduler_cancel(scheduler, &all), 1);
	CHECK_INT(send_next(&request), 6);
	/* what is canceled there must be durable before what follows is sent */
	CHECK(!bmw_scheduler_keeps_order(scheduler, 1));
	rules.is_ordered = true;
	set_rules(&rules);
	CHECK(bmw_scheduler_keeps_order(scheduler, 1));
	CHECK(bmw_scheduler_keeps_order(scheduler, 2)); /* it is not known yet */
	end();
}

/* A request that could not be started has made its queue longer than it may grow: nothing falls out. */
static void
test_cancel_in_a_full_lane(void)
{
	BmwUuid other = uuid(9);
	BmwCancellation one = {.endpoint_id = 1, .events = &other, .events_length = 1};
	BmwLimits small = limits;
	BmwEndpointRules rules = rules_of(1);
	BmwRequest request;

	small.lane_capacity = 2;
	begin_with(&small);
	set_rules(&rules);
	take_pass(1, 2, 1, NULL);
	CHECK_INT(send_next(&request), 1);
	take_pass(3, 1, 1, NULL);
	bmw_scheduler_not_started(scheduler, request.delivery, S);
	CHECK_INT(bmw_scheduler_counts(scheduler).queued, 3);
	pass_time(4 * S);
	CHECK_INT(bmw_scheduler_cancel(scheduler, &one), 0);
	CHECK_INT(bmw_scheduler_counts(scheduler).queued, 3);
	pass_time(2 * S); /* nothing is younger for it: what waits for long is left to the table */
	CHECK_INT(bmw_scheduler_counts(scheduler).queued, 0);
	pass_time(5000);
	CHECK_INT(write_all(BMW_RECORD_WRITTEN, 1), 3);
	end();
}

/* What is older than its endpoint takes is canceled at its turn; no retry is planned beyond. */
static void
test_expiry(void)
{
	BmwEndpointRules rules = rules_of(1);
	BmwRequest request;
	BmwRecord *records;
	int length;

	begin();
	rules.ttl_us = 6 * S;
	set_rules(&rules);
	take_pass(1, 2, 1, NULL);
	CHECK_INT(send_next(&request), 1);
	pass_time(3 * S);
	answer(&request, 500);
	CHECK_INT(send_next(&request), 2);
	pass_time(5000);
	records = bmw_scheduler_due_records(scheduler, &length);
	CHECK_INT(length, 1);
	CHECK_INT(records[0].status, BMW_PENDING);
	CHECK(records[0].next_attempt_us <= START + 6 * S);
	records[0].fate = BMW_RECORD_WRITTEN;
	bmw_scheduler_records_done(scheduler, BMW_WRITING_DONE, 1, 0);
	take_pass(3, 1, 1, NULL);
	pass_time(4 * S);
	CHECK_INT(send_next(&request), -1);
	pass_time(5000);
	records = bmw_scheduler_due_records(scheduler, &length);
	CHECK_INT(length, 1);
	CHECK_INT(records[0].status, BMW_CANCELED);
	CHECK_TEXT(records[0].error, "expired");
	records[0].fate = BMW_RECORD_WRITTEN;
	bmw_scheduler_records_done(scheduler, BMW_WRITING_DONE, 1, 0);
	end();
}

/* What is beyond the limit of its application is canceled for its endpoints, and holds up nothing of its message. */
static void
test_application_full(void)
{
	BmwEndpointRules rules = rules_of(1);
	BmwRequest request;
	BmwRecord *records;
	int length;

	begin();
	is_beyond = true;
	take_pass(1, 1, 1, "m");
	CHECK_INT(send_next(&request), 1); /* of no application */
	CHECK(answer(&request, 200) != NULL);
	rules.application = "a";
	rules.is_ordered = true;
	set_rules(&rules);
	bmw_scheduler_learnt(scheduler, 1);
	pass_time(5000);
	CHECK_INT(write_all(BMW_RECORD_WRITTEN, 1), 1);
	take_pass(2, 1, 1, "m");
	is_beyond = false;
	CHECK_INT(send_next(&request), -1);
	pass_time(5000);
	records = bmw_scheduler_due_records(scheduler, &length);
	CHECK_INT(length, 1);
	CHECK_INT(records[0].status, BMW_CANCELED);
	CHECK_TEXT(records[0].error, "as much waits as max_waiting of the application allows");
	records[0].fate = BMW_RECORD_WRITTEN;
	bmw_scheduler_records_done(scheduler, BMW_WRITING_DONE, 2, 0);
	bmw_scheduler_durable(scheduler, 2);
	take_pass(3, 1, 1, "m");
	CHECK_INT(send_next(&request), 3);
	end();
}

/* Neither a token of the rate nor a probe of an outage goes into what is not sent any more. */
static void
test_expired_takes_no_turn(void)
{
	BmwEndpointRules rules = rules_of(1);
	BmwRequest request;

	begin();
	rules.rate_limit = rules.rate_burst = 1;
	set_rules(&rules);
	expires_us = now_us + 2 * S;
	take_pass(1, 3, 1, NULL);
	expires_us = 0;
	take_pass(4, 1, 1, NULL);
	pass_time(3 * S);
	CHECK_INT(send_next(&request), 4);
	CHECK_INT(bmw_scheduler_counts(scheduler).unwritten, 3);
	end();
}

/* What waits for long is left to the table, a part in each turn: writing it all at once would stop all sending. */
static void
test_parked_in_parts(void)
{
	BmwRequest request;
	int parked = 0;

	begin();
	take_pass(1, 900, 1, NULL);
	CHECK_INT(send_next(&request), 1);
	pass_time(3 * S);
	take_pass(1001, 50, 1, NULL);
	pass_time(3 * S);
	for (int i = 0; i < 20 && parked < 899; i++)
	{
		int unwritten = bmw_scheduler_counts(scheduler).unwritten;

		CHECK(unwritten > 0 && unwritten <= 500);
		CHECK(parked + unwritten == 899 || bmw_scheduler_wakeup_us(scheduler) == now_us);
		pass_time(5000);
		parked += write_all(BMW_RECORD_WRITTEN, 1);
	}
	CHECK_INT(parked, 899);
	CHECK_INT(bmw_scheduler_counts(scheduler).unwritten, 0);
	CHECK_INT(bmw_scheduler_counts(scheduler).queued, 50); /* are young */
	CHECK_INT(send_next(&request), 1001);
	end();
}

/* Whatever has to be written at the same time, others have their turn between. */
static void
test_written_in_parts(void)
{
	BmwRecord *records;
	int length;

	begin();
	for (int i = 0; i < 3; i++)
	{
		take_pass(1000 * i, 1000, 1, NULL);
		pass_time(10 * S); /* none of them was sent */
		while (bmw_scheduler_counts(scheduler).queued > 0)
			pass_time(1);
	}
	CHECK_INT(bmw_scheduler_counts(scheduler).unwritten, 3000);
	records = bmw_scheduler_due_records(scheduler, &length);
	CHECK_INT(length, 2000);
	for (int i = 0; i < length; i++)
		records[i].fate = BMW_RECORD_WRITTEN;
	bmw_scheduler_records_done(scheduler, BMW_WRITING_DONE, 1, 0);
	CHECK_INT(bmw_scheduler_counts(scheduler).unwritten, 1000);
	CHECK_INT(bmw_scheduler_wakeup_us(scheduler), 0);
	CHECK_INT(write_all(BMW_RECORD_WRITTEN, 1), 1000);
	end();
}

/* Rows are not read to find that there is no room for their bodies. */
static void
test_full_of_bodies(void)
{
	BmwEndpointRules rules = rules_of(2);
	BmwFetch what;

	begin();
	set_rules(&rules);
	for (int id = 1; id <= 2; id++)
		while (next_fetch(&what))
			bmw_scheduler_end_fetch(scheduler, &what, 0, BMW_NEVER_US);
	begin_pass();
	for (int i = 0; i < 100; i++)
		CHECK_INT(take(i, 1, NULL, MAX_BYTES / 100), BMW_OK);
	end_pass(100);
	bmw_scheduler_rows_are_due_for(scheduler, 1);
	CHECK(next_fetch(&what));
	CHECK_INT(what.limit, 1); /* it has none of the table */
	CHECK(fetch(&what, 300, now_us - 20, NULL));
	bmw_scheduler_end_fetch(scheduler, &what, 1, BMW_NEVER_US);
	CHECK(!next_fetch(&what));
	bmw_scheduler_rows_are_due_for(scheduler, 1);
	bmw_scheduler_rows_are_due_for(scheduler, 2);
	CHECK(next_fetch(&what));
	CHECK_INT(what.endpoint_id, 2); /* holds nothing */
	CHECK_INT(what.limit, 500);
	bmw_scheduler_end_fetch(scheduler, &what, 0, BMW_NEVER_US);
	CHECK(!next_fetch(&what));
	pass_time(S / 10);
	CHECK(!next_fetch(&what));
	end();
}

static void
test_memory(void)
{
	BmwRequest request;
	BmwFetch what;
	BmwDueRow row = {.is_pending = true};
	BmwEventSource source = {.type = "t"};

	begin();
	begin_pass();
	for (int i = 0; i < 100; i++)
		CHECK_INT(take(i, 1, NULL, MAX_BYTES / 10), BMW_OK);
	end_pass(100);
	CHECK(bmw_scheduler_counts(scheduler).bytes <= MAX_BYTES / 4);
	CHECK_INT(bmw_scheduler_counts(scheduler).deliveries, 100);
	CHECK(next_fetch(&what));
	CHECK(fetch(&what, 300, now_us - 20, NULL)); /* the first has always room */
	row.event_id = source.id = uuid(200);
	row.due_us = now_us - 10;
	CHECK(bmw_scheduler_offer(scheduler, &what, &row));
	CHECK(!bmw_scheduler_has_room(scheduler, &what, &row, MAX_BYTES / 10));
	bmw_scheduler_end_fetch(scheduler, &what, 1, BMW_NEVER_US);
	CHECK(!next_fetch(&what)); /* no hot loop */
	while (send_next(&request) >= 0)
		answer(&request, 200);
	pass_time(S);
	CHECK_INT(write_all(BMW_RECORD_WRITTEN, 1), 101);
	CHECK(next_fetch(&what));
	CHECK_INT(what.from_us, 0);
	CHECK(bmw_scheduler_offer(scheduler, &what, &row));
	/* its event was dropped with its partition */
	CHECK_INT(bmw_scheduler_load(scheduler, &what, &row, NULL, false), BMW_OK);
	CHECK(!bmw_scheduler_offer(scheduler, &what, &row));
	end();
}

/* Passes of endpoints that cannot be read are matched again, and do not move the cursor. */
static void
test_provisional(void)
{
	BmwSnapshot now;
	BmwChunk chunk;
	BmwRequest request;

	begin();
	now = snapshot(++xid + 1);
	CHECK_INT(bmw_scheduler_begin_pass(scheduler, &now), BMW_OK);
	CHECK(bmw_scheduler_wants_endpoints(scheduler, true));
	bmw_scheduler_endpoints_locked(scheduler);
	CHECK(bmw_scheduler_next_chunk(scheduler, &chunk));
	CHECK(!chunk.needs_check);
	CHECK_INT(take(1, 1, NULL, 1), BMW_OK);
	CHECK_INT(bmw_scheduler_end_chunk(scheduler, 1), BMW_OK);
	CHECK_INT(send_next(&request), 1);
	CHECK(answer(&request, 200) != NULL);
	pass_time(S);
	CHECK_INT(write_all(BMW_RECORD_WRITTEN, 1), 1);
	CHECK_INT(cursor(), 0);
	CHECK(!bmw_scheduler_wants_endpoints(scheduler, false));
	CHECK(bmw_scheduler_wants_events(scheduler, false));
	now = snapshot(xid + 1);
	CHECK_INT(bmw_scheduler_begin_pass(scheduler, &now), BMW_OK);
	CHECK(!bmw_scheduler_wants_endpoints(scheduler, false));
	CHECK(bmw_scheduler_next_chunk(scheduler, &chunk));
	CHECK(chunk.needs_check);
	CHECK_INT(chunk.after.xid, 99);
	CHECK_INT(bmw_scheduler_end_chunk(scheduler, 1), BMW_OK);
	pass_time(60 * S);
	CHECK_INT(cursor(), 102);
	end();
}

static void
test_endpoint_health(void)
{
	BmwRequest request;
	BmwErrand errand;

	begin();
	for (int i = 1; i <= 3; i++)
	{
		take_pass(i, 1, 1, NULL);
		CHECK_INT(send_next(&request), i);
		CHECK(answer(&request, 500) != NULL);
		CHECK(i == 3 || !bmw_scheduler_next_errand(scheduler, &errand));
		pass_time(40 * S);
	}
	CHECK(bmw_scheduler_next_errand(scheduler, &errand));
	CHECK_INT(errand.kind, BMW_ERRAND_FAILING);
	CHECK(errand.time_us != 0);
	CHECK_TEXT(errand.reason, "http_status");
	bmw_scheduler_errand_done(scheduler, &errand, BMW_ERRAND_LATER);
	take_pass(4, 1, 1, NULL);
	CHECK_INT(send_next(&request), 4);
	CHECK_INT(answer(&request, 410)->status, BMW_FAILED);
	CHECK(bmw_scheduler_next_errand(scheduler, &errand));
	CHECK_INT(errand.kind, BMW_ERRAND_DISABLE);
	bmw_scheduler_errand_done(scheduler, &errand, BMW_ERRAND_DONE);
	CHECK(!bmw_scheduler_next_errand(scheduler, &errand));
	/* it is disabled at once, whoever still matches it */
	take_pass(5, 1, 1, NULL);
	CHECK_INT(send_next(&request), -1);
	CHECK_INT(bmw_scheduler_counts(scheduler).unwritten, 4);
	end();
}

static void
test_clock(void)
{
	BmwRequest request;
	BmwErrand errand;
	BmwRecord *records;
	int length;

	begin();
	take_pass(1, 1, 1, NULL);
	CHECK_INT(send_next(&request), 1);
	CHECK(answer(&request, 500) != NULL);
	now_us -= 86400 * S;
	CHECK_INT(bmw_scheduler_set_time(scheduler, now_us), 86400 * S);
	CHECK(bmw_scheduler_next_errand(scheduler, &errand));
	CHECK_INT(errand.kind, BMW_ERRAND_CLAMP);
	CHECK(bmw_scheduler_wakeup_us(scheduler) <= now_us + 5 * S);
	pass_time(5000);
	records = bmw_scheduler_due_records(scheduler, &length);
	CHECK_INT(length, 1);
	CHECK_INT(records->next_attempt_us, now_us - 5000 + 5 * S);
	records->fate = BMW_RECORD_WRITTEN;
	bmw_scheduler_records_done(scheduler, BMW_WRITING_DONE, 1, 0);
	end();
}

/* It goes back once more, while what the first time has led to waits for a locked row. */
static void
test_clock_twice(void)
{
	BmwErrand errand;

	begin();
	for (int i = 0; i < 2; i++)
	{
		now_us -= 3600 * S;
		CHECK_INT(bmw_scheduler_set_time(scheduler, now_us), 3600 * S);
		CHECK(bmw_scheduler_next_errand(scheduler, &errand));
		CHECK_INT(errand.kind, BMW_ERRAND_CLAMP);
		bmw_scheduler_errand_done(scheduler, &errand, BMW_ERRAND_LATER);
		CHECK(!bmw_scheduler_next_errand(scheduler, &errand));
	}
	end();
}

/* The clock was an hour ahead when a request ended: by that clock it was made, so that what it plans can be told. */
static void
test_clock_ahead_during_a_request(void)
{
	BmwEnd end_of_it = {.transport = BMW_TRANSPORT_OK,
						.http_status = 500,
						.retry_after_us = BMW_RETRY_AFTER_NONE,
						.times = {.total_us = 4 * S},
						.random = 0.5};
	BmwRequest request;
	const BmwRecord *record;

	begin();
	take_pass(1, 2, 1, NULL);
	CHECK_INT(send_next(&request), 1);
	pass_time(4 * S + S / 2);
	record = bmw_scheduler_ended(scheduler, request.delivery, &end_of_it);
	CHECK_INT(record->last_attempt_us, now_us - 4 * S - S / 2);
	CHECK_INT(send_next(&request), 2);
	pass_time(3600 * S);
	record = bmw_scheduler_ended(scheduler, request.delivery, &end_of_it);
	CHECK_INT(record->first_attempt_us, now_us - 4 * S);
	CHECK_INT(record->last_attempt_us, now_us - 4 * S);
	CHECK_INT(record->next_attempt_us, now_us + 5 * S);
	end();
}

/* The clock was set back while no dispatcher ran: what is due far off was planned by the one that was ahead. */
static void
test_clock_before_the_start(void)
{
	BmwErrand errand;
	BmwFetch what;

	begin();
	bmw_scheduler_expect(scheduler, 1, now_us + 360 * S);
	CHECK(!bmw_scheduler_next_errand(scheduler, &errand));
	bmw_scheduler_expect(scheduler, 1, now_us + 3600 * S);
	CHECK(bmw_scheduler_next_errand(scheduler, &errand));
	CHECK_INT(errand.kind, BMW_ERRAND_CLAMP);
	CHECK_INT(errand.endpoint_id, 1);
	bmw_scheduler_errand_done(scheduler, &errand, BMW_ERRAND_DONE);
	bmw_scheduler_expect(scheduler, 1, now_us + 3600 * S); /* a receiver has asked for that */
	CHECK(!bmw_scheduler_next_errand(scheduler, &errand));
	end();
	begin(); /* or behind one that is due */
	bmw_scheduler_expect(scheduler, 1, now_us);
	CHECK(next_fetch(&what));
	bmw_scheduler_end_fetch(scheduler, &what, 0, now_us + 3600 * S);
	CHECK(bmw_scheduler_next_errand(scheduler, &errand));
	CHECK_INT(errand.kind, BMW_ERRAND_CLAMP);
	end();
}

/* At the start also what is held back, then once a minute, and when SQL has made rows due for nobody knows whom. */
static void
test_look(void)
{
	begin();
	CHECK(bmw_scheduler_wants_rows(scheduler));
	CHECK(bmw_scheduler_begin_look(scheduler).with_held);
	look_at_all();
	CHECK(!bmw_scheduler_wants_look(scheduler));
	pass_time(S);
	CHECK(!bmw_scheduler_wants_look(scheduler));
	bmw_scheduler_rows_are_due(scheduler);
	CHECK(bmw_scheduler_wants_look(scheduler));
	CHECK(!bmw_scheduler_begin_look(scheduler).with_held);
	look_at_all();
	now_us -= 7200 * S;
	(void) bmw_scheduler_set_time(scheduler, now_us);
	CHECK(!bmw_scheduler_wants_look(scheduler));
	now_us += 60 * S;
	(void) bmw_scheduler_set_time(scheduler, now_us);
	CHECK(bmw_scheduler_wants_look(scheduler));
	CHECK(bmw_scheduler_wakeup_us(scheduler) <= now_us + S);
	end();
}

/* Some endpoints at a time; what comes meanwhile, once more, but not more often than once a second. */
static void
test_look_in_steps(void)
{
	BmwLook look;

	begin();
	look = bmw_scheduler_begin_look(scheduler);
	CHECK(look.after_id == INT64_MIN);
	bmw_scheduler_end_look(scheduler, &look, look.limit, 4711, 20000);
	CHECK(!bmw_scheduler_wants_look(scheduler));
	CHECK(bmw_scheduler_wakeup_us(scheduler) <= now_us + 10000);
	pass_time(10000);
	CHECK(bmw_scheduler_wants_look(scheduler));
	CHECK(bmw_scheduler_begin_look(scheduler).limit < look.limit);
	look = bmw_scheduler_begin_look(scheduler);
	CHECK_INT(look.after_id, 4711);
	CHECK(look.with_held);
	bmw_scheduler_rows_are_due(scheduler);
	bmw_scheduler_end_look(scheduler, &look, 0, 0, 0);
	CHECK(!bmw_scheduler_wants_look(scheduler));
	pass_time(S);
	CHECK(bmw_scheduler_wants_look(scheduler));
	CHECK(bmw_scheduler_begin_look(scheduler).after_id == INT64_MIN);
	end();
}

/* For an endpoint that is named nothing else is looked at. */
static void
test_due_for_one(void)
{
	BmwFetch what;

	begin();
	look_at_all();
	while (next_fetch(&what))
		bmw_scheduler_end_fetch(scheduler, &what, 0, BMW_NEVER_US);
	CHECK(!bmw_scheduler_wants_rows(scheduler));
	bmw_scheduler_rows_are_due_for(scheduler, 4711);
	CHECK(!bmw_scheduler_wants_rows(scheduler));
	bmw_scheduler_rows_are_due_for(scheduler, 1);
	CHECK(!bmw_scheduler_wants_look(scheduler));
	CHECK(next_fetch(&what));
	CHECK_INT(what.endpoint_id, 1);
	end();
}

/* A new endpoint begins with a few at once. */
static void
test_window(void)
{
	BmwRequest request;

	begin();
	take_pass(1, 10, 1, NULL);
	for (int i = 1; i <= 4; i++)
		CHECK_INT(send_next(&request), i);
	CHECK_INT(send_next(&request), -1);
	end();
}

/* What is said of an endpoint: each change of what is in flight, and since when the rest is so. */
static void
test_report(void)
{
	BmwRequest first;
	BmwRequest second;
	BmwReport report;
	int64_t since_us;

	begin();
	CHECK(!bmw_report_next(scheduler, &report));
	take_pass(1, 2, 1, NULL);
	CHECK_INT(send_next(&first), 1);
	CHECK(bmw_report_next(scheduler, &report));
	CHECK_INT(report.endpoint_id, 1);
	CHECK_INT(report.in_flight, 1);
	CHECK_INT(report.since_us, now_us);
	CHECK(!bmw_report_next(scheduler, &report));
	since_us = now_us;
	pass_time(1000);
	CHECK_INT(send_next(&second), 2);
	CHECK(bmw_report_next(scheduler, &report));
	CHECK_INT(report.in_flight, 2);
	CHECK_INT(report.since_us, since_us);
	CHECK(answer(&first, 500) != NULL);
	CHECK(answer(&second, 500) != NULL);
	CHECK(bmw_report_next(scheduler, &report));
	CHECK_INT(report.in_flight, 0);
	CHECK(!bmw_report_next(scheduler, &report));
	end();
}

static void
test_modes(void)
{
	BmwErrand errand;
	BmwRequest request;
	BmwFetch what;

	begin();
	take_pass(1, 2, 1, NULL);
	CHECK_INT(send_next(&request), 1);
	bmw_scheduler_set_mode(scheduler, BMW_HOLDING);
	CHECK_INT(bmw_scheduler_next_request(scheduler, &request), false);
	CHECK(!bmw_scheduler_wants_events(scheduler, true));
	CHECK(!next_fetch(&what));
	CHECK(answer(&request, 200) != NULL);
	/* a change of the endpoints is heard of all the same */
	bmw_scheduler_remove_endpoint(scheduler, 1);
	bmw_scheduler_endpoints_read(scheduler, true, 1000);
	CHECK(bmw_scheduler_next_errand(scheduler, &errand));
	bmw_scheduler_errand_done(scheduler, &errand, BMW_ERRAND_DONE);
	CHECK(!bmw_scheduler_next_errand(scheduler, &errand));
	CHECK(!bmw_scheduler_wants_endpoints(scheduler, true));
	CHECK_INT(bmw_scheduler_wakeup_us(scheduler), now_us + 2000);
	pass_time(2000);
	CHECK(bmw_scheduler_wants_endpoints(scheduler, true));
	bmw_scheduler_set_mode(scheduler, BMW_STOPPING);
	CHECK_INT(write_all(BMW_RECORD_WRITTEN, 1), 2); /* the other was canceled */
	end();
}

/* A start with very many endpoints takes seconds; what changes then is not made to wait for as long again. */
static void
test_rest_between_readings(void)
{
	BmwSnapshot cursor = snapshot(100);

	now_us = START;
	scheduler = bmw_scheduler_create(&limits, now_us);
	bmw_scheduler_start(scheduler, &cursor, now_us);
	CHECK(bmw_scheduler_wants_endpoints(scheduler, true));
	bmw_scheduler_endpoints_read(scheduler, true, 3000000);
	CHECK(bmw_scheduler_wants_endpoints(scheduler, true));
	bmw_scheduler_endpoints_read(scheduler, true, 20000);
	CHECK(!bmw_scheduler_wants_endpoints(scheduler, true));
	pass_time(40000);
	CHECK(bmw_scheduler_wants_endpoints(scheduler, true));
	bmw_scheduler_endpoints_read(scheduler, true, 3000000); /* one whose disk hung */
	pass_time(250000);
	CHECK(bmw_scheduler_wants_endpoints(scheduler, true));
	end();
}

int
main(void)
{
	test_rest_between_readings();
	test_way_of_one();
	test_retry();
	test_overtaken();
	test_cursor_waits();
	test_order();
	test_no_room();
	test_many_are_fetched_at_once();
	test_heads_of_many_are_fetched_at_once();
	test_no_room_for_heads();
	test_no_bytes_for_heads();
	test_order_ends();
	test_fetch_fails();
	test_deleted();
	test_deleted_before_written();
	test_deleted_local_fault();
	test_disabled();
	test_paused();
	test_paused_in_flight();
	test_paused_while_held();
	test_cancel();
	test_cancel_in_a_full_lane();
	test_expiry();
	test_application_full();
	test_expired_takes_no_turn();
	test_parked_in_parts();
	test_written_in_parts();
	test_full_of_bodies();
	test_memory();
	test_provisional();
	test_endpoint_health();
	test_clock();
	test_clock_twice();
	test_clock_ahead_during_a_request();
	test_clock_before_the_start();
	test_look();
	test_look_in_steps();
	test_due_for_one();
	test_window();
	test_report();
	test_modes();
	return unit_finish("scheduler");
}
