/*
 * receivers.c - a model of the endpoints' servers.
 *
 * What an answer will be is decided when the request begins. An answer that
 * comes after its dispatcher has died finds nobody.
 */
#include "receivers.h"

#include <string.h>

#include "dispatcher.h"
#include "registry.h"
#include "trace.h"
#include "world.h"

#define TIMEOUT (15 * SECOND)

/* How a receiver is for a while. Shares are of a thousand. */
typedef struct Mood
{
	int64_t latency;
	int capacity;
	int failing;
	int hanging;
	int gone;
	int lost;	  /* took the request, but its answer is lost */
	int patience; /* Retry-After with a failure */
	bool is_away;
	bool is_steady; /* it stays as it is */
	int refusing;	/* 503, a fixed share */
	int rate;		/* a second; what is beyond gets 429; 0: as many as come */
	int64_t second; /* that is counted */
	int seen;		/* in it */
} Mood;

Request requests[MAX_REQUESTS];

static Mood moods[MAX_ENDPOINTS];
static int open[MAX_ENDPOINTS];
static int open_of[MAX_SHARDS][MAX_ENDPOINTS];
static int open_in[MAX_SHARDS];
static int starting[MAX_SHARDS];
static int open_at[ADDRESSES + 1];
static int next_free;

static void count(const Request *request, int more);
static Request *find_free(void);
static Mood steady(void);
static void note_rate(Mood *mood);
static int64_t decide(const Mood *mood, int endpoint, BmwEnd *end);
static void fail(const Mood *mood, BmwEnd *end);

void
receivers_begin(void)
{
	memset(requests, 0, sizeof(requests));
	memset(open, 0, sizeof(open));
	memset(open_of, 0, sizeof(open_of));
	memset(open_in, 0, sizeof(open_in));
	memset(starting, 0, sizeof(starting));
	memset(open_at, 0, sizeof(open_at));
	challenges_begin();
	next_free = 0;
	memset(moods, 0, sizeof(moods));
	for (int i = 0; i < MAX_ENDPOINTS; i++)
	{
		if (PLAN_HAS(HAS_STEADY) && random_chance(500))
			moods[i] = steady();
		receivers_change(i);
	}
}

void
receivers_change(int endpoint)
{
	Mood *mood = &moods[endpoint];

	if (world.is_calm || mood->is_steady)
		return;
	*mood = (Mood){.latency = random_between(1, random_chance(200) ? 4 * SECOND : 50 * MS),
				   .capacity = 1 + random_below(50)};
	if (PLAN_HAS(HAS_FAILURES) && random_chance(600))
		mood->failing = random_chance(200) ? 1000 : random_below(600);
	if (PLAN_HAS(HAS_HANGING) && random_chance(300))
		mood->hanging = random_chance(200) ? 1000 : random_below(100);
	if (PLAN_HAS(HAS_GONE) && random_chance(100))
		mood->gone = random_below(20);
	if (PLAN_HAS(HAS_LOST_ANSWERS) && random_chance(400))
		mood->lost = random_below(100);
	if (PLAN_HAS(HAS_RETRY_AFTER) && random_chance(400))
		mood->patience = random_below(1000);
	mood->is_away = PLAN_HAS(HAS_OUTAGES) && random_chance(250);
	world_after(random_about(10 * SECOND), ACTOR_RECEIVER, endpoint);
}

bool
receivers_are_steady(int endpoint)
{
	return moods[endpoint].is_steady && !world.is_calm;
}

bool
receivers_send(int shard, int event, int endpoint, struct BmwDelivery *delivery)
{
	Request *request = find_free();
	int64_t takes;

	if (!world.is_calm && PLAN_HAS(HAS_LOCAL_FAULTS) && random_chance(20))
		return false;
	*request = (Request){.is_open = true,
						 .generation = request->generation + 1,
						 .shard = shard,
						 .event = event,
						 .endpoint = endpoint,
						 .known = dispatchers[shard].known[endpoint],
						 .is_starting = true,
						 .delivery = delivery};
	request->address = registry_address(endpoint, request->known.url);
	count(request, 1);
	starting[shard]++;
	note_rate(&moods[endpoint]);
	takes = decide(&moods[endpoint], endpoint, &request->end);
	request->end.times.total_us = takes;
	request->end.random = random_unit();
	world_after(takes, ACTOR_ANSWER,
				(int) (request - requests) | (request->generation & 0x3FFFF) << REQUEST_BITS);
	return true;
}

void
receivers_answer(int argument)
{
	Request *request = &requests[argument & (MAX_REQUESTS - 1)];

	if (!request->is_open || (request->generation & 0x3FFFF) != argument >> REQUEST_BITS)
		return;
	request->is_answered = true;
	dispatchers[request->shard].has_answers = true;
	dispatcher_wake(request->shard);
}

int
receivers_starting(int shard)
{
	return starting[shard];
}

void
receivers_connect(Request *request, bool may_enter)
{
	const Version *now = &dispatchers[request->shard].known[request->endpoint];

	request->is_starting = false;
	starting[request->shard]--;
	if (!may_enter)
	{
		MET(MET_CROWDED);
		request->end =
			(BmwEnd){.transport = BMW_TRANSPORT_CROWDED, .retry_after_us = BMW_RETRY_AFTER_NONE};
		request->is_answered = dispatchers[request->shard].has_answers = true;
		dispatcher_wake(request->shard);
		return;
	}
	request->has_place = now->application != NO_APPLICATION;
	if (request->has_place)
		receivers_enter(request->address);
}

void
receivers_enter(uint64_t address)
{
	const int most = registry_address_limit();

	open_at[address]++;
	if (most == 0 || open_at[address] < most)
		return;
	MET(MET_FULL_ADDRESS);
	if (open_at[address] > most)
		violation("%d requests are open to one address, which may have %d", open_at[address], most);
}

void
receivers_leave(uint64_t address)
{
	open_at[address]--;
}

int64_t
receivers_decide(int endpoint, BmwEnd *end)
{
	return decide(&moods[endpoint], endpoint, end);
}

void
receivers_drop(int shard)
{
	for (int i = 0; i < MAX_REQUESTS && open_in[shard] > 0; i++)
		if (requests[i].is_open && requests[i].shard == shard)
			receivers_close(&requests[i]);
}

void
receivers_close(Request *request)
{
	request->is_open = false;
	count(request, -1);
	starting[request->shard] -= request->is_starting;
	if (request->has_place)
		receivers_leave(request->address);
	pair_of(request->event, request->endpoint)->open--;
}

int
receivers_open(int shard, int endpoint)
{
	return endpoint < 0 ? open_in[shard] : open_of[shard][endpoint];
}

void
receivers_choose_open(int *event, int *endpoint)
{
	int first = random_below(MAX_REQUESTS);

	for (int i = 0; i < MAX_REQUESTS; i++)
	{
		const Request *request = &requests[(first + i) % MAX_REQUESTS];

		if (!request->is_open)
			continue;
		*event = request->event;
		*endpoint = request->endpoint;
		return;
	}
}

void
receivers_calm(void)
{
	for (int i = 0; i < MAX_ENDPOINTS; i++)
		moods[i] = (Mood){.latency = 5 * MS, .capacity = 1000};
}

static void
count(const Request *request, int more)
{
	open[request->endpoint] += more;
	open_of[request->shard][request->endpoint] += more;
	open_in[request->shard] += more;
}

static Request *
find_free(void)
{
	for (int i = 0; i < MAX_REQUESTS; i++)
	{
		next_free = (next_free + 1) % MAX_REQUESTS;
		if (!requests[next_free].is_open)
			return &requests[next_free];
	}
	violation("more requests than all dispatchers together may have open");
}

static Mood
steady(void)
{
	static const int shares[] = {330, 500, 800};
	Mood mood = {.is_steady = true,
				 .latency = random_between(1, 50 * MS),
				 .capacity = MAX_REQUESTS};

	if (random_chance(500))
		mood.refusing = shares[random_below(3)];
	else
		mood.rate = 2 + random_below(random_chance(500) ? 10 : 60);
	return mood;
}

static void
note_rate(Mood *mood)
{
	if (mood->second != world.now / SECOND)
		mood->seen = 0;
	mood->second = world.now / SECOND;
	mood->seen++;
}

/* Returns after how long it comes. */
static int64_t
decide(const Mood *mood, int endpoint, BmwEnd *end)
{
	int64_t latency = random_about(mood->latency);

	*end = (BmwEnd){.http_status = 200, .retry_after_us = BMW_RETRY_AFTER_NONE};
	if (mood->is_away)
	{
		end->http_status = 0;
		end->transport = random_chance(500) ? BMW_TRANSPORT_CONNECT : BMW_TRANSPORT_NAME;
		return 1 + latency / 10;
	}
	if (random_chance(mood->hanging) || latency > TIMEOUT)
	{
		end->http_status = 0;
		end->transport = BMW_TRANSPORT_TIMEOUT;
		return TIMEOUT;
	}
	if (mood->is_steady)
		end->http_status = random_chance(mood->refusing)			   ? 503
						   : mood->rate > 0 && mood->seen > mood->rate ? 429
																	   : 200;
	else if (random_chance(mood->gone))
		end->http_status = 410;
	else if (random_chance(mood->failing) || open[endpoint] > mood->capacity)
		fail(mood, end);
	else if (random_chance(mood->lost))
		end->transport = BMW_TRANSPORT_RESET;
	else if (!world.is_calm && PLAN_HAS(HAS_LOCAL_FAULTS) && random_chance(10))
		*end = (BmwEnd){.transport = BMW_TRANSPORT_LOCAL, .retry_after_us = BMW_RETRY_AFTER_NONE};
	return 1 + latency;
}

static void
fail(const Mood *mood, BmwEnd *end)
{
	static const int statuses[] = {500, 503, 429, 404, 502, 302};

	end->http_status = statuses[random_below(6)];
	if (random_chance(mood->patience))
		end->retry_after_us = random_about(20 * SECOND);
}
