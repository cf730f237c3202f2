/*
 * test_lane.c - who sends next, on virtual time: each rule by itself, then a
 * long random run against a model that keeps its queues in plain arrays.
 */
#include "core/lane.h"
#include "core/places.h"

#include <stdlib.h>

#include "unit.h"

#define S INT64_C(1000000)
#define CAPACITY 8

static BmwJob jobs[64];
static BmwLanes *lanes;

static void
begin(int max_in_flight)
{
	memset(jobs, 0, sizeof(jobs));
	lanes = bmw_lanes_create(max_in_flight, CAPACITY);
	CHECK(lanes != NULL);
}

static void
end(void)
{
	bmw_lanes_destroy(lanes);
}

/* Queues jobs[first] up to jobs[first + count - 1]. */
static void
push_new(BmwLane *lane, int first, int count)
{
	for (int i = first; i < first + count; i++)
		CHECK(bmw_lane_push_new(lane, &jobs[i], 0));
}

static void
push_due(BmwLane *lane, int first, int count)
{
	for (int i = first; i < first + count; i++)
	{
		jobs[i].has_row = true;
		CHECK(bmw_lane_push_due(lane, &jobs[i], 0));
	}
}

/* The index of the next job, -1 for none. */
static int
next(int64_t now_us)
{
	const BmwJob *job = bmw_lanes_next(lanes, now_us);

	return job != NULL ? (int) (job - jobs) : -1;
}

/* A request of the lane that was started a moment ago ends. */
static void
finish(BmwLane *lane, BmwWindowEnd end, int64_t hold_us, int64_t now_us)
{
	const BmwJob job = {.started_us = now_us - 1};

	bmw_lane_finished(lane, &job, end, hold_us, now_us);
}

static void
succeed(BmwLane *lane, int times, int64_t now_us)
{
	for (int i = 0; i < times; i++)
		finish(lane, BMW_WINDOW_SUCCESS, 0, now_us);
}

static void
test_find(void)
{
	static int tag;

	begin(10);
	for (int64_t id = -500; id < 500; id++)
		CHECK_INT(bmw_lane_endpoint(bmw_lanes_open(lanes, id * 1000, 4)), id * 1000);
	for (int64_t id = -500; id < 500; id++)
		CHECK_INT(bmw_lane_endpoint(bmw_lanes_find(lanes, id * 1000)), id * 1000);
	CHECK(bmw_lanes_find(lanes, 1) == NULL);

	BmwLane *lane = bmw_lanes_open(lanes, 7000, 4);

	CHECK(lane == bmw_lanes_find(lanes, 7000));
	CHECK(bmw_lane_tag(lane) == NULL);
	bmw_lane_set_tag(lane, &tag);
	CHECK(bmw_lane_tag(lane) == &tag);
	bmw_lanes_close(lanes, lane);
	CHECK(bmw_lanes_find(lanes, 7000) == NULL);
	CHECK_INT(next(0), -1);
	CHECK_INT(bmw_lanes_wakeup_us(lanes, 0), BMW_NEVER_US);
	end();
	bmw_lanes_destroy(NULL);
}

static void
test_queues(void)
{
	begin(10);

	BmwLane *lane = bmw_lanes_open(lanes, 1, 10);

	CHECK_INT(bmw_lane_oldest_us(lane), BMW_NEVER_US);
	CHECK(bmw_lane_take_new(lane) == NULL);
	CHECK(bmw_lane_take_due(lane) == NULL);
	for (int i = 0; i < CAPACITY; i++)
	{
		CHECK_INT(bmw_lane_room_new(lane), CAPACITY - i);
		CHECK(bmw_lane_push_new(lane, &jobs[i], 100 + i));
	}
	CHECK_INT(bmw_lane_room_new(lane), 0);
	CHECK(!bmw_lane_push_new(lane, &jobs[20], 200));
	CHECK_INT(bmw_lane_oldest_us(lane), 100);
	CHECK_INT(bmw_lane_room_due(lane), CAPACITY);
	push_due(lane, 10, CAPACITY);
	CHECK_INT(bmw_lane_room_due(lane), 0);
	CHECK(!bmw_lane_push_due(lane, &jobs[20], 200));
	CHECK_INT(bmw_lane_counts(lane).queued, 2 * CAPACITY);
	CHECK_INT(bmw_lanes_counts(lanes).queued, 2 * CAPACITY);

	CHECK(bmw_lane_take_new(lane) == &jobs[0]);
	CHECK_INT(bmw_lane_oldest_us(lane), 101);
	CHECK(bmw_lane_take_due(lane) == &jobs[10]);
	CHECK_INT(bmw_lanes_counts(lanes).queued, 2 * CAPACITY - 2);
	while (bmw_lane_take_new(lane) != NULL || bmw_lane_take_due(lane) != NULL)
		;
	CHECK_INT(bmw_lanes_counts(lanes).queued, 0);
	CHECK_INT(next(300), -1);
	end();
}

static void
test_every_fourth_is_due(void)
{
	const int expected[] = {0, 1, 2, 10, 3, 4, 5, 11, 6, 7, 12, 13, 14};

	begin(100);

	BmwLane *lane = bmw_lanes_open(lanes, 1, 100);

	push_new(lane, 0, CAPACITY);
	push_due(lane, 10, 5);
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
	{
		CHECK_INT(next(5), expected[i]);
		CHECK_INT(jobs[expected[i]].started_us, 5);
		CHECK(jobs[expected[i]].lane == lane);
		succeed(lane, 1, 5);
	}
	CHECK_INT(next(5), -1);
	end();
}

static void
test_round_robin(void)
{
	BmwLane *four[4];

	begin(100);
	for (int i = 0; i < 4; i++)
	{
		four[i] = bmw_lanes_open(lanes, i, 100);
		push_new(four[i], 10 * i, 4);
	}
	for (int round = 0; round < 4; round++)
		for (int i = 0; i < 4; i++)
			CHECK_INT(next(0), 10 * i + round);
	CHECK_INT(next(0), -1);

	/* who comes late waits for one round, not for everybody's queue */
	push_new(four[0], 4, 4);
	succeed(four[0], 4, 0);
	push_new(four[1], 14, 4);
	succeed(four[1], 4, 0);
	CHECK_INT(next(0), 4);
	push_new(four[2], 24, 1);
	succeed(four[2], 4, 0);
	CHECK_INT(next(0), 14);
	CHECK_INT(next(0), 5);
	CHECK_INT(next(0), 24);
	end();
}

static void
test_limits(void)
{
	begin(3);

	BmwLane *a = bmw_lanes_open(lanes, 1, 2);
	BmwLane *b = bmw_lanes_open(lanes, 2, 8);

	/* the lane's own */
	push_new(a, 0, 4);
	CHECK_INT(next(0), 0);
	CHECK_INT(next(0), 1);
	CHECK_INT(next(0), -1);
	CHECK_INT(bmw_lane_counts(a).in_flight, 2);
	CHECK_INT(bmw_lane_counts(a).queued, 2);

	/* it follows when it is changed */
	bmw_lanes_open(lanes, 1, 3);
	succeed(a, 1, 1);
	CHECK_INT(bmw_lanes_wakeup_us(lanes, 1), 1);
	CHECK_INT(next(1), 2);
	CHECK_INT(next(1), 3);
	CHECK_INT(next(1), -1);

	/* beside what its application has open, one for a lane without a success yet */
	push_new(b, 10, 8);
	CHECK_INT(next(1), 10);
	CHECK_INT(next(1), -1);
	/* and one for a lane that has nothing in flight */
	succeed(b, 1, 1);
	CHECK_INT(bmw_lanes_wakeup_us(lanes, 1), 1);
	CHECK_INT(next(1), 11);
	CHECK_INT(next(1), -1);
	CHECK(bmw_lanes_wakeup_us(lanes, 1) >= S); /* not before what is in flight hangs */
	CHECK_INT(bmw_lanes_counts(lanes).in_flight, 4);
	bmw_lanes_limit(lanes, 100);
	CHECK_INT(next(1), 12);
	end();
}

/* Opens a lane of the application with so many jobs, the first being jobs[first]. */
static BmwLane *
open_with(const char *application, int64_t id, int first, int count)
{
	BmwLane *lane = bmw_lanes_open(lanes, id, 100);

	CHECK(bmw_lane_set_application(lane, application));
	push_new(lane, first, count);
	return lane;
}

/* All that may start now; returns how many. */
static int
start_all(int64_t now_us)
{
	int count = 0;

	while (next(now_us) != -1)
		count++;
	return count;
}

/* What one application leaves hanging never takes the places of another. */
static void
test_hanging_application(void)
{
	enum
	{
		HANGING = 300
	};
	BmwJob *many = calloc(HANGING * 4, sizeof(*many));
	BmwLane *bank;

	begin(128);
	for (int i = 0; i < HANGING; i++)
	{
		BmwLane *lane = open_with("shop", i, 0, 0);

		for (int j = 0; j < 4; j++)
			CHECK(bmw_lane_push_new(lane, &many[4 * i + j], 0));
	}
	CHECK_INT(start_all(1), 86); /* a third of 256, never more */

	/* the other sends as many as its window allows, again and again, also the first ones */
	bank = open_with("bank", 1000, 0, 4);
	for (int i = 0; i < 200; i++)
	{
		const int started = start_all(2 + i);

		CHECK(started >= 4 && (i < 50 || started == CAPACITY));
		succeed(bank, started, 2 + i);
		while (bmw_lane_take_new(bank) != NULL)
			;
		push_new(bank, 0, CAPACITY);
	}
	/* nor does it keep the endpoints of no application from their first request */
	open_with(NULL, 1001, 10, 4);
	CHECK(next(300) >= 0);
	end();
	free(many);
}

/* However many applications hang, half of all places are for endpoints that answer. */
static void
test_many_hanging_applications(void)
{
	enum
	{
		HANGING = 40
	};
	BmwJob *many = calloc(HANGING * 4, sizeof(*many));
	char name[20];
	BmwLane *bank;

	begin(64);
	bank = open_with("bank", 1000, 0, 1);
	CHECK_INT(start_all(1), 1);
	succeed(bank, 1, 1);
	for (int i = 0; i < HANGING; i++)
	{
		(void) snprintf(name, sizeof(name), "shop %d", i);
		BmwLane *lane = open_with(name, i, 0, 0);

		for (int j = 0; j < 4; j++)
			CHECK(bmw_lane_push_new(lane, &many[4 * i + j], 0));
	}
	CHECK_INT(start_all(2), 64);
	push_new(bank, 0, 4);
	CHECK_INT(start_all(3), 4);
	end();
	free(many);
}

/* Applications take turns, whatever the number of their endpoints. */
static void
test_applications_take_turns(void)
{
	const int expected[] = {0, 20, 4, 21, 8, 22, 12, 23, 1, 5};

	begin(100);
	for (int i = 0; i < 4; i++)
		open_with("shop", i, 4 * i, 4);
	open_with("bank", 10, 20, 4);
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		CHECK_INT(next(1), expected[i]);
	end();
}

static int64_t again_us; /* what is asked for a token is told; 0: it gets one */
static int asked;

static int64_t
take_token(void *context, const char *application, int rate, int burst, int64_t now_us)
{
	CHECK(context == lanes && now_us >= 0);
	CHECK(strcmp(application, "shop") == 0 && rate == 10 && burst == 5);
	asked++;
	return again_us;
}

/* Without a token none of an application's lanes sends; others do, and after the change of the limit it asks anew. */
static void
test_application_waits_for_tokens(void)
{
	BmwLane *lane;

	begin(100);
	asked = 0;
	again_us = 0;
	bmw_lanes_set_tokens(lanes, &(BmwTokenPort){.take = take_token, .context = lanes});
	lane = open_with("shop", 1, 0, 4);
	open_with("shop", 2, 4, 4);
	open_with("bank", 3, 20, 2);
	bmw_lane_set_application_rate(lane, 10, 5);
	CHECK_INT(next(1), 0);
	CHECK_INT(next(1), 20);
	CHECK_INT(asked, 1);
	again_us = S;
	CHECK_INT(next(1), 21);
	CHECK_INT(next(2), -1);
	CHECK_INT(asked, 2); /* not again before it is time, whichever of its lanes would be next */
	CHECK_INT(bmw_lanes_wakeup_us(lanes, 2), S);
	again_us = 2 * S;
	CHECK_INT(next(S), -1);
	CHECK_INT(asked, 3);
	again_us = 0;
	CHECK_INT(next(2 * S), 4);
	again_us = 9 * S;
	CHECK_INT(next(2 * S), -1);
	while (bmw_lane_take_new(lane) != NULL)
		;
	CHECK_INT(bmw_lane_counts(lane).queued, 0);
	bmw_lane_set_application_rate(lane, 0, 1);
	CHECK_INT(next(2 * S), 5);
	CHECK_INT(asked, 5);
	end();
}

static int taken; /* places */

static bool
take_place(void *context, const char *application, int limit, int64_t now_us)
{
	CHECK(context == lanes && now_us >= 0 && strcmp(application, "shop") == 0);
	if (taken >= limit)
		return false;
	taken++;
	return true;
}

static void
give_place(void *context, const char *application)
{
	CHECK(context == lanes && strcmp(application, "shop") == 0);
	taken--;
}

/* No more of an application's requests than it has places; those of others take them, too. */
static void
test_application_waits_for_places(void)
{
	BmwLane *lane;
	BmwLane *other;

	begin(100);
	taken = 0;
	again_us = 0;
	bmw_lanes_set_places(lanes,
						 &(BmwPlacePort){.take = take_place, .give = give_place, .context = lanes});
	lane = open_with("shop", 1, 0, 4);
	other = open_with("shop", 2, 4, 4);
	open_with("bank", 3, 20, 3);
	bmw_lane_set_application_limit(lane, 2);
	CHECK_INT(next(1), 0);
	CHECK_INT(next(1), 20);
	CHECK_INT(next(1), 4);
	CHECK_INT(next(1), 21);
	CHECK_INT(next(1), 22);
	CHECK_INT(next(1), -1); /* it waits for the end of one of its own: nothing else can help */
	CHECK_INT(bmw_lanes_wakeup_us(lanes, 1) == BMW_NEVER_US, 1);
	succeed(other, 1, 2);
	CHECK_INT(taken, 1);
	taken++; /* somebody else */
	CHECK_INT(next(2), -1);
	CHECK_INT(bmw_lanes_wakeup_us(lanes, 2), 2 + BMW_PLACES_AGAIN_US);
	taken--;
	CHECK_INT(next(2), -1);
	CHECK(next(2 + BMW_PLACES_AGAIN_US) >= 0);
	CHECK_INT(taken, 2);
	bmw_lane_set_application_limit(lane, 0);
	CHECK(next(3 + BMW_PLACES_AGAIN_US) >= 0);
	CHECK_INT(taken, 2);
	CHECK(bmw_lane_set_application(lane, "bank")); /* with what it has in flight */
	CHECK_INT(taken, 1);
	end();
}

/* An endpoint changes hands with what it has in flight, and a share that has no lane goes. */
static void
test_application_changes(void)
{
	BmwLane *lane;

	begin(4);
	lane = open_with("shop", 1, 0, 4);
	CHECK_INT(start_all(1), 3);
	CHECK(bmw_lane_set_application(lane, "shop"));
	CHECK(bmw_lane_set_application(lane, "bank"));
	open_with("shop", 2, 10, 4);
	CHECK_INT(next(1), 10); /* the share of shop is empty; four in doubt are half of all */
	CHECK_INT(next(1), -1);
	CHECK(bmw_lane_set_application(lane, NULL));
	finish(lane, BMW_WINDOW_FAILURE, 0, 1);
	finish(lane, BMW_WINDOW_FAILURE, 0, 1);
	finish(lane, BMW_WINDOW_FAILURE, 0, 1);
	while (bmw_lane_take_new(lane) != NULL)
		;
	bmw_lanes_close(lanes, lane);
	CHECK_INT(next(1), 11);
	CHECK_INT(next(1), 12);
	CHECK_INT(next(1), -1);
	end();
}

/* How many the lane hands out at once. */
static int
window_of(BmwLane *lane, int64_t now_us)
{
	BmwJob *probe[CAPACITY];
	int count = 0;

	while (bmw_lane_take_new(lane) != NULL)
		;
	push_new(lane, 40, CAPACITY);
	while ((probe[count] = bmw_lanes_next(lanes, now_us)) != NULL)
		count++;
	while (bmw_lane_take_new(lane) != NULL)
		;
	for (int i = 0; i < count; i++)
	{
		bmw_lane_give_back(lane, probe[i], 0, now_us);
		CHECK(bmw_lane_take_new(lane) == probe[i]);
	}
	return count;
}

/* Sends and answers one after the other, as fast as it may, for so long; returns how many it sent. */
static int
go_on(BmwLane *lane, BmwWindowEnd end, int64_t *now, int64_t for_us)
{
	const int64_t until = *now + for_us;
	int sent = 0;

	while (bmw_lane_take_new(lane) != NULL)
		;
	push_new(lane, 30, 1);
	while (*now < until)
	{
		BmwJob *job = bmw_lanes_next(lanes, *now);

		if (job == NULL)
		{
			const int64_t at = bmw_lanes_wakeup_us(lanes, *now);

			*now = at < until ? at : until;
			continue;
		}
		*now += 1000;
		sent++;
		bmw_lane_finished(lane, job, end, 0, *now);
		CHECK(bmw_lane_push_new(lane, job, *now));
	}
	return sent;
}

/* It has a window that begins with 4, and never is more than its limit. */
static void
test_window(void)
{
	int64_t now = S;

	begin(100);

	BmwLane *lane = bmw_lanes_open(lanes, 1, 7);

	CHECK_INT(window_of(lane, now), 4);
	for (int round = 0; round < 30; round++)
	{
		int count = 0;

		now += S / 10;
		push_new(lane, 0, CAPACITY);
		while (next(now) >= 0)
			count++;
		CHECK(count <= 7);
		now += S / 10;
		for (int i = 0; i < count; i++)
			bmw_lane_finished(lane, &jobs[i], BMW_WINDOW_SUCCESS, 0, now);
		while (bmw_lane_take_new(lane) != NULL)
			;
	}
	CHECK_INT(window_of(lane, ++now), 7);
	end();
}

/* Nobody answers: then single requests, more and more rarely; who answers is sent all at once. */
static void
test_breaker(void)
{
	int64_t now = S;

	begin(100);

	BmwLane *lane = bmw_lanes_open(lanes, 1, 100);

	CHECK(go_on(lane, BMW_WINDOW_UNANSWERED, &now, S) < 60);
	CHECK(bmw_breaker_is_open(&bmw_lane_window(lane)->breaker));
	CHECK(go_on(lane, BMW_WINDOW_UNANSWERED, &now, 60 * S) < 80);
	CHECK(go_on(lane, BMW_WINDOW_UNANSWERED, &now, 3600 * S) < 600);
	CHECK(go_on(lane, BMW_WINDOW_UNANSWERED, &now, 3600 * S) >= 300);
	CHECK(go_on(lane, BMW_WINDOW_SUCCESS, &now, 12 * S) > 1000);
	CHECK(!bmw_breaker_is_open(&bmw_lane_window(lane)->breaker));
	/* the oldest due one goes first while it is open */
	(void) go_on(lane, BMW_WINDOW_UNANSWERED, &now, 2 * S);
	push_due(lane, 10, 1);
	now += 20 * S;
	CHECK_INT(next(now), 10);
	CHECK_INT(next(now), -1);
	end();
}

/* What only fails tells nothing about its number: it goes on as before. */
static void
test_failures_do_not_open_the_breaker(void)
{
	int64_t now = S;

	begin(100);

	BmwLane *lane = bmw_lanes_open(lanes, 1, 100);

	CHECK(go_on(lane, BMW_WINDOW_FAILURE, &now, S) > 900);
	CHECK(!bmw_breaker_is_open(&bmw_lane_window(lane)->breaker));
	end();
}

/* A single delivery that is tried again now and then never waits for the breaker. */
static void
test_schedule_is_kept(void)
{
	int64_t now = S;

	begin(100);

	BmwLane *lane = bmw_lanes_open(lanes, 1, 100);

	for (int i = 0; i < 200; i++)
	{
		push_due(lane, 0, 1);
		CHECK_INT(next(now), 0);
		bmw_lane_finished(lane, &jobs[0], BMW_WINDOW_UNANSWERED, 0, now + S / 100);
		now += 11 * S;
	}
	end();
}

static void
test_limit_changes(void)
{
	begin(100);

	BmwLane *lane = bmw_lanes_open(lanes, 1, 2);

	CHECK_INT(window_of(lane, 0), 2);
	bmw_lanes_open(lanes, 1, 1);
	CHECK_INT(window_of(lane, 0), 1);
	bmw_lanes_open(lanes, 1, 2);

	/* fewer allowed than in flight */
	push_new(lane, 0, 4);
	CHECK_INT(next(0), 0);
	CHECK_INT(next(0), 1);
	bmw_lanes_open(lanes, 1, 1);
	CHECK_INT(next(0), -1);
	succeed(lane, 1, 0);
	CHECK_INT(next(0), -1);
	succeed(lane, 1, 0);
	CHECK_INT(next(0), 2);
	end();
}

static void
test_hold(void)
{
	begin(100);

	BmwLane *lane = bmw_lanes_open(lanes, 1, 8);

	push_new(lane, 0, 3);
	CHECK_INT(next(0), 0);
	finish(lane, BMW_WINDOW_FAILURE, 5 * S, S);
	CHECK_INT(bmw_lane_hold_until_us(lane), 6 * S);
	CHECK_INT(next(S), -1);
	CHECK_INT(bmw_lanes_wakeup_us(lanes, S), 6 * S);
	CHECK_INT(next(6 * S - 1), -1);
	CHECK_INT(next(6 * S), 1);
	finish(lane, BMW_WINDOW_OVERLOAD, 10 * S, 7 * S);
	CHECK_INT(bmw_lane_hold_until_us(lane), 17 * S);

	/* a shorter one does not shorten it */
	CHECK_INT(bmw_lanes_wakeup_us(lanes, 8 * S), 17 * S);
	CHECK_INT(next(17 * S), 2);
	finish(lane, BMW_WINDOW_FAILURE, 10 * S, 17 * S);
	push_new(lane, 10, 1);
	CHECK_INT(bmw_lanes_wakeup_us(lanes, 17 * S), 27 * S);
	CHECK(bmw_lane_take_new(lane) == &jobs[10]);
	CHECK_INT(bmw_lanes_wakeup_us(lanes, 17 * S), BMW_NEVER_US);
	end();
}

/* A lane that is due, and that nobody fetches for, must not keep others back. */
static void
test_due_lane_does_not_hide_a_held_one(void)
{
	begin(100);

	BmwLane *due = bmw_lanes_open(lanes, 1, 8);
	BmwLane *held = bmw_lanes_open(lanes, 2, 8);

	push_new(held, 0, 2);
	CHECK_INT(next(0), 0);
	finish(held, BMW_WINDOW_FAILURE, 5 * S, 0);
	bmw_lane_set_due(due, S);
	CHECK(bmw_lanes_next_due(lanes, 6 * S) == due);
	CHECK_INT(next(6 * S), 1);
	end();
}

static void
test_due(void)
{
	begin(100);

	BmwLane *a = bmw_lanes_open(lanes, 1, 8);
	BmwLane *b = bmw_lanes_open(lanes, 2, 8);

	CHECK(bmw_lanes_next_due(lanes, 100 * S) == NULL);
	bmw_lane_set_due(a, 20 * S);
	bmw_lane_expect(b, 10 * S);
	bmw_lane_expect(b, 30 * S);
	CHECK_INT(bmw_lanes_wakeup_us(lanes, 0), 10 * S);
	CHECK(bmw_lanes_next_due(lanes, 10 * S - 1) == NULL);
	CHECK(bmw_lanes_next_due(lanes, 30 * S) == b);
	bmw_lane_set_due(b, BMW_NEVER_US);
	CHECK(bmw_lanes_next_due(lanes, 30 * S) == a);
	bmw_lane_set_due(a, 40 * S);
	CHECK(bmw_lanes_next_due(lanes, 30 * S) == NULL);
	CHECK_INT(bmw_lanes_wakeup_us(lanes, 30 * S), 40 * S);

	/* at most a quarter full */
	push_due(a, 0, CAPACITY / 4);
	CHECK(bmw_lanes_next_due(lanes, 40 * S) == a);
	push_due(a, 10, 1);
	CHECK(bmw_lanes_next_due(lanes, 40 * S) == NULL);
	CHECK(bmw_lane_take_due(a) == &jobs[0]);
	CHECK(bmw_lanes_next_due(lanes, 40 * S) == a);

	/* not while it is stopped or held */
	bmw_lane_set_stopped(a, true);
	CHECK(bmw_lanes_next_due(lanes, 50 * S) == NULL);
	CHECK_INT(bmw_lanes_wakeup_us(lanes, 50 * S), BMW_NEVER_US);
	bmw_lane_set_stopped(a, false);
	CHECK_INT(next(50 * S), 1);
	finish(a, BMW_WINDOW_FAILURE, 9 * S, 50 * S);
	CHECK(bmw_lanes_next_due(lanes, 59 * S - 1) == NULL);
	CHECK_INT(bmw_lanes_wakeup_us(lanes, 50 * S), 59 * S);
	CHECK(bmw_lanes_next_due(lanes, 59 * S) == a);
	end();
}

static void
test_stopped(void)
{
	begin(100);

	BmwLane *lane = bmw_lanes_open(lanes, 1, 8);

	push_new(lane, 0, 2);
	CHECK(!bmw_lane_is_stopped(lane));
	bmw_lane_set_stopped(lane, true);
	CHECK(bmw_lane_is_stopped(lane));
	CHECK_INT(next(0), -1);
	CHECK_INT(bmw_lanes_wakeup_us(lanes, 0), BMW_NEVER_US);
	push_new(lane, 2, 1);
	CHECK_INT(next(0), -1);
	bmw_lane_set_stopped(lane, false);
	CHECK_INT(bmw_lanes_wakeup_us(lanes, 0), 0);
	CHECK_INT(next(0), 0);
	end();
}

static void
test_give_back(void)
{
	begin(100);

	BmwLane *lane = bmw_lanes_open(lanes, 1, 8);

	push_new(lane, 0, 2);
	push_due(lane, 10, 1);
	CHECK_INT(next(0), 0);
	push_new(lane, 2, CAPACITY - 1);
	CHECK_INT(bmw_lane_room_new(lane), 0);
	bmw_lane_give_back(lane, &jobs[0], S, 0);
	CHECK_INT(bmw_lane_room_new(lane), 0);
	CHECK_INT(bmw_lane_counts(lane).queued, CAPACITY + 2);
	CHECK_INT(bmw_lane_counts(lane).in_flight, 0);
	CHECK_INT(bmw_lanes_counts(lanes).in_flight, 0);
	CHECK_INT(bmw_lane_hold_until_us(lane), S);
	CHECK_INT(next(0), -1);
	CHECK_INT(next(S), 0);
	CHECK_INT(next(S), 1);
	CHECK_INT(next(S), 10);
	bmw_lane_give_back(lane, &jobs[10], 0, S);
	CHECK_INT(bmw_lane_room_due(lane), CAPACITY - 1);
	CHECK(bmw_lane_take_due(lane) == &jobs[10]);
	end();
}

static void
test_health(void)
{
	begin(100);

	BmwLane *lane = bmw_lanes_open(lanes, 1, 8);

	push_new(lane, 0, 8);
	for (int i = 0; i < 4; i++)
		CHECK_INT(next(0), i);
	CHECK_INT(bmw_lane_last_success_us(lane), 0);
	CHECK_INT(bmw_lane_failing_since_us(lane), 0);
	finish(lane, BMW_WINDOW_FAILURE, 0, 10);
	CHECK_INT(bmw_lane_failing_since_us(lane), 10);
	finish(lane, BMW_WINDOW_OVERLOAD, 0, 20);
	CHECK_INT(bmw_lane_failing_since_us(lane), 10);
	succeed(lane, 1, 30);
	CHECK_INT(bmw_lane_failing_since_us(lane), 0);
	CHECK_INT(bmw_lane_last_success_us(lane), 30);
	finish(lane, BMW_WINDOW_FAILURE, 0, 40);
	CHECK_INT(bmw_lane_failing_since_us(lane), 40);
	bmw_lane_set_stopped(lane, true);
	CHECK_INT(bmw_lane_failing_since_us(lane), 40);
	bmw_lane_set_stopped(lane, false);
	CHECK_INT(bmw_lane_failing_since_us(lane), 0);
	CHECK_INT(bmw_lane_last_success_us(lane), 30);
	end();
}

static void
close_odd(BmwLane *lane, void *context)
{
	++*(int *) context;
	if (bmw_lane_endpoint(lane) % 2 != 0)
		bmw_lanes_close(lanes, lane);
}

static void
test_each(void)
{
	int visited = 0;

	begin(100);
	for (int i = 0; i < 1000; i++)
	{
		bmw_lane_set_due(bmw_lanes_open(lanes, i, 8), i);
		CHECK(bmw_lanes_find(lanes, i) != NULL);
	}
	bmw_lanes_each(lanes, close_odd, &visited);
	CHECK_INT(visited, 1000);
	for (int i = 0; i < 1000; i++)
		CHECK((bmw_lanes_find(lanes, i) != NULL) == (i % 2 == 0));
	for (int i = 0; i < 1000; i += 2)
	{
		BmwLane *lane = bmw_lanes_next_due(lanes, 1000);

		CHECK_INT(bmw_lane_endpoint(lane), i);
		bmw_lane_set_due(lane, BMW_NEVER_US);
	}
	CHECK(bmw_lanes_next_due(lanes, 1000) == NULL);
	end();
}

/* Those with new jobs take turns, whatever the number of the others. */
static void
test_turns_of_new(void)
{
	begin(100);
	for (int i = 0; i < 1000; i++)
		CHECK(bmw_lanes_open(lanes, i, 8) != NULL);
	for (int i = 0; i < 3; i++)
		push_new(bmw_lanes_find(lanes, i * 100), i * 2, 2);
	push_due(bmw_lanes_find(lanes, 500), 10, 1);
	CHECK_INT(bmw_lanes_with_new(lanes), 3);
	for (int i = 0; i < 6; i++)
	{
		BmwLane *lane = bmw_lanes_turn_new(lanes);

		CHECK_INT(bmw_lane_endpoint(lane), i % 3 * 100);
		(void) bmw_lane_take_new(lane);
	}
	CHECK_INT(bmw_lanes_with_new(lanes), 0);
	end();
}

/* A lane whose neighbours have far more to do gets its turn after one round. */
static void
test_fair_among_many(void)
{
	enum
	{
		BUSY = 500
	};
	BmwJob *many = calloc(BUSY * 4, sizeof(*many));
	BmwLane *late;
	int others = 0;

	begin(10000);
	for (int i = 0; i < BUSY; i++)
		for (int j = 0; j < 4; j++)
			CHECK(bmw_lane_push_new(bmw_lanes_open(lanes, i, 100), &many[4 * i + j], 0));
	late = bmw_lanes_open(lanes, BUSY, 100);
	push_new(late, 0, 1);
	while (bmw_lanes_next(lanes, 0)->lane != late)
		others++;
	CHECK_INT(others, BUSY);
	end();
	free(many);
}

/*
 * The model: all that lane.h says, in the plainest way.
 */
#define MODEL_LANES 12
#define MODEL_JOBS 600
#define MODEL_LIMIT 10

typedef enum Where
{
	IN_HAND,
	IN_FRESH,
	IN_DUE,
	IN_FLIGHT
} Where;

typedef struct Model
{
	BmwLane *lane;		   /* NULL: not open */
	int fresh[MODEL_JOBS]; /* from the oldest */
	int fresh_length;
	int due[MODEL_JOBS];
	int due_length;
	int in_flight;
	unsigned turn;
	bool is_stopped;
	bool has_succeeded;
	bool is_failing;
	int application;
	int64_t hold_until;
	int64_t due_us;
	int passed_over; /* jobs handed out to others while it might have sent */
} Model;

static const char *const application_names[] = {NULL, "shop", "bank"};

static Model models[MODEL_LANES];
static BmwJob model_jobs[MODEL_JOBS];
static Where where[MODEL_JOBS];
static int handed_out;
static int64_t model_now;
static uint64_t seed;

static int
pick(int below)
{
	return (int) (unit_random(&seed) % (uint64_t) below);
}

static bool
model_is_doubtful(const Model *model)
{
	return !model->has_succeeded || model->is_failing;
}

/* Of these lanes: application -1: all. */
static int
model_in_flight(int application, bool only_doubtful)
{
	int sum = 0;

	for (int i = 0; i < MODEL_LANES; i++)
		if ((application == -1 || models[i].application == application) &&
			(!only_doubtful || model_is_doubtful(&models[i])))
			sum += models[i].in_flight;
	return sum;
}

/* The window's own rules: test_window.c */
static int64_t
model_open(const Model *model)
{
	const int64_t at = bmw_window_next_us(bmw_lane_window(model->lane), model->in_flight);

	return at > model->hold_until ? at : model->hold_until;
}

static bool
model_is_ready(const Model *model)
{
	return model->lane != NULL && !model->is_stopped &&
		   model->fresh_length + model->due_length > 0 && model_open(model) <= model_now;
}

static bool
model_may_send(const Model *model)
{
	const int free = 2 * MODEL_LIMIT - model_in_flight(-1, false);
	const int share = model_in_flight(model->application, false);

	if (!model_is_ready(model) || free <= 0)
		return false;
	if (model_is_doubtful(model))
		return 2 * model_in_flight(model->application, true) < free &&
			   model_in_flight(-1, true) < MODEL_LIMIT;
	return share < (model->in_flight == 0 ? 2 * free : free);
}

static int
model_enough(const Model *model)
{
	return bmw_breaker_is_open(&bmw_lane_window(model->lane)->breaker) ? 0 : CAPACITY / 4;
}

static bool
model_may_fetch(const Model *model)
{
	return model->lane != NULL && !model->is_stopped && model->due_us <= model_now &&
		   model->hold_until <= model_now && model->due_length <= model_enough(model);
}

static void
insert_first(int *queue, int *length, int job)
{
	memmove(queue + 1, queue, (size_t) *length * sizeof(*queue));
	queue[0] = job;
	++*length;
}

static int
remove_first(int *queue, int *length)
{
	const int job = queue[0];

	--*length;
	memmove(queue, queue + 1, (size_t) *length * sizeof(*queue));
	return job;
}

static void
model_hold(Model *model, int64_t hold_us)
{
	if (hold_us > 0 && model_now + hold_us > model->hold_until)
		model->hold_until = model_now + hold_us;
}

/* A job that is in nobody's hands but ours, or -1. */
static int
free_job(void)
{
	for (int tries = 0; tries < 20; tries++)
	{
		const int job = pick(MODEL_JOBS);

		if (where[job] == IN_HAND)
			return job;
	}
	return -1;
}

static void
step_open(Model *model)
{
	const int max = 1 + pick(10);

	if (model->lane == NULL)
		*model = (Model){.due_us = BMW_NEVER_US};
	model->lane = bmw_lanes_open(lanes, model - models, max);
	if (pick(2) == 0)
		return;
	model->application = pick(3);
	CHECK(bmw_lane_set_application(model->lane, application_names[model->application]));
}

static void
step_push(Model *model)
{
	const int job = free_job();
	const bool is_due = pick(3) == 0;

	if (job < 0)
		return;
	model_jobs[job].has_row = is_due;
	if (is_due)
	{
		CHECK_INT(bmw_lane_push_due(model->lane, &model_jobs[job], model_now),
				  model->due_length < CAPACITY);
		if (model->due_length >= CAPACITY)
			return;
		model->due[model->due_length++] = job;
		where[job] = IN_DUE;
	}
	else
	{
		CHECK_INT(bmw_lane_push_new(model->lane, &model_jobs[job], model_now),
				  model->fresh_length < CAPACITY);
		if (model->fresh_length >= CAPACITY)
			return;
		model->fresh[model->fresh_length++] = job;
		where[job] = IN_FRESH;
	}
}

static void
step_next(void)
{
	bool could[MODEL_LANES]; /* before it has started */
	bool was_open[MODEL_LANES];
	bool is_any = false;
	BmwJob *job;

	for (int i = 0; i < MODEL_LANES; i++)
	{
		is_any |= could[i] = model_may_send(&models[i]);
		was_open[i] = models[i].lane != NULL &&
					  bmw_breaker_is_open(&bmw_lane_window(models[i].lane)->breaker);
	}
	job = bmw_lanes_next(lanes, model_now);
	CHECK_INT(job != NULL, is_any);
	if (job == NULL)
		return;

	Model *model = &models[bmw_lane_endpoint(job->lane)];
	const bool is_due_turn =
		(++model->turn % 4 == 0 || was_open[model - models]) && model->due_length > 0;

	CHECK(could[model - models]);
	for (int i = 0; i < MODEL_LANES; i++)
		models[i].passed_over = could[i] && &models[i] != model ? models[i].passed_over + 1 : 0;
	if (is_due_turn || model->fresh_length == 0)
		CHECK_INT(job - model_jobs, remove_first(model->due, &model->due_length));
	else
		CHECK_INT(job - model_jobs, remove_first(model->fresh, &model->fresh_length));
	CHECK(where[job - model_jobs] == IN_FRESH || where[job - model_jobs] == IN_DUE);
	where[job - model_jobs] = IN_FLIGHT;
	model->in_flight++;
	handed_out++;
}

static int
job_in_flight(void)
{
	for (int i = 0, job = pick(MODEL_JOBS); i < MODEL_JOBS; i++, job = (job + 1) % MODEL_JOBS)
		if (where[job] == IN_FLIGHT)
			return job;
	return -1;
}

static void
step_finish(void)
{
	const int job = job_in_flight();
	const int64_t hold_us = pick(10) == 0 ? (1 + pick(5)) * S : 0;
	const BmwWindowEnd signal = pick(3) != 0 ? BMW_WINDOW_SUCCESS : (BmwWindowEnd) pick(5);

	if (job < 0)
		return;

	Model *model = &models[bmw_lane_endpoint(model_jobs[job].lane)];

	where[job] = IN_HAND;
	model->in_flight--;
	model->has_succeeded |= signal == BMW_WINDOW_SUCCESS;
	model->is_failing = signal != BMW_WINDOW_SUCCESS;
	model_hold(model, hold_us);
	bmw_lane_finished(model->lane, &model_jobs[job], signal, hold_us, model_now);
}

static void
step_give_back(void)
{
	const int job = job_in_flight();
	const int64_t hold_us = pick(2) * S;

	if (job < 0)
		return;

	Model *model = &models[bmw_lane_endpoint(model_jobs[job].lane)];

	model->in_flight--;
	model_hold(model, hold_us);
	if (model_jobs[job].has_row)
		insert_first(model->due, &model->due_length, job);
	else
		insert_first(model->fresh, &model->fresh_length, job);
	where[job] = model_jobs[job].has_row ? IN_DUE : IN_FRESH;
	bmw_lane_give_back(model->lane, &model_jobs[job], hold_us, model_now);
}

static void
step_take(Model *model)
{
	const bool is_due = pick(2) == 0;
	const BmwJob *job = is_due ? bmw_lane_take_due(model->lane) : bmw_lane_take_new(model->lane);

	CHECK_INT(job != NULL, (is_due ? model->due_length : model->fresh_length) > 0);
	if (job == NULL)
		return;
	CHECK_INT(job - model_jobs, is_due ? remove_first(model->due, &model->due_length)
									   : remove_first(model->fresh, &model->fresh_length));
	where[job - model_jobs] = IN_HAND;
}

static void
step_fetch(void)
{
	BmwLane *lane = bmw_lanes_next_due(lanes, model_now);
	int64_t earliest = BMW_NEVER_US;
	Model *model;

	for (int i = 0; i < MODEL_LANES; i++)
		if (model_may_fetch(&models[i]))
		{
			const int64_t at =
				models[i].due_us > models[i].hold_until ? models[i].due_us : models[i].hold_until;

			earliest = at < earliest ? at : earliest;
		}
	CHECK_INT(lane != NULL, earliest != BMW_NEVER_US);
	if (lane == NULL)
		return;
	model = &models[bmw_lane_endpoint(lane)];
	CHECK(model_may_fetch(model));
	CHECK_INT(model->due_us > model->hold_until ? model->due_us : model->hold_until, earliest);
	model->due_us = pick(2) == 0 ? BMW_NEVER_US : model_now + pick(5) * S;
	bmw_lane_set_due(lane, model->due_us);
}

static void
step_expect(Model *model)
{
	const int64_t due_us = model_now + (pick(10) - 2) * S;

	model->due_us = due_us < model->due_us ? due_us : model->due_us;
	bmw_lane_expect(model->lane, due_us);
}

static void
step_lane(Model *model)
{
	if (model->lane == NULL || pick(20) == 0)
		step_open(model);
	else if (pick(10) == 0)
	{
		if (model->is_stopped)
		{
			model->hold_until = 0; /* begins without a past */
			model->is_failing = false;
		}
		model->is_stopped = !model->is_stopped && pick(3) == 0;
		bmw_lane_set_stopped(model->lane, model->is_stopped);
	}
	else if (model->fresh_length + model->due_length + model->in_flight == 0 && pick(4) == 0)
	{
		bmw_lanes_close(lanes, model->lane);
		model->lane = NULL;
	}
	else if (pick(12) == 0)
		step_take(model);
	else if (pick(8) == 0)
		step_expect(model);
	else
		step_push(model);
}

/* The earliest moment at which time alone lets something happen. */
static int64_t
model_wakeup(void)
{
	int64_t wakeup = BMW_NEVER_US;

	for (int i = 0; i < MODEL_LANES; i++)
	{
		const Model *model = &models[i];
		int64_t at = BMW_NEVER_US;

		if (model_may_send(model))
			return model_now;
		if (model->lane == NULL || model->is_stopped)
			continue;
		if (model->due_us != BMW_NEVER_US && model->due_length <= model_enough(model))
			at = model->due_us > model->hold_until ? model->due_us : model->hold_until;
		if (model->fresh_length + model->due_length > 0 && model_open(model) > model_now &&
			model_open(model) < at)
			at = model_open(model);
		wakeup = at < wakeup ? at : wakeup;
	}
	return wakeup;
}

/* Each has its turn once in a round, and only those with new jobs. */
static void
check_turns(int with_new)
{
	bool has_had[MODEL_LANES] = {false};

	CHECK_INT(bmw_lanes_with_new(lanes), with_new);
	for (int i = 0; i < with_new; i++)
	{
		int64_t id = bmw_lane_endpoint(bmw_lanes_turn_new(lanes));

		CHECK(models[id].fresh_length > 0 && !has_had[id]);
		has_had[id] = true;
	}
}

static void
check_invariants(void)
{
	int with_new = 0;
	int queued = 0;
	int in_flight = 0;

	for (int i = 0; i < MODEL_LANES; i++)
	{
		const Model *model = &models[i];

		CHECK(bmw_lanes_find(lanes, i) == model->lane);
		if (model->lane == NULL)
			continue;
		CHECK_INT(bmw_lane_counts(model->lane).queued, model->fresh_length + model->due_length);
		CHECK_INT(bmw_lane_counts(model->lane).in_flight, model->in_flight);
		CHECK_INT(bmw_lane_hold_until_us(model->lane), model->hold_until);
		/* it goes to the end of another queue when another rule holds for it, so it is more than a round */
		CHECK(model->passed_over <= 6 * MODEL_LANES);
		with_new += model->fresh_length > 0;
		queued += model->fresh_length + model->due_length;
		in_flight += model->in_flight;
	}
	CHECK(in_flight <= 2 * MODEL_LIMIT);
	CHECK_INT(bmw_lanes_counts(lanes).queued, queued);
	CHECK_INT(bmw_lanes_counts(lanes).in_flight, in_flight);
	check_turns(with_new);
}

static void
test_random(uint64_t start)
{
	seed = start;
	handed_out = 0;
	model_now = S;
	memset(models, 0, sizeof(models));
	memset(model_jobs, 0, sizeof(model_jobs));
	memset(where, 0, sizeof(where));
	begin(MODEL_LIMIT);
	for (int step = 0; step < 20000; step++)
	{
		switch (pick(8))
		{
			case 0:
			case 1:
				step_next();
				break;
			case 2:
				step_finish();
				break;
			case 3:
				if (pick(8) == 0)
					step_give_back();
				break;
			case 4:
				if (pick(4) == 0)
					model_now += pick(3) * S / 2;
				step_next(); /* time is told by a call */
				CHECK_INT(bmw_lanes_wakeup_us(lanes, model_now), model_wakeup());
				break;
			case 5:
				step_fetch();
				break;
			default:
				step_lane(&models[pick(MODEL_LANES)]);
		}
		check_invariants();
	}
	CHECK(handed_out > 2000);
	end();
}

int
main(void)
{
	test_find();
	test_queues();
	test_every_fourth_is_due();
	test_round_robin();
	test_limits();
	test_hanging_application();
	test_many_hanging_applications();
	test_applications_take_turns();
	test_application_waits_for_tokens();
	test_application_waits_for_places();
	test_application_changes();
	test_window();
	test_breaker();
	test_failures_do_not_open_the_breaker();
	test_schedule_is_kept();
	test_limit_changes();
	test_hold();
	test_due_lane_does_not_hide_a_held_one();
	test_due();
	test_stopped();
	test_give_back();
	test_health();
	test_each();
	test_turns_of_new();
	test_fair_among_many();
	for (uint64_t start = 1; start <= 5; start++)
		test_random(start);
	return unit_finish("lane");
}
