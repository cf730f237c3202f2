/*
 * clerk_verify.c - the clerk who asks endpoints to prove their URL, as src/pg/dispatch/verify.c does.
 *
 * A challenge is in no table: who dies while it is under way forgets it.
 */
#include <string.h>

#include "core/challenge.h"

#include "check.h"
#include "dispatcher.h"
#include "receivers.h"
#include "trace.h"
#include "world.h"

#define TIMEOUT (10 * SECOND)
#define LEAST_APART (3 * SECOND / 2) /* any two for the same state of an endpoint */
#define OF_APPLICATION 4

typedef struct Asked
{
	bool is_open;
	bool is_starting;
	bool has_place;
	bool is_answered; /* or cannot be sent */
	bool is_crowded;
	bool is_met;
	int generation;
	int url;
	uint64_t address;
	BmwChallenge challenge;
} Asked;

/* When an endpoint was asked, and for which of its states. */
typedef struct Last
{
	int64_t unverified;
	int64_t asked; /* true time; 0: it was put off */
	int64_t clock; /* how the wall clock was set */
	int starts;	   /* of the dispatcher */
} Last;

static Asked all[MAX_SHARDS][BMW_CHALLENGES_MAX];
static Last lasts[MAX_SHARDS][MAX_ENDPOINTS];

static void check(const Dispatcher *dispatcher, const BmwChallenge *challenge);
static int of_application(const Dispatcher *dispatcher, int application);
static void start(Dispatcher *dispatcher, const BmwChallenge *challenge);
static void close_one(Asked *asked);
static bool has_ended(const Dispatcher *dispatcher);
static bool write_one(const Asked *asked);

void
challenges_begin(void)
{
	memset(all, 0, sizeof(all));
	memset(lasts, 0, sizeof(lasts));
}

void
challenges_drop(int shard)
{
	for (int i = 0; i < BMW_CHALLENGES_MAX; i++)
	{
		if (all[shard][i].is_open)
			MET(MET_LOST_CHALLENGE);
		close_one(&all[shard][i]);
	}
}

void
challenge_answer(int argument)
{
	int shard = argument % MAX_SHARDS;
	Asked *asked = &all[shard][argument / MAX_SHARDS % BMW_CHALLENGES_MAX];

	if (!asked->is_open || asked->generation % 65536 != argument / MAX_SHARDS / BMW_CHALLENGES_MAX)
		return;
	asked->is_answered = dispatchers[shard].has_answers = true;
	dispatcher_wake(shard);
}

void
clerk_ask(Dispatcher *dispatcher)
{
	BmwChallenge challenge;

	while (bmw_challenge_next(dispatcher->scheduler, &challenge))
	{
		world.steps++;
		trace("shard %d asks endpoint %d for a proof, attempt %d", dispatcher->shard,
			  registry_of(challenge.endpoint_id), challenge.attempt);
		check(dispatcher, &challenge);
		if (!world.is_calm && PLAN_HAS(HAS_LOCAL_FAULTS) && random_chance(20))
			bmw_challenge_ended(dispatcher->scheduler, &challenge, false);
		else
			start(dispatcher, &challenge);
	}
}

void
clerk_connect_challenges(Dispatcher *dispatcher)
{
	for (int i = 0; i < BMW_CHALLENGES_MAX; i++)
	{
		Asked *asked = &all[dispatcher->shard][i];
		int endpoint = registry_of(asked->challenge.endpoint_id);

		if (!asked->is_open || !asked->is_starting)
			continue;
		asked->is_starting = false;
		asked->is_crowded =
			!bmw_challenge_enter(dispatcher->scheduler, &asked->challenge, asked->address);
		asked->has_place =
			!asked->is_crowded && dispatcher->known[endpoint].application != NO_APPLICATION;
		if (asked->has_place)
			receivers_enter(asked->address);
		if (!asked->is_crowded)
			continue;
		MET(MET_CHALLENGE_CROWDED);
		lasts[dispatcher->shard][endpoint].asked = 0;
		asked->is_answered = dispatcher->has_answers = true;
		dispatcher_wake(dispatcher->shard);
	}
}

/* Nobody was asked who could not be sent to. */
void
clerk_collect_proofs(Dispatcher *dispatcher)
{
	for (int i = 0; i < BMW_CHALLENGES_MAX; i++)
	{
		Asked *asked = &all[dispatcher->shard][i];

		if (!asked->is_open || !asked->is_answered || !asked->is_crowded)
			continue;
		bmw_challenge_put_off(dispatcher->scheduler, &asked->challenge);
		close_one(asked);
	}
}

/* In one transaction. */
Result
clerk_write_proofs(Dispatcher *dispatcher)
{
	bool are_proved[BMW_CHALLENGES_MAX] = {false};
	Result result;

	if (!has_ended(dispatcher))
		return RESULT_DONE;
	result = dispatcher_statement(dispatcher);
	if (result == RESULT_DIED)
		return result;
	for (int i = 0; i < BMW_CHALLENGES_MAX && result == RESULT_DONE; i++)
		are_proved[i] = write_one(&all[dispatcher->shard][i]);
	if (result == RESULT_DONE)
		dispatcher->committed = wal_commit();
	if (!world.is_calm && PLAN_HAS(HAS_SERVER_CRASHES) && random_chance(30))
	{
		dispatchers_server_crash();
		return RESULT_DIED;
	}
	memory_begin(true);
	for (int i = 0; i < BMW_CHALLENGES_MAX; i++)
	{
		Asked *asked = &all[dispatcher->shard][i];

		if (!asked->is_open || !asked->is_answered)
			continue;
		if (are_proved[i])
			dispatcher->known[registry_of(asked->challenge.endpoint_id)].unverified = 0;
		bmw_challenge_ended(dispatcher->scheduler, &asked->challenge, are_proved[i]);
		close_one(asked);
	}
	memory_end();
	return result;
}

/* As far as its dispatcher knows. */
static void
check(const Dispatcher *dispatcher, const BmwChallenge *challenge)
{
	int endpoint = registry_of(challenge->endpoint_id);
	const Version *known = &dispatcher->known[endpoint];
	Last *last = &lasts[dispatcher->shard][endpoint];

	if (!known->exists || !known->is_enabled || !known->has_secret || dispatcher->is_paused ||
		dispatcher->is_known_paused[endpoint])
		violation("endpoint %d is asked for a proof, and may not be sent to", endpoint);
	if (known->unverified == 0 || known->unverified != challenge->unverified_us)
		violation("endpoint %d is asked for a proof that nobody wants", endpoint);
	if (!dispatcher_owns(dispatcher, endpoint))
		violation("shard %d asks endpoint %d of another shard", dispatcher->shard, endpoint);
	if (last->starts == dispatcher->starts && last->unverified == challenge->unverified_us &&
		last->asked != 0 && world.clock == last->clock && world.now < last->asked + LEAST_APART)
		violation("endpoint %d is asked again after %.3f s", endpoint,
				  (double) (world.now - last->asked) / 1e6);
	if (known->application != NO_APPLICATION &&
		of_application(dispatcher, known->application) >= OF_APPLICATION)
		violation("application %d has more than %d challenges under way", known->application,
				  OF_APPLICATION);
	*last = (Last){.unverified = challenge->unverified_us,
				   .asked = world.now,
				   .clock = world.clock,
				   .starts = dispatcher->starts};
}

static int
of_application(const Dispatcher *dispatcher, int application)
{
	int length = 0;

	for (int i = 0; i < BMW_CHALLENGES_MAX; i++)
	{
		const Asked *asked = &all[dispatcher->shard][i];
		int endpoint = registry_of(asked->challenge.endpoint_id);

		length += asked->is_open && dispatcher->known[endpoint].application == application;
	}
	return length;
}

static void
start(Dispatcher *dispatcher, const BmwChallenge *challenge)
{
	int endpoint = registry_of(challenge->endpoint_id);
	BmwEnd end;
	int64_t takes = receivers_decide(endpoint, &end);
	int place = 0;
	Asked *asked;

	if (random_chance(300)) /* somebody looks at it first */
		takes += random_about(2 * SECOND);

	while (place < BMW_CHALLENGES_MAX && all[dispatcher->shard][place].is_open)
		place++;
	if (place == BMW_CHALLENGES_MAX)
		violation("more challenges are under way than may be");
	asked = &all[dispatcher->shard][place];
	*asked = (Asked){.is_open = true,
					 .is_starting = true,
					 .generation = asked->generation + 1,
					 .url = dispatcher->known[endpoint].url,
					 .challenge = *challenge};
	asked->address = registry_address(endpoint, asked->url);
	asked->is_met = end.transport == BMW_TRANSPORT_OK && end.http_status == 200 &&
					!registry_is_strangers(endpoint, asked->url);
	world_after(takes < TIMEOUT ? takes : TIMEOUT, ACTOR_CHALLENGED,
				dispatcher->shard +
					MAX_SHARDS * (place + BMW_CHALLENGES_MAX * (asked->generation % 65536)));
}

static void
close_one(Asked *asked)
{
	if (asked->is_open && asked->has_place)
		receivers_leave(asked->address);
	asked->is_open = false;
}

static bool
has_ended(const Dispatcher *dispatcher)
{
	for (int i = 0; i < BMW_CHALLENGES_MAX; i++)
		if (all[dispatcher->shard][i].is_open && all[dispatcher->shard][i].is_answered)
			return true;
	return false;
}

/* False: it is not proved, or that cannot be written now. */
static bool
write_one(const Asked *asked)
{
	int number = registry_of(asked->challenge.endpoint_id);
	Endpoint *endpoint = &registry.endpoints[number];

	if (!asked->is_open || !asked->is_answered)
		return false;
	if (!asked->is_met)
	{
		MET(MET_NOT_PROVED);
		return false;
	}
	endpoint->proved |= UINT64_C(1) << asked->url;
	if (!endpoint->now.exists || endpoint->now.unverified != asked->challenge.unverified_us)
		MET(MET_STALE_PROOF);
	if (!endpoint->now.exists || endpoint->now.unverified != asked->challenge.unverified_us ||
		endpoint->is_proof_locked || tables.endpoints_locked_until > world.now ||
		tables.full_until > world.now)
		return false;
	MET(MET_PROVED);
	trace("endpoint %d has proved its URL", number);
	wal_note_endpoint(number);
	endpoint->now.unverified = 0;
	return true;
}
