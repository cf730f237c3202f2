/*
 * test_challenge.c - when an endpoint is asked for a proof, what waits meanwhile, and what is an answer.
 */
#include "core/challenge.h"

#include "unit.h"

#define S INT64_C(1000000)
#define HOUR (3600 * S)
#define START (1000000 * S)

static BmwScheduler *scheduler;
static int64_t now_us;

static void
pass_time(int64_t us)
{
	now_us += us;
	(void) bmw_scheduler_set_time(scheduler, now_us);
}

static BmwEndpointRules
rules_of(int64_t id, const char *application)
{
	return (BmwEndpointRules){.id = id,
							  .identity = (uint64_t) id,
							  .application = application,
							  .max_in_flight = 10,
							  .is_enabled = true,
							  .has_secret = true,
							  .unverified_us = now_us};
}

static void
set(const BmwEndpointRules *rules)
{
	CHECK_INT(bmw_scheduler_set_endpoint(scheduler, rules), BMW_OK);
}

static void
begin(void)
{
	BmwLimits limits = {.max_in_flight = 100, .lane_capacity = 100, .max_bytes = 1 << 20};
	BmwSnapshot cursor = {.xmin = 100, .xmax = 100};
	BmwSnapshot now = cursor;
	BmwChunk chunk;

	now_us = START;
	scheduler = bmw_scheduler_create(&limits, now_us);
	bmw_scheduler_start(scheduler, &cursor, now_us);
	bmw_scheduler_endpoints_read(scheduler, true, 0);
	CHECK_INT(bmw_scheduler_begin_pass(scheduler, &now), BMW_OK);
	CHECK(bmw_scheduler_next_chunk(scheduler, &chunk));
	CHECK_INT(bmw_scheduler_end_chunk(scheduler, 0), BMW_OK);
	bmw_scheduler_cursor_done(scheduler, true);
}

/* An event for endpoint 1: is it put into the table at once, to wait? */
static bool
is_parked(void)
{
	static uint64_t xid = 100;
	BmwUuid id = {{0}};
	BmwMatch match = {.endpoint_id = 1};
	BmwEventSource source = {.type = "a.b", .data = "{}", .data_len = 2};
	BmwSnapshot now = {.xmin = ++xid, .xmax = xid};
	BmwChunk chunk;
	BmwRecord *records;
	int length = 0;
	bool is_pending;

	bmw_uuid_floor(now_us, &id);
	id.bytes[15] = (uint8_t) xid;
	source.id = id;
	CHECK_INT(bmw_scheduler_begin_pass(scheduler, &now), BMW_OK);
	bmw_scheduler_endpoints_read(scheduler, true, 0);
	CHECK(bmw_scheduler_next_chunk(scheduler, &chunk));
	CHECK_INT(bmw_scheduler_take(scheduler, &(BmwArrival){.position = {xid - 1, id},
														  .source = &source,
														  .matches = &match,
														  .matches_length = 1}),
			  BMW_OK);
	CHECK_INT(bmw_scheduler_end_chunk(scheduler, 1), BMW_OK);
	pass_time(S);
	records = bmw_scheduler_due_records(scheduler, &length);
	is_pending = records != NULL && records[0].status == BMW_PENDING;
	for (int i = 0; i < length; i++)
		records[i].fate = BMW_RECORD_WRITTEN;
	if (records != NULL)
		bmw_scheduler_records_done(scheduler, BMW_WRITING_DONE, 0, 0);
	return is_pending;
}

static bool
sends(void)
{
	BmwRequest request;

	return bmw_scheduler_next_request(scheduler, &request);
}

/* What is for it waits, and it alone is asked; once it has answered it gets what there is. */
static void
test_way(void)
{
	BmwEndpointRules rules;
	BmwChallenge challenge;
	BmwFetch what;

	begin();
	rules = rules_of(1, "shop");
	set(&rules);
	CHECK(bmw_scheduler_wakeup_us(scheduler) <= now_us);
	CHECK(bmw_challenge_next(scheduler, &challenge));
	CHECK_INT(challenge.endpoint_id, 1);
	CHECK_INT(challenge.attempt, 1);
	CHECK(!bmw_challenge_next(scheduler, &challenge));
	CHECK(is_parked());
	CHECK(!sends());
	CHECK_INT(bmw_scheduler_next_due(scheduler, 1, &what, 1), 0);
	/* the same once more changes nothing: one is under way */
	set(&rules);
	CHECK(!bmw_challenge_next(scheduler, &challenge));
	bmw_challenge_ended(scheduler, &challenge, true);
	CHECK(!bmw_challenge_next(scheduler, &challenge));
	CHECK_INT(bmw_scheduler_next_due(scheduler, 1, &what, 1), 1);
	CHECK_INT(what.endpoint_id, 1);
	bmw_scheduler_end_fetch(scheduler, &what, 0, BMW_NEVER_US);
	CHECK(!is_parked());
	CHECK(sends());
	bmw_scheduler_destroy(scheduler);
}

/* Later and later, for a day; a new URL is asked at once, but not more often than every two seconds. */
static void
test_again(void)
{
	BmwEndpointRules rules;
	BmwChallenge challenge;
	int asked = 0;

	begin();
	rules = rules_of(1, NULL);
	set(&rules);
	for (int64_t s = 0; s < 48 * 3600; s++, pass_time(S))
		if (bmw_challenge_next(scheduler, &challenge))
		{
			CHECK_INT(challenge.attempt, ++asked);
			bmw_challenge_ended(scheduler, &challenge, false);
		}
	/* 2, 4, ... 2,048 s make the first 68 minutes, then once an hour */
	CHECK_INT(asked, 12 + 22);
	rules.unverified_us = now_us;
	set(&rules);
	CHECK(bmw_challenge_next(scheduler, &challenge));
	CHECK_INT(challenge.attempt, 1);
	rules.unverified_us++;
	set(&rules);
	bmw_challenge_ended(scheduler, &challenge, true);
	CHECK(is_parked());
	pass_time(S - 1);
	CHECK(!bmw_challenge_next(scheduler, &challenge));
	CHECK(bmw_scheduler_wakeup_us(scheduler) <= now_us + 1);
	pass_time(1);
	CHECK(bmw_challenge_next(scheduler, &challenge));
	CHECK_INT(challenge.unverified_us, rules.unverified_us);
	bmw_challenge_ended(scheduler, &challenge, true);
	CHECK(!is_parked());
	bmw_scheduler_destroy(scheduler);
}

/* Who is paused, disabled, deleted or has no secret is not asked. */
static void
test_who_is_asked(void)
{
	BmwEndpointRules rules;
	BmwChallenge challenge;

	begin();
	rules = rules_of(1, NULL);
	rules.is_paused = true;
	set(&rules);
	CHECK(!bmw_challenge_next(scheduler, &challenge));
	rules.is_paused = false;
	rules.is_enabled = false;
	set(&rules);
	CHECK(!bmw_challenge_next(scheduler, &challenge));
	rules.is_enabled = true;
	rules.has_secret = false;
	set(&rules);
	CHECK(!bmw_challenge_next(scheduler, &challenge));
	rules.has_secret = true;
	rules.secret_until_us = now_us;
	set(&rules);
	CHECK(!bmw_challenge_next(scheduler, &challenge));
	CHECK(bmw_scheduler_lacks_secret(scheduler, 1));
	rules.secret_until_us = 0;
	set(&rules);
	bmw_scheduler_set_paused(scheduler, true);
	CHECK(!bmw_challenge_next(scheduler, &challenge));
	bmw_scheduler_set_paused(scheduler, false);
	bmw_scheduler_set_mode(scheduler, BMW_HOLDING);
	CHECK(!bmw_challenge_next(scheduler, &challenge));
	bmw_scheduler_set_mode(scheduler, BMW_RUNNING);
	CHECK(bmw_challenge_next(scheduler, &challenge));
	bmw_scheduler_remove_endpoint(scheduler, 1);
	bmw_challenge_ended(scheduler, &challenge, true);
	CHECK(!bmw_challenge_next(scheduler, &challenge));
	bmw_scheduler_destroy(scheduler);
}

/* Endpoints of one application that hang leave places to others; there are never more under way than places. */
static void
test_places(void)
{
	BmwChallenge asked[2 * BMW_CHALLENGES_MAX];
	BmwEndpointRules rules;
	int length = 0;

	begin();
	for (int64_t id = 1; id <= 100; id++)
	{
		rules = rules_of(id, "hanging");
		set(&rules);
	}
	while (bmw_challenge_next(scheduler, &asked[length]))
		length++;
	CHECK_INT(length, 4);
	rules = rules_of(101, "shop");
	set(&rules);
	CHECK(bmw_challenge_next(scheduler, &asked[length++]));
	CHECK_INT(asked[4].endpoint_id, 101);
	for (int64_t id = 201; id <= 300; id++)
	{
		rules = rules_of(id, NULL);
		set(&rules);
	}
	while (bmw_challenge_next(scheduler, &asked[length]))
		length++;
	CHECK_INT(length, BMW_CHALLENGES_MAX);
	bmw_challenge_ended(scheduler, &asked[0], true);
	CHECK(bmw_challenge_next(scheduler, &asked[0]));
	for (int i = 0; i < length; i++)
		bmw_challenge_ended(scheduler, &asked[i], false);
	/* one that was set back is asked no later */
	CHECK_INT(bmw_scheduler_set_time(scheduler, now_us - HOUR), HOUR);
	now_us -= HOUR;
	pass_time(4 * S);
	CHECK(bmw_challenge_next(scheduler, &asked[0]));
	bmw_scheduler_destroy(scheduler);
}

static void
test_answers(void)
{
	static const struct
	{
		const char *answer;
		bool is_met;
	} cases[] = {
		{"a1b2", true},
		{" \r\n a1b2\t\n", true},
		{"{\"challenge\":\"a1b2\"}", true},
		{" { \"challenge\"\n:\t\"a1b2\" } \n", true},
		{"", false},
		{"a1b", false},
		{"a1b2c", false},
		{"A1B2", false},
		{"a1 b2", false},
		{"\"a1b2\"", false},
		{"a1b2 a1b2", false},
		{"{\"challenge\":\" a1b2\"}", false},
		{"{\"challenge\":\"a1b2 \"}", false},
		{"{\"challenge\":\"a1b2\"", false},
		{"{\"challenge\":\"a1b2\"}}", false},
		{"{\"challenge\":a1b2}", false},
		{"{\"challenge\":\"a1b2\",\"x\":1}", false},
		{"{\"type\":\"webhook.verification\",\"data\":{\"endpoint_id\":1,\"challenge\":\"a1b2\"}}",
		 false},
		{"<p>a1b2</p>", false},
	};
	char too_long[2 * BMW_CHALLENGE_SIZE];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		CHECK_INT(bmw_challenge_is_met("a1b2", cases[i].answer, strlen(cases[i].answer)),
				  cases[i].is_met);
	CHECK(!bmw_challenge_is_met("a1b2", "a1b2\0", 5));
	memset(too_long, 'a', sizeof(too_long));
	too_long[sizeof(too_long) - 1] = '\0';
	CHECK(!bmw_challenge_is_met(too_long, too_long, strlen(too_long)));
}

int
main(void)
{
	test_way();
	test_again();
	test_who_is_asked();
	test_places();
	test_answers();
	return unit_finish("challenge");
}
