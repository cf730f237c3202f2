/*
 * test_destination.c - never more requests to one address than may go there, whoever sends them and from however many
 * processes; nobody takes all of them, and nobody who waits is left out.
 */
#include "core/lane_internal.h"
#include "core/places.h"

#include <stdio.h>
#include <stdlib.h>

#include "unit.h"

#define S INT64_C(1000000)
#define VICTIM 77
#define OTHER 78
#define PROCESSES 2

static BmwPlaceSet set;
static BmwLanes *processes[PROCESSES];
static BmwJob jobs[1024];
static int used;

static bool
take(void *context, uint64_t destination, int left, int limit, int64_t now_us)
{
	const int by = processes[1] == *(BmwLanes **) context;

	return bmw_places_take(&set, &(BmwPlaceRequest){.key = destination,
													.group = 1,
													.by = by,
													.limit = limit,
													.left = left,
													.now_us = now_us});
}

static void
give(void *context, uint64_t destination)
{
	bmw_places_give(&set, destination, processes[1] == *(BmwLanes **) context);
}

static int
taken(uint64_t destination)
{
	int sum = 0;

	for (int i = 0; i < BMW_PLACES_IN_SET; i++)
		for (int by = 0; set.places[i].key == destination && by < PROCESSES; by++)
			sum += set.places[i].taken[by];
	return sum;
}

static void
begin(int limit, int length)
{
	set = (BmwPlaceSet){0};
	memset(jobs, 0, sizeof(jobs));
	used = 0;
	for (int i = 0; i < PROCESSES; i++)
	{
		const BmwDestinationPort port = {.take = take,
										 .give = give,
										 .context = &processes[i],
										 .is_alone = length == 1};

		processes[i] = i < length ? bmw_lanes_create(1000, 512) : NULL;
		if (processes[i] == NULL)
			continue;
		bmw_lanes_set_destinations(processes[i], &port);
		bmw_lanes_limit_destinations(processes[i], limit);
	}
}

static void
end(void)
{
	for (int i = 0; i < PROCESSES; i++)
		bmw_lanes_destroy(processes[i]);
}

static void
push(BmwLane *lane, int count)
{
	for (int i = 0; i < count; i++)
		CHECK(bmw_lane_push_new(lane, &jobs[used++], 0));
}

/* With so many jobs; no request of it has ended. */
static BmwLane *
open_new(BmwLanes *lanes, const char *application, int64_t id, int count)
{
	BmwLane *lane = bmw_lanes_open(lanes, id, 512);

	CHECK(bmw_lane_set_application(lane, application));
	push(lane, count);
	return lane;
}

/* One has succeeded. */
static BmwLane *
open_lane(BmwLanes *lanes, const char *application, int64_t id, int count)
{
	BmwLane *lane = open_new(lanes, application, id, count);

	lane->last_success_us = 1;
	bmw_lane_refresh(lane);
	return lane;
}

/* As the engine does: NULL when there was no job, or it could not go there, and was given back. */
static BmwJob *
send(BmwLanes *lanes, uint64_t destination, int64_t now_us)
{
	BmwJob *job = bmw_lanes_next(lanes, now_us);

	if (job == NULL || bmw_lane_enter(job->lane, &job->party, destination, now_us))
		return job;
	bmw_lane_give_back(job->lane, job, 0, now_us);
	return NULL;
}

/* As many as can be started. */
static int
send_all(BmwLanes *lanes, uint64_t destination, int64_t now_us)
{
	int sent = 0;

	for (int i = 0; i < 200; i++)
		sent += send(lanes, destination, now_us) != NULL;
	return sent;
}

static void
finish(BmwJob *job, int64_t now_us)
{
	bmw_lane_finished(job->lane, job, BMW_WINDOW_SUCCESS, 0, now_us);
}

/* Each lane has begun once, and its window does not matter any more. */
static void
test_half_is_left_to_others(void)
{
	const char *const names[] = {"a", "b", "c"};
	const int expected[] = {10, 5, 3};

	begin(20, 1);
	for (int i = 0; i < 3; i++)
	{
		for (int k = 0; k < 20; k++)
			open_lane(processes[0], names[i], 100 * i + k, 4);
		CHECK_INT(send_all(processes[0], VICTIM, 1), expected[i]);
	}
	CHECK_INT(taken(VICTIM), 18);
	CHECK_INT(send_all(processes[0], VICTIM, 1), 0);
	CHECK_INT(bmw_lanes_wakeup_us(processes[0], 1) == BMW_NEVER_US, 1); /* one of ours must end */
	end();
}

/* What an administrator registers himself, for no application, is neither limited nor counted. */
static void
test_no_application(void)
{
	begin(20, 1);
	for (int k = 0; k < 20; k++)
		open_lane(processes[0], NULL, k, 4);
	CHECK_INT(send_all(processes[0], VICTIM, 1), 80);
	CHECK_INT(taken(VICTIM), 0);
	for (int k = 0; k < 20; k++)
		open_lane(processes[0], "a", 100 + k, 4);
	CHECK_INT(send_all(processes[0], VICTIM, 1), 10);
	end();
}

/* What has not succeeded yet leaves places to others, those of its own application too. */
static void
test_doubtful(void)
{
	begin(30, 1);
	for (int k = 0; k < 30; k++)
		open_new(processes[0], "a", k, 1);
	CHECK_INT(send_all(processes[0], VICTIM, 1), 10);
	for (int k = 0; k < 30; k++)
		open_lane(processes[0], "a", 100 + k, 1);
	CHECK_INT(send_all(processes[0], VICTIM, 1), 10);
	open_new(processes[0], "b", 200, 1);
	CHECK_INT(send_all(processes[0], VICTIM, 1), 1);
	end();
}

/* Where requests go is known for each alone: what one application fills is open to the next address. */
static void
test_addresses_are_apart(void)
{
	begin(20, 1);
	for (int k = 0; k < 20; k++)
		open_lane(processes[0], "a", k, 1);
	CHECK_INT(send_all(processes[0], VICTIM, 1), 10);
	for (int k = 0; k < 8; k++)
		open_lane(processes[0], "a", 100 + k, 1);
	CHECK_INT(send_all(processes[0], OTHER, 1), 8);
	CHECK_INT(taken(VICTIM), 10);
	end();
}

static void
test_no_limit(void)
{
	begin(4, 1);
	for (int k = 0; k < 30; k++)
		open_lane(processes[0], "a", k, 1);
	CHECK_INT(send_all(processes[0], VICTIM, 1), 2);
	bmw_lanes_limit_destinations(processes[0], 0);
	CHECK_INT(send_all(processes[0], VICTIM, 1), 28);
	end();
}

/* Who has fewest there is called first, and in an application who has waited longest. */
static void
test_who_waits_is_called(void)
{
	BmwJob *a[2];
	BmwJob *b;
	BmwJob *job;

	begin(4, 1);
	for (int k = 0; k < 6; k++)
		open_lane(processes[0], "a", k, 1);
	for (int i = 0; i < 2; i++)
		CHECK((a[i] = send(processes[0], VICTIM, 1)) != NULL);
	CHECK_INT(send_all(processes[0], VICTIM, 1), 0);
	open_lane(processes[0], "b", 10, 1);
	open_lane(processes[0], "b", 11, 1);
	CHECK((b = send(processes[0], VICTIM, 1)) != NULL); /* one is left beyond it */
	CHECK_INT(bmw_lane_endpoint(b->lane), 10);
	CHECK_INT(send_all(processes[0], VICTIM, 1), 0);
	finish(a[0], 2); /* a has one, b too: both may have another */
	CHECK_INT(bmw_lanes_wakeup_us(processes[0], 2) <= 2, 1);
	CHECK((job = send(processes[0], VICTIM, 2)) != NULL);
	CHECK_INT(bmw_lane_endpoint(job->lane), 2); /* it has waited for longer */
	CHECK_INT(send_all(processes[0], VICTIM, 2), 0);
	finish(b, 3);
	CHECK((job = send(processes[0], VICTIM, 3)) != NULL);
	CHECK_INT(bmw_lane_endpoint(job->lane), 11);
	CHECK_INT(taken(VICTIM), 3);
	end();
}

/* Whoever was called and has nothing to send any more passes it on. */
static void
test_what_is_called_may_go(void)
{
	BmwLane *lane;
	BmwJob *job;

	begin(2, 1);
	for (int k = 0; k < 3; k++)
		open_lane(processes[0], "a", k, 1);
	CHECK((job = send(processes[0], VICTIM, 1)) != NULL);
	CHECK_INT(send_all(processes[0], VICTIM, 1), 0);
	finish(job, 2);
	lane = bmw_lanes_find(processes[0], 1);
	bmw_lane_set_stopped(lane, true);
	CHECK((job = send(processes[0], VICTIM, 2)) != NULL);
	CHECK_INT(bmw_lane_endpoint(job->lane), 2);
	bmw_lane_go_on(lane);
	CHECK_INT(send_all(processes[0], VICTIM, 2), 0);
	CHECK(bmw_lane_set_application(lane, "b"));
	CHECK_INT(send_all(processes[0], VICTIM, 2), 1); /* as another's it may have the last one */
	CHECK_INT(taken(VICTIM), 2);
	finish(job, 3);
	CHECK_INT(taken(VICTIM), 1);
	end();
}

/* A flood from one application delays the single request of another by one answer at most. */
static void
test_flood(void)
{
	BmwJob *open[64];
	int length = 0;
	int64_t now_us = 1;
	BmwJob *job;

	begin(9, 1);
	for (int k = 0; k < 400; k++)
		open_lane(processes[0], "flood", k, 1);
	for (int i = 0; i < 500; i++)
		if ((job = send(processes[0], VICTIM, now_us)) != NULL)
			open[length++] = job;
	CHECK_INT(length, 5);
	for (int k = 0; k < 20; k++)
	{
		open_lane(processes[0], "shop", 1000 + k, 1);
		job = send(processes[0], VICTIM, now_us);
		CHECK(job != NULL && bmw_lane_endpoint(job->lane) == 1000 + k);
		finish(job, ++now_us);
		finish(open[0], ++now_us);
		CHECK((open[0] = send(processes[0], VICTIM, now_us)) != NULL);
	}
	end();
}

/* Two processes: together no more than the limit, and who was refused for the other's sake asks again. */
static void
test_two_processes(void)
{
	BmwJob *open[32];
	int length = 0;
	BmwJob *job;

	begin(10, 2);
	for (int k = 0; k < 20; k++)
	{
		open_lane(processes[0], k % 2 == 0 ? "a" : "b", k, 1);
		open_lane(processes[1], k % 2 == 0 ? "c" : "d", 100 + k, 1);
	}
	for (int i = 0; i < 100; i++)
		if ((job = send(processes[0], VICTIM, S)) != NULL)
			open[length++] = job;
	CHECK_INT(length, 7);
	CHECK_INT(send_all(processes[1], VICTIM, S), 2);
	CHECK_INT(taken(VICTIM), 9);
	CHECK_INT(bmw_lanes_wakeup_us(processes[1], S), S + BMW_PLACES_AGAIN_US);
	for (int i = 0; i < length; i++)
		finish(open[i], S + 1);
	CHECK_INT(send_all(processes[1], VICTIM, S + BMW_PLACES_AGAIN_US) > 0, 1);
	end();
}

/* Who must leave places to others keeps none from them, however often it asks. */
static void
test_no_place_is_kept_for_who_may_not_take_it(void)
{
	int64_t now_us = S;
	int got = 0;
	BmwJob *job;

	begin(6, 2);
	for (int k = 0; k < 10; k++)
		open_lane(processes[k % 2], "flood", k, 1);
	CHECK_INT(send_all(processes[0], VICTIM, now_us), 3);
	CHECK_INT(send_all(processes[1], VICTIM, now_us), 2);
	for (int k = 0; k < 20; k++, now_us += BMW_PLACES_AGAIN_US)
	{
		open_lane(processes[0], "shop", 100 + k, 1);
		CHECK_INT(send_all(processes[1], VICTIM, now_us), 0);
		job = send(processes[0], VICTIM, now_us);
		if (job != NULL)
		{
			got++;
			finish(job, now_us + 1);
		}
	}
	CHECK_INT(got, 20);
	end();
}

/* A random run: what is taken is what is in flight, within the limit, and in the end all has been sent. */
static void
test_random(unsigned seed)
{
	static BmwJob *open[1024];
	int length = 0;
	int sent = 0;
	int64_t now_us = S;
	const int limit = 1 + (int) (seed % 7);
	char name[] = "a";

	srand(seed);
	begin(limit, 2);
	for (int k = 0; k < 60; k++)
	{
		name[0] = (char) ('a' + rand() % 5);
		open_lane(processes[k % 2], name, k, 1 + rand() % 5);
	}
	for (int i = 0; i < 200000 && sent < used; i++)
	{
		BmwLanes *lanes = processes[rand() % 2];
		BmwLane *lane = bmw_lanes_find(lanes, rand() % 60);
		BmwJob *job;

		now_us += rand() % 2000;
		if (rand() % 50 == 0 && lane != NULL)
		{
			name[0] = (char) ('a' + rand() % 5);
			bmw_lane_set_stopped(lane, rand() % 2 == 0);
			CHECK(bmw_lane_set_application(lane, name));
		}
		if (rand() % 2 == 0 &&
			(job = send(lanes, rand() % 2 == 0 ? VICTIM : OTHER, now_us)) != NULL)
			open[length++] = job;
		else if (length > 0 && rand() % 3 == 0)
		{
			const int k = rand() % length;

			finish(open[k], now_us);
			open[k] = open[--length];
			sent++;
		}
		CHECK(taken(VICTIM) <= limit && taken(OTHER) <= limit);
		CHECK(taken(VICTIM) + taken(OTHER) >= length);
		for (int k = 0; i % 1000 == 0 && k < 60; k++)
			if ((lane = bmw_lanes_find(processes[k % 2], k)) != NULL)
				bmw_lane_go_on(lane);
	}
	CHECK_INT(sent, used);
	CHECK_INT(taken(VICTIM) + taken(OTHER), 0);
	end();
}

int
main(void)
{
	test_half_is_left_to_others();
	test_no_application();
	test_doubtful();
	test_addresses_are_apart();
	test_no_limit();
	test_who_waits_is_called();
	test_what_is_called_may_go();
	test_flood();
	test_two_processes();
	test_no_place_is_kept_for_who_may_not_take_it();
	for (unsigned seed = 1; seed <= 40; seed++)
		test_random(seed);
	return unit_finish("destination");
}
