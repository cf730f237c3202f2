/*
 * clerk_send.c - the clerk who sends: what is sent here is only checked.
 */
#include "check.h"
#include "dispatcher.h"
#include "receivers.h"
#include "trace.h"
#include "world.h"

static void abort_unwanted(Dispatcher *dispatcher);
static void finish(Dispatcher *dispatcher, Request *request);

void
clerk_start(Dispatcher *dispatcher)
{
	BmwRequest made;

	memory_begin(true);
	abort_unwanted(dispatcher);
	while (bmw_scheduler_next_request(dispatcher->scheduler, &made))
	{
		int event = event_of(&made.event->id);
		int endpoint = registry_of(made.endpoint_id);

		world.steps++;
		dispatcher->deeds++;
		check_request(dispatcher, event, endpoint, &made);
		if (receivers_send(dispatcher->shard, event, endpoint, made.delivery))
			pair_of(event, endpoint)->open++;
		else
			bmw_scheduler_not_started(dispatcher->scheduler, made.delivery, 1000000);
	}
	check_turns(dispatcher);
	clerk_ask(dispatcher);
	memory_end();
}

void
clerk_connect(Dispatcher *dispatcher)
{
	memory_begin(true);
	for (int i = 0; i < MAX_REQUESTS && receivers_starting(dispatcher->shard) > 0; i++)
		if (requests[i].is_open && requests[i].is_starting &&
			requests[i].shard == dispatcher->shard)
			receivers_connect(&requests[i],
							  bmw_scheduler_enter(dispatcher->scheduler, requests[i].delivery,
												  requests[i].address));
	clerk_connect_challenges(dispatcher);
	memory_end();
}

void
clerk_collect(Dispatcher *dispatcher)
{
	if (!dispatcher->has_answers)
		return;
	dispatcher->has_answers = false;
	memory_begin(true);
	clerk_collect_proofs(dispatcher);
	for (int i = 0; i < MAX_REQUESTS; i++)
		if (requests[i].is_open && requests[i].is_answered &&
			requests[i].shard == dispatcher->shard)
			finish(dispatcher, &requests[i]);
	memory_end();
}

static void
abort_unwanted(Dispatcher *dispatcher)
{
	if (!bmw_scheduler_wants_abort(dispatcher->scheduler))
		return;
	for (int i = 0; i < MAX_REQUESTS; i++)
	{
		Request *request = &requests[i];

		if (!request->is_open || request->shard != dispatcher->shard ||
			!bmw_scheduler_is_unwanted(dispatcher->scheduler, request->delivery))
			continue;
		MET(MET_ABORTED);
		request->end =
			(BmwEnd){.transport = BMW_TRANSPORT_ABORTED, .retry_after_us = BMW_RETRY_AFTER_NONE};
		finish(dispatcher, request);
	}
}

static void
finish(Dispatcher *dispatcher, Request *request)
{
	Request ended = *request;
	const BmwRecord *record;

	world.steps++;
	receivers_close(request);
	record = bmw_scheduler_ended(dispatcher->scheduler, ended.delivery, &ended.end);
	trace("event %d to endpoint %d ended: %d %d%s", ended.event, ended.endpoint,
		  (int) ended.end.transport, ended.end.http_status, record == NULL ? ", no attempt" : "");
	check_end(dispatcher, &ended, record);
}
