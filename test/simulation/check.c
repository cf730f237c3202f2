/*
 * check.c - what must hold, as seen from outside: at each request, at each record,
 * at each cursor, and in the end.
 */
#include "check.h"

#include "trace.h"
#include "world.h"

#define PATIENCE (10 * SECOND) /* for a change of an endpoint to be known */
#define JITTER_LEAST(us) ((us) *8 / 10 - 1)
#define JITTER_MOST(us) ((us) *12 / 10 + 1)
#define LONGEST JITTER_MOST(300 * SECOND)
#define MOST_ATTEMPTS 4
#define GIVEN_UP (23 * 3600 * SECOND) /* then an endpoint may not be asked for a proof any more */

static const Pair *first_pending(int endpoint);
static void check_endpoint(int number, const Event *event);
static void check_row(int number, int endpoint, const BmwRequest *made);
static void check_order(int number, int endpoint);
static bool is_promised(const Event *event, int number, int endpoint);
static bool must_get(const Event *event, int endpoint);
static bool is_merely_paused(const Dispatcher *dispatcher, const Request *ended);
static void check_delay(const BmwRecord *record, const BmwEnd *end);
static bool is_done(int event, int endpoint);
static bool waits_for_one_set_aside(int event, int endpoint);

void
check_request(Dispatcher *dispatcher, int number, int endpoint, const BmwRequest *made)
{
	const Event *event = &tables.events[number];
	const Pair *pair = pair_of(number, endpoint);

	trace("shard %d sends event %d to endpoint %d, attempt %d%s", dispatcher->shard, number,
		  endpoint, made->attempt, pair->row.status == ROW_NONE ? "" : ", from its row");
	check_started(dispatcher, endpoint);
	if (!event->is_committed)
		violation("event %d is sent before its transaction has committed", number);
	if ((event->may >> endpoint & 1) == 0)
		violation("event %d is sent to endpoint %d, which never asked for it", number, endpoint);
	if (pair->open > 0)
		violation("event %d is sent to endpoint %d twice at the same time", number, endpoint);
	if (!dispatcher_owns(dispatcher, endpoint))
		violation("shard %d sends to endpoint %d of another shard", dispatcher->shard, endpoint);
	if (world_planned() < dispatcher->hold_until[endpoint])
		violation("endpoint %d asked for patience, and gets event %d %.3f s too early", endpoint,
				  number, (double) (dispatcher->hold_until[endpoint] - world_planned()) / 1e6);
	if (world_planned() < pair->not_before && world.set_back == 0)
		violation("endpoint %d asked for patience with event %d, and gets it %.3f s too early",
				  endpoint, number, (double) (pair->not_before - world_planned()) / 1e6);
	if (dispatcher->is_paused || dispatcher->is_known_paused[endpoint])
		violation("endpoint %d gets event %d, and its dispatcher knows that it is paused", endpoint,
				  number);
	check_endpoint(endpoint, event);
	check_row(number, endpoint, made);
	check_order(number, endpoint);
	check_canceled(number, endpoint);
	check_limits(dispatcher, number, endpoint, made);
}

void
check_end(Dispatcher *dispatcher, const Request *ended, const BmwRecord *record)
{
	const BmwEnd *end = &ended->end;
	Pair *pair = pair_of(ended->event, ended->endpoint);
	bool asks = end->retry_after_us > 0;

	if (end->http_status == 410)
		MET(MET_GONE);
	if (record == NULL && end->transport != BMW_TRANSPORT_LOCAL &&
		end->transport != BMW_TRANSPORT_ABORTED && end->transport != BMW_TRANSPORT_CROWDED)
		violation("a request for endpoint %d fails by transport %d and counts as no attempt",
				  ended->endpoint, (int) end->transport);
	if (end->transport == BMW_TRANSPORT_ABORTED && is_merely_paused(dispatcher, ended))
		violation("a request for endpoint %d is broken off because it is paused", ended->endpoint);
	if (record == NULL)
		return;
	if (record->status == BMW_FAILED && end->http_status != 410)
		MET(MET_EXHAUSTED);
	if (asks)
		MET(MET_RETRY_AFTER);
	if (asks && record->status == BMW_PENDING)
		pair->not_before = world_planned() + end->retry_after_us - 1;
	if (asks && (end->http_status == 429 || end->http_status == 503) &&
		dispatcher->known[ended->endpoint].exists &&
		dispatcher->known[ended->endpoint].is_enabled &&
		dispatcher->known[ended->endpoint].has_secret &&
		world_planned() + end->retry_after_us - 1 > dispatcher->hold_until[ended->endpoint])
		dispatcher->hold_until[ended->endpoint] = world_planned() + end->retry_after_us - 1;
	if (record->next_attempt_us !=
		registry_expiry(&dispatcher->known[ended->endpoint], &tables.events[ended->event]))
		check_delay(record, end);
}

void
check_record(const Dispatcher *dispatcher, const BmwRecord *record)
{
	int event = event_of(&record->event_id);
	int endpoint = registry_of(record->endpoint_id);
	const Pair *pair = pair_of(event, endpoint);

	check_expired(dispatcher, record);
	if (record->status == BMW_CANCELED && !record->has_row && pair->canceled_by != 0)
		MET(MET_CANCELED_IN_MEMORY);
	if (record->has_row && pair->row.status == ROW_NONE)
		violation("event %d for endpoint %d is to be updated and has no row", event, endpoint);
	if (!record->has_row && pair->row.status != ROW_NONE)
		violation("event %d for endpoint %d is to be inserted and has a row", event, endpoint);
	if (!dispatcher_owns(dispatcher, endpoint))
		violation("shard %d writes for endpoint %d of another shard", dispatcher->shard, endpoint);
	if (record->attempts > MOST_ATTEMPTS + pair->redeliveries)
		violation("event %d for endpoint %d: %d attempts, and %d redeliveries", event, endpoint,
				  record->attempts, pair->redeliveries);
	if (record->status != BMW_PENDING && record->next_attempt_us != 0)
		violation("event %d for endpoint %d has ended, and is due", event, endpoint);
	if (record->status == BMW_PENDING && record->next_attempt_us == 0)
		violation("event %d for endpoint %d waits, and is never due", event, endpoint);
}

void
check_cursor(const Dispatcher *dispatcher, const BmwSnapshot *snapshot)
{
	for (int i = 0; i < tables.events_length; i++)
	{
		const Event *event = &tables.events[i];

		if (!event->is_committed || event->must == 0 ||
			!bmw_snapshot_sees(snapshot, (uint64_t) (FIRST_XID + event->xact)))
			continue;
		for (int e = 0; event->must >> e != 0; e++)
			if (must_get(event, e) && dispatcher_owns(dispatcher, e) &&
				pair_of(i, e)->row.status == ROW_NONE && pair_of(i, e)->row.aside == ROW_NONE)
				violation(
					"the cursor of shard %d passes event %d, which has no row for endpoint %d",
					dispatcher->shard, i, e);
	}
}

bool
check_is_done(bool must_be)
{
	if (!operations_have_ended() && !must_be)
		return false;
	for (int i = 0; i < tables.events_length; i++)
		for (int e = 0; e < registry.length; e++)
			if (tables.events[i].is_committed && !is_done(i, e))
			{
				const Row *row = &pair_of(i, e)->row;

				if (must_be)
					check_describe(e);
				if (must_be)
					violation(
						"event %d for endpoint %d never ends: status %d, %d attempts, due in %.3f s",
						i, e, row->status, row->attempts,
						row->due == BMW_HELD_BACK ? 1e9 : (double) (row->due - world_wall()) / 1e6);
				return false;
			}
	return true;
}

/*
 * The first of each endpoint: dispatchers see to what comes after when it is the first. What a user
 * has made due by a clock that was ahead looks like what a receiver has asked for.
 */
void
check_plans(void)
{
	for (int e = 0; e < registry.length; e++)
	{
		const Version *now = &registry.endpoints[e].now;
		const Pair *first = first_pending(e);

		if (now->exists && now->is_enabled && registry_has_secret(now) &&
			!registry_is_paused(now) && first != NULL && first->again == 0 &&
			first->row.due != BMW_HELD_BACK && first->row.due > world_wall() + LONGEST + 2 * SECOND)
			violation("what is due first for endpoint %d waits for %.3f s", e,
					  (double) (first->row.due - world_wall()) / 1e6);
	}
}

/* NULL: none. */
static const Pair *
first_pending(int endpoint)
{
	const int *events;
	int length = rows_pending(endpoint, &events);
	const Pair *first = NULL;

	for (int i = 0; i < length; i++)
	{
		const Pair *pair = pair_of(events[i], endpoint);

		if (pair->row.aside == ROW_NONE && (first == NULL || pair->row.due < first->row.due))
			first = pair;
	}
	return first;
}

/* Has it been told, and for how long? */
static void
check_endpoint(int number, const Event *event)
{
	const Endpoint *endpoint = &registry.endpoints[number];
	const Version *now = &endpoint->now;

	if (world.now < endpoint->changed + PATIENCE || world.now < world.faulty + PATIENCE)
		return;
	if (registry.is_paused && world.now > registry.pauses_changed + PATIENCE)
		violation("endpoint %d gets an event, and everything is paused", number);
	if (registry_is_paused(now) && world.now > registry.pauses_changed + PATIENCE)
		violation("endpoint %d, which is paused, gets an event", number);
	if (now->unverified != 0)
		violation("endpoint %d, which is not verified, gets an event", number);
	if (!now->exists || !now->is_enabled || !now->has_secret)
		violation("endpoint %d, which is %s, gets an event", number,
				  !now->exists		 ? "deleted"
				  : !now->is_enabled ? "disabled"
									 : "without secret");
	if (!registry_fits(now, event, number))
		violation("endpoint %d, which is for another application now, gets an event", number);
}

static void
check_row(int number, int endpoint, const BmwRequest *made)
{
	const Row *row = &pair_of(number, endpoint)->row;

	if (row->aside != ROW_NONE)
		violation("event %d is sent to endpoint %d and was set aside", number, endpoint);
	if (row->status > ROW_PENDING)
		violation("event %d is sent to endpoint %d and has ended before", number, endpoint);
	if (made->attempt != row->attempts + 1)
		violation("event %d is sent to endpoint %d as attempt %d after %d", number, endpoint,
				  made->attempt, row->attempts);
	if (row->status == ROW_PENDING && row->due != BMW_HELD_BACK && row->due > world_planned())
		violation("event %d is sent to endpoint %d %.3f s before it is due", number, endpoint,
				  (double) (row->due - world_wall()) / 1e6);
}

/* What came before in its message has ended, and nothing can take that back. */
static void
check_order(int number, int endpoint)
{
	const Event *event = &tables.events[number];
	const Message *message = &tables.messages[event->message != NO_MESSAGE ? event->message : 0];

	if (event->message == NO_MESSAGE || !is_promised(event, number, endpoint))
		return;
	for (int i = 0; i < message->length && message->events[i] != number; i++)
	{
		int before = message->events[i];
		const Row *row = &pair_of(before, endpoint)->row;

		if (!must_get(&tables.events[before], endpoint) || row->aside != ROW_NONE ||
			!is_promised(&tables.events[before], before, endpoint))
			continue;
		if (row->status <= ROW_PENDING)
			violation("event %d is sent to endpoint %d before event %d of its message", number,
					  endpoint, before);
		if (row->lsn > wal_flushed())
			violation(
				"event %d is sent to endpoint %d while a crash can still forget event %d before it",
				number, endpoint, before);
	}
}

static bool
is_promised(const Event *event, int number, int endpoint)
{
	return registry.endpoints[endpoint].ordered < event->committed &&
		   pair_of(number, endpoint)->redeliveries == 0;
}

static bool
must_get(const Event *event, int endpoint)
{
	return (event->must >> endpoint & 1) != 0;
}

static bool
is_merely_paused(const Dispatcher *dispatcher, const Request *ended)
{
	const Version *known = &dispatcher->known[ended->endpoint];

	return dispatcher->is_known_paused[ended->endpoint] && known->exists && known->is_enabled &&
		   registry_has_secret(known) && known->secret_until == 0 &&
		   known->created == ended->known.created && known->application == ended->known.application;
}

/* Between the least and the most that any schedule and Retry-After say. */
static void
check_delay(const BmwRecord *record, const BmwEnd *end)
{
	int64_t delay = record->next_attempt_us - world_wall();
	int64_t most = end->retry_after_us > LONGEST ? end->retry_after_us : LONGEST;

	if (record->status != BMW_PENDING)
		return;
	if (delay < JITTER_LEAST(SECOND / 10) || delay < end->retry_after_us || delay > most)
		violation("the next attempt is in %.3f s, Retry-After is %.3f s", (double) delay / 1e6,
				  (double) end->retry_after_us / 1e6);
}

/* What waits for an endpoint that is disabled, has no secret or cannot prove its URL goes on waiting. */
static bool
is_done(int number, int endpoint)
{
	const Version *now = &registry.endpoints[endpoint].now;
	const Row *row = &pair_of(number, endpoint)->row;

	if (row->aside != ROW_NONE || row->status > ROW_PENDING)
		return true;
	if (row->status == ROW_NONE)
		return !must_get(&tables.events[number], endpoint);
	if (now->exists && (!now->is_enabled || !now->has_secret || now->secret_until != 0 ||
						registry_is_paused(now) ||
						(now->unverified != 0 && (registry_is_strangers(endpoint, now->url) ||
												  world_wall() > now->unverified + GIVEN_UP))))
		return true;
	return row->due == BMW_HELD_BACK && waits_for_one_set_aside(number, endpoint);
}

/* Until a person has seen to that one. */
static bool
waits_for_one_set_aside(int number, int endpoint)
{
	const Event *event = &tables.events[number];

	for (int i = 0; event->message != NO_MESSAGE && i < tables.messages[event->message].length; i++)
		if (pair_of(tables.messages[event->message].events[i], endpoint)->row.aside == ROW_PENDING)
			return true;
	return false;
}
