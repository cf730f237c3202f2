/*
 * window_model.h - receivers on virtual time, and dispatchers with a window each that send to one.
 *
 * A receiver has workers and a queue, a limit of its rate, a share of requests that
 * its proxy refuses, times in which it hangs or is away, and a distance. Everything
 * follows from the seed. For test_window.c alone.
 */
#ifndef BMW_WINDOW_MODEL_H
#define BMW_WINDOW_MODEL_H

#include <math.h>
#include <stdlib.h>

#include "core/window.h"
#include "unit.h"

#define S INT64_C(1000000)
#define MS INT64_C(1000)
#define MODEL_SECONDS 400
#define MODEL_DISPATCHERS 8

typedef enum Law
{
	EXPONENTIAL, /* service times */
	LOGNORMAL,	 /* of sigma 1 */
	NEARLY_EVEN	 /* within 20 % */
} Law;

typedef enum Trouble
{
	NO_TROUBLE,
	HANGS,			/* what comes then is never answered */
	HANGS_TILL_END, /* it is answered at its end */
	IS_AWAY,		/* refuses connections */
	REFUSES,		/* answers 429 */
	IS_SLOW,		/* a hundred times */
	IS_HALVED		/* half of the workers */
} Trouble;

typedef struct Receiver
{
	const char *name;
	int workers; /* 0: as many as come */
	Law law;
	int64_t service_us;	 /* mean */
	int64_t distance_us; /* there and back */
	int queue;			 /* waiting at most, others get 503; 0: without bounds; -1: none */
	double limit;		 /* a second, 0: none */
	double burst;
	bool is_limit_503; /* otherwise 429 */
	double share;	   /* that the proxy answers 503, at once */
	double chance_429; /* of being refused, whatever is sent */
	int64_t share_from_us;
	int64_t limit_from_us;
	Trouble trouble;
	int64_t from_us; /* of the trouble */
	int64_t to_us;
	double demand;	   /* events a second; 0: always more than can be sent */
	int max_in_flight; /* of a dispatcher */
	int dispatchers;
	int64_t length_us;
	int64_t warm_us;	 /* that does not count */
	double possible;	 /* successes a second, at most */
	int64_t idle_us;	 /* latency of one request alone */
	double least;		 /* of what is possible: checked */
	double slowest;		 /* times the idle latency: checked; 0: not */
	double most_refused; /* of all requests: checked; 0: not */
} Receiver;

typedef struct Results
{
	double good; /* a second, after the warm-up */
	double latency_us;
	double refused; /* share of requests: 503, 429 or none */
	double unfair;	/* most of a dispatcher by the least */
	int most;		/* in flight, of a dispatcher */
	long starts;
	long starts_in_trouble;
	BmwWindowReason reason;	  /* of the first dispatcher, at the end */
	int goods[MODEL_SECONDS]; /* by second */
} Results;

typedef enum EventKind
{
	WORKER_DONE,
	ANSWER,
	DEMAND,
	LOOK
} EventKind;

typedef struct Event
{
	int64_t at_us;
	EventKind kind;
	int dispatcher;
	int64_t started_us;
	BmwWindowEnd end;
} Event;

typedef struct Waiting
{
	int dispatcher;
	int64_t started_us;
} Waiting;

static const Receiver *receiver;
static Results results;
static BmwWindow windows[MODEL_DISPATCHERS];
static int in_flight[MODEL_DISPATCHERS];
static long queued[MODEL_DISPATCHERS];
static long done[MODEL_DISPATCHERS];
static int64_t look_at[MODEL_DISPATCHERS];
static Event *events;
static int events_length, events_capacity;
static Waiting *waiting;
static int waiting_first, waiting_length, waiting_capacity;
static int busy;
static double tokens;
static int64_t tokens_us;
static int64_t model_now;
static uint64_t model_seed;

static double
chance(void)
{
	return (double) (unit_random(&model_seed) >> 11) / 9007199254740992.0;
}

static void
at(Event event)
{
	int i = events_length++;

	if (events_length > events_capacity)
	{
		events_capacity = events_capacity > 0 ? 2 * events_capacity : 4096;
		events = realloc(events, sizeof(*events) * (size_t) events_capacity);
	}
	for (; i > 0 && events[(i - 1) / 2].at_us > event.at_us; i = (i - 1) / 2)
		events[i] = events[(i - 1) / 2];
	events[i] = event;
}

static Event
next_event(void)
{
	const Event first = events[0];
	const Event last = events[--events_length];
	int i = 0;

	for (int child; (child = 2 * i + 1) < events_length; i = child)
	{
		if (child + 1 < events_length && events[child + 1].at_us < events[child].at_us)
			child++;
		if (events[child].at_us >= last.at_us)
			break;
		events[i] = events[child];
	}
	events[i] = last;
	return first;
}

static bool
is_troubled(Trouble trouble)
{
	return receiver->trouble == trouble && model_now >= receiver->from_us &&
		   model_now < receiver->to_us;
}

static int64_t
service_time(void)
{
	double mean = (double) receiver->service_us * (is_troubled(IS_SLOW) ? 100 : 1);

	switch (receiver->law)
	{
		case EXPONENTIAL:
			mean *= -log(1 - chance());
			break;
		case LOGNORMAL:
			mean *= exp(sqrt(-2 * log(1 - chance())) * cos(6.283185307 * chance()) - 0.5);
			break;
		case NEARLY_EVEN:
			mean *= 0.8 + 0.4 * chance();
			break;
	}
	return (int64_t) mean + 1;
}

#define MODEL_TIMEOUT_US (10 * S)

static void
answer(int dispatcher, int64_t started_us, int64_t after_us, BmwWindowEnd end)
{
	const int64_t at_us = model_now + after_us;
	Event event = {.at_us = at_us,
				   .kind = ANSWER,
				   .dispatcher = dispatcher,
				   .started_us = started_us,
				   .end = end};

	if (at_us - started_us > MODEL_TIMEOUT_US)
	{
		event.at_us =
			started_us + MODEL_TIMEOUT_US > model_now ? started_us + MODEL_TIMEOUT_US : model_now;
		event.end = BMW_WINDOW_UNANSWERED;
	}
	at(event);
}

static void
begin_work(int dispatcher, int64_t started_us)
{
	busy++;
	at((Event){.at_us = model_now + service_time(),
			   .kind = WORKER_DONE,
			   .dispatcher = dispatcher,
			   .started_us = started_us});
}

static int
workers(void)
{
	return is_troubled(IS_HALVED) ? receiver->workers / 2 : receiver->workers;
}

static void
work(int dispatcher)
{
	if (receiver->workers == 0)
	{
		answer(dispatcher, model_now, service_time() + receiver->distance_us, BMW_WINDOW_SUCCESS);
		return;
	}
	if (busy < workers())
	{
		begin_work(dispatcher, model_now);
		return;
	}
	if (receiver->queue != 0 && waiting_length >= receiver->queue)
	{
		answer(dispatcher, model_now, 3 * MS + receiver->distance_us, BMW_WINDOW_OVERLOAD);
		return;
	}
	if (waiting_length >= waiting_capacity)
	{
		fprintf(stderr, "the queue of %s is too long\n", receiver->name);
		abort();
	}
	waiting[(waiting_first + waiting_length++) % waiting_capacity] =
		(Waiting){.dispatcher = dispatcher, .started_us = model_now};
}

static bool
is_within_limit(void)
{
	tokens += (double) (model_now - tokens_us) * receiver->limit / S;
	tokens_us = model_now;
	if (tokens > receiver->burst)
		tokens = receiver->burst;
	if (tokens < 1)
		return false;
	tokens -= 1;
	return true;
}

static void
arrive(int dispatcher)
{
	const int64_t quick = 3 * MS + receiver->distance_us;

	if (is_troubled(HANGS))
		answer(dispatcher, model_now, 2 * MODEL_TIMEOUT_US, BMW_WINDOW_UNANSWERED);
	else if (is_troubled(HANGS_TILL_END))
		answer(dispatcher, model_now, receiver->to_us - model_now + receiver->service_us,
			   BMW_WINDOW_SUCCESS);
	else if (is_troubled(IS_AWAY))
		answer(dispatcher, model_now, receiver->distance_us + MS, BMW_WINDOW_UNANSWERED);
	else if (receiver->share > 0 && model_now >= receiver->share_from_us &&
			 chance() < receiver->share)
		answer(dispatcher, model_now, quick, BMW_WINDOW_OVERLOAD);
	else if (is_troubled(REFUSES) || (receiver->chance_429 > 0 && chance() < receiver->chance_429))
		answer(dispatcher, model_now, quick, BMW_WINDOW_LIMITED);
	else if (receiver->limit > 0 && model_now >= receiver->limit_from_us && !is_within_limit())
		answer(dispatcher, model_now, quick,
			   receiver->is_limit_503 ? BMW_WINDOW_OVERLOAD : BMW_WINDOW_LIMITED);
	else
		work(dispatcher);
}

static void
finish(const Event *event)
{
	const int second = (int) (model_now / S);
	const bool is_good = event->end == BMW_WINDOW_SUCCESS;

	in_flight[event->dispatcher]--;
	bmw_window_finished(&windows[event->dispatcher], event->end, in_flight[event->dispatcher],
						event->started_us, model_now);
	if (is_good)
		results.goods[second]++;
	if (model_now < receiver->warm_us)
		return;
	if (is_good)
	{
		results.good++;
		results.latency_us += (double) (model_now - event->started_us);
		done[event->dispatcher]++;
	}
	else
		results.refused++;
}

static void
worker_is_done(const Event *event)
{
	busy--;
	answer(event->dispatcher, event->started_us, receiver->distance_us, BMW_WINDOW_SUCCESS);
	while (waiting_length > 0 && busy < workers())
	{
		const Waiting next = waiting[waiting_first];

		waiting_first = (waiting_first + 1) % waiting_capacity;
		waiting_length--;
		begin_work(next.dispatcher, next.started_us);
	}
}

static void
start_all(int i)
{
	BmwWindow *window = &windows[i];

	while (receiver->demand <= 0 || queued[i] > 0)
	{
		const int64_t next_us = bmw_window_next_us(window, in_flight[i]);

		if (next_us > model_now)
		{
			if (next_us != INT64_MAX && (look_at[i] <= model_now || next_us < look_at[i]))
			{
				look_at[i] = next_us;
				at((Event){.at_us = next_us, .kind = LOOK, .dispatcher = i});
			}
			return;
		}
		bmw_window_started(window, in_flight[i], model_now);
		CHECK(window->size >= 1 && window->size <= receiver->max_in_flight);
		queued[i]--;
		in_flight[i]++;
		CHECK(in_flight[i] <= receiver->max_in_flight);
		if (in_flight[i] > results.most)
			results.most = in_flight[i];
		results.starts++;
		results.starts_in_trouble += receiver->trouble != NO_TROUBLE &&
									 model_now >= receiver->from_us && model_now < receiver->to_us;
		arrive(i);
	}
}

static void
demand(int i)
{
	queued[i]++;
	at((Event){.at_us = model_now + (int64_t) (-log(1 - chance()) * S / receiver->demand) + 1,
			   .kind = DEMAND,
			   .dispatcher = i});
}

static void
begin_model(const Receiver *which, uint64_t seed)
{
	receiver = which;
	model_seed = seed;
	model_now = S;
	events_length = waiting_first = waiting_length = busy = 0;
	if (waiting == NULL)
		waiting = malloc(sizeof(*waiting) * (size_t) (waiting_capacity = 20000));
	memset(&results, 0, sizeof(results));
	tokens = which->burst;
	tokens_us = model_now;
	for (int i = 0; i < which->dispatchers; i++)
	{
		bmw_window_begin(&windows[i], which->max_in_flight, model_now);
		in_flight[i] = 0;
		queued[i] = done[i] = 0;
		look_at[i] = 0;
		if (which->demand > 0)
			demand(i);
		start_all(i);
	}
}

static void
end_model(void)
{
	const double seconds = (double) (receiver->length_us - receiver->warm_us) / S;
	long least = done[0], most = done[0];

	for (int i = 1; i < receiver->dispatchers; i++)
	{
		least = done[i] < least ? done[i] : least;
		most = done[i] > most ? done[i] : most;
	}
	results.unfair = (double) most / (double) (least > 0 ? least : 1);
	results.latency_us /= results.good > 0 ? results.good : 1;
	results.refused /= results.good + results.refused > 0 ? results.good + results.refused : 1;
	results.good /= seconds;
	results.reason = bmw_window_reason(&windows[0]);
}

static const Results *
run_model(const Receiver *which, uint64_t seed)
{
	begin_model(which, seed);
	while (events_length > 0 && events[0].at_us < which->length_us)
	{
		const Event event = next_event();

		model_now = event.at_us;
		if (event.kind == WORKER_DONE)
			worker_is_done(&event);
		else if (event.kind == ANSWER)
			finish(&event);
		else if (event.kind == DEMAND)
			demand(event.dispatcher);
		start_all(event.dispatcher);
	}
	end_model();
	return &results;
}

#endif
