/*
 * pg/dispatch/sender.c - from lanes to requests, from results to outcomes.
 *
 * A job is made by intake or by fetch_due, belongs to a lane or to the HTTP
 * engine, and is freed when its outcome has been handed to the recorder. A due
 * job has a row, which the table would hand out again until the outcome has
 * been flushed: until then `loaded` knows it.
 */
#include "postgres.h"

#include <inttypes.h>
#include <math.h>

#include "pg/dispatch/dispatcher.h"
#include "pg/server/settings.h"

#define OWN_HEADERS 5
#define MAX_HEADERS (OWN_HEADERS + 64)
#define CONNECT_TIMEOUT_MS 5000
#define FETCH_MAX 500				 /* due deliveries at a time */
#define REFUSED_PAUSE_US 20000		 /* until they are recorded, and are not fetched again */
#define GRACE_US INT64CONST(1000000) /* for requests of an endpoint that is disabled or deleted */
#define LANES_A_TURN 32				 /* lanes that fetch in one transaction */

typedef struct Fetching
{
	BmwDispatcher *dispatcher;
	BmwLane *lane;
	int room;
	bool has_refused;
} Fetching;

/* The texts of our own headers. */
typedef struct OwnHeaders
{
	char timestamp[24];
	char attempt[12];
	char signatures[BMW_MAX_SECRETS * BMW_SIGNATURE_TEXT_SIZE];
} OwnHeaders;

static void fetch_lane(BmwDispatcher *dispatcher, BmwLane *lane);
static void take_due(const BmwDueRow *row, void *context);
static void queue_due(Fetching *fetching, const BmwDueRow *row, BmwEvent *event);
static bool is_for_endpoint(const BmwJob *job);
static void empty_lane(BmwDispatcher *dispatcher, BmwJob *job);
static bool start_job(BmwDispatcher *dispatcher, BmwJob *job);
static int make_headers(const BmwJob *job, const BmwEndpoint *endpoint, OwnHeaders *own,
						BmwHttpHeader *headers);
static bool sign(BmwDispatcher *dispatcher, const BmwJob *job, const BmwEndpoint *endpoint,
				 OwnHeaders *own);
static void take_result(BmwDispatcher *dispatcher, const BmwHttpResult *result);
static bool is_unwanted(const void *tag, void *context);
static void take_back(BmwDispatcher *dispatcher, BmwLane *lane, BmwJob *job);
static BmwOutcome decide(BmwDispatcher *dispatcher, const BmwJob *job, const BmwHttpResult *result);
static void judge_endpoint(BmwDispatcher *dispatcher, BmwLane *lane, const BmwOutcome *outcome);

BmwJob *
bmw_job_create(BmwDispatcher *dispatcher, BmwEvent *event, const BmwEndpoint *endpoint)
{
	BmwJob *job = calloc(1, sizeof(*job));

	if (job == NULL)
		ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"));
	job->event = bmw_event_retain(event);
	job->matched = endpoint != NULL ? endpoint->identity : 0;
	dispatcher->bytes += event->body_len;
	return job;
}

void
bmw_job_free(BmwDispatcher *dispatcher, BmwJob *job)
{
	dispatcher->bytes -= job->event->body_len;
	bmw_event_release(job->event);
	free(job);
}

void
bmw_job_forget(BmwDispatcher *dispatcher, BmwJob *job)
{
	bmw_sender_unload(dispatcher, &job->event->id, bmw_lane_endpoint(job->lane));
	bmw_job_free(dispatcher, job);
}

void
bmw_sender_unload(BmwDispatcher *dispatcher, const BmwUuid *event_id, int64 endpoint_id)
{
	BmwDeliveryKey key = {.event_id = *event_id, .endpoint_id = endpoint_id};
	BmwLane *lane = bmw_lanes_find(dispatcher->lanes, endpoint_id);

	if (hash_search(dispatcher->loaded, &key, HASH_REMOVE, NULL) != NULL && lane != NULL)
		bmw_lane_add_loaded(lane, -1);
}

void
bmw_sender_fetch_held(BmwDispatcher *dispatcher, BmwLane *lane, const BmwUuid *ids, int length)
{
	Fetching fetching = {.dispatcher = dispatcher, .lane = lane, .room = length};

	bmw_store_waiting(bmw_lane_endpoint(lane), ids, length, take_due, &fetching);
}

bool
bmw_sender_has_due(BmwDispatcher *dispatcher)
{
	return bmw_enabled && !dispatcher->is_stopping && !bmw_recorder_is_full(dispatcher) &&
		   bmw_lanes_next_due(dispatcher->lanes, dispatcher->now_us) != NULL;
}

void
bmw_sender_fetch_due(BmwDispatcher *dispatcher)
{
	BmwLane *lane;

	for (int i = 0; i < LANES_A_TURN && bmw_sender_has_due(dispatcher); i++)
	{
		lane = bmw_lanes_next_due(dispatcher->lanes, dispatcher->now_us);
		fetch_lane(dispatcher, lane);
	}
}

void
bmw_sender_start(BmwDispatcher *dispatcher)
{
	BmwJob *job;

	if (!bmw_enabled || dispatcher->is_stopping || bmw_recorder_is_full(dispatcher))
		return;
	while ((job = bmw_lanes_next(dispatcher->lanes, dispatcher->now_us)) != NULL)
		if (!is_for_endpoint(job))
			empty_lane(dispatcher, job);
		else if (!start_job(dispatcher, job))
		{
			bmw_lane_give_back(job->lane, job, 1000000, dispatcher->now_us);
			return;
		}
}

/* Or has the id come back with another endpoint, or gone to another application? */
static bool
is_for_endpoint(const BmwJob *job)
{
	const BmwEndpoint *endpoint = bmw_lane_tag(job->lane);

	return endpoint != NULL && endpoint->identity == job->matched;
}

/* Its jobs go to the table, and are judged when they are fetched from there. */
static void
empty_lane(BmwDispatcher *dispatcher, BmwJob *job)
{
	BmwLane *lane = job->lane;

	bmw_lane_give_back(lane, job, 0, dispatcher->now_us);
	bmw_sender_park(dispatcher, lane);
	bmw_sender_forget_due(dispatcher, lane);
	bmw_lane_expect(lane, dispatcher->now_us);
}

void
bmw_sender_collect(BmwDispatcher *dispatcher)
{
	const BmwHttpResult *result;

	while ((result = bmw_http_next(dispatcher->http)) != NULL)
		take_result(dispatcher, result);
}

void
bmw_sender_abort_unwanted(BmwDispatcher *dispatcher)
{
	bmw_http_abort(dispatcher->http, is_unwanted, dispatcher);
	bmw_sender_collect(dispatcher);
}

void
bmw_sender_park(BmwDispatcher *dispatcher, BmwLane *lane)
{
	BmwJob *job;

	while ((job = bmw_lane_take_new(lane)) != NULL)
	{
		bmw_recorder_park(dispatcher, job->event, bmw_lane_endpoint(lane), job->pass,
						  bmw_lane_hold_until_us(lane));
		bmw_job_free(dispatcher, job);
	}
}

void
bmw_sender_forget_due(BmwDispatcher *dispatcher, BmwLane *lane)
{
	BmwJob *job;

	while ((job = bmw_lane_take_due(lane)) != NULL)
		bmw_job_forget(dispatcher, job);
}

void
bmw_sender_close_if_deleted(BmwDispatcher *dispatcher, BmwLane *lane)
{
	BmwLaneCounts counts = bmw_lane_counts(lane);

	if (bmw_lane_tag(lane) != NULL || counts.in_flight > 0 || counts.queued > 0)
		return;
	bmw_intake_forget_lane(dispatcher, lane);
	bmw_lanes_close(dispatcher->lanes, lane);
}

/*
 * Rows that are in memory already are skipped, so that many more are asked for.
 * When all that came were taken and there was room for more, the table has no
 * more that are due.
 */
static void
fetch_lane(BmwDispatcher *dispatcher, BmwLane *lane)
{
	int64 endpoint_id = bmw_lane_endpoint(lane);
	bool is_memory_full = dispatcher->bytes >= BMW_MAX_BYTES;
	Fetching fetching = {.dispatcher = dispatcher,
						 .lane = lane,
						 .room = Min(bmw_lane_room_due(lane), is_memory_full ? 1 : FETCH_MAX)};
	int limit = fetching.room + bmw_lane_loaded(lane);
	int rows = bmw_store_due(endpoint_id, dispatcher->now_us, limit, take_due, &fetching);

	if (fetching.has_refused)
		bmw_lane_set_due(lane, dispatcher->now_us + REFUSED_PAUSE_US);
	else if (rows < limit && fetching.room > 0)
		bmw_lane_set_due(lane, bmw_store_next_due(endpoint_id, dispatcher->now_us));
	else
		bmw_lane_set_due(lane, dispatcher->now_us);
}

static void
take_due(const BmwDueRow *row, void *context)
{
	Fetching *fetching = context;
	BmwDispatcher *dispatcher = fetching->dispatcher;
	BmwDeliveryKey key = {.event_id = row->event.source.id,
						  .endpoint_id = bmw_lane_endpoint(fetching->lane)};
	const BmwEndpoint *endpoint = bmw_lane_tag(fetching->lane);
	BmwEvent *event;

	if (endpoint == NULL || fetching->room == 0 ||
		hash_search(dispatcher->loaded, &key, HASH_FIND, NULL) != NULL)
		return;
	event = bmw_event_create(&row->event.source);
	if (event == NULL)
		ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"));
	hash_search(dispatcher->loaded, &key, HASH_ENTER, NULL);
	bmw_lane_add_loaded(fetching->lane, 1);
	fetching->room--;
	if (!bmw_route_fits(&endpoint->owner, &row->event.route))
	{
		fetching->has_refused = true;
		bmw_recorder_refuse(dispatcher, row, event, key.endpoint_id);
	}
	else if (bmw_ordering_is_head(dispatcher, fetching->lane, &event->id, event->message))
		queue_due(fetching, row, event);
	else
		bmw_recorder_hold_back(dispatcher, event, key.endpoint_id, row->attempts,
							   row->first_attempt_us);
	bmw_event_release(event);
}

static void
queue_due(Fetching *fetching, const BmwDueRow *row, BmwEvent *event)
{
	BmwJob *job = bmw_job_create(fetching->dispatcher, event, bmw_lane_tag(fetching->lane));

	job->has_row = true;
	job->attempts = row->attempts;
	job->first_attempt_us = row->first_attempt_us;
	bmw_lane_push_due(fetching->lane, job, fetching->dispatcher->now_us);
}

/* Of an endpoint that was disabled or deleted, or is another one now, and it has had its time to end. */
static bool
is_unwanted(const void *tag, void *context)
{
	const BmwJob *job = tag;
	const BmwDispatcher *dispatcher = context;

	return (bmw_lane_is_stopped(job->lane) || !is_for_endpoint(job)) &&
		   dispatcher->now_us - job->started_us >= GRACE_US;
}

/* Nothing is ever sent without a signature. */
static bool
start_job(BmwDispatcher *dispatcher, BmwJob *job)
{
	const BmwEndpoint *endpoint = bmw_lane_tag(job->lane);
	OwnHeaders own;
	BmwHttpHeader headers[MAX_HEADERS];
	BmwHttpRequest request = {
		.url = endpoint->url,
		.headers = headers,
		.body = job->event->body,
		.body_len = job->event->body_len,
		.timeout_ms = endpoint->timeout_ms,
		.connect_timeout_ms = Min(endpoint->timeout_ms, CONNECT_TIMEOUT_MS),
		.tag = job,
	};

	if (!sign(dispatcher, job, endpoint, &own))
	{
		bmw_shmem_error(dispatcher->slot, "could not sign a request");
		return false;
	}
	request.headers_length = make_headers(job, endpoint, &own, headers);
	return bmw_http_start(dispatcher->http, &request) == BMW_OK;
}

static int
make_headers(const BmwJob *job, const BmwEndpoint *endpoint, OwnHeaders *own,
			 BmwHttpHeader *headers)
{
	int length = 0;

	snprintf(own->timestamp, sizeof(own->timestamp), "%" PRId64, job->started_us / 1000000);
	snprintf(own->attempt, sizeof(own->attempt), "%d", job->attempts + 1);
	headers[length++] = (BmwHttpHeader){"content-type", "application/json"};
	headers[length++] = (BmwHttpHeader){"webhook-id", job->event->id_text};
	headers[length++] = (BmwHttpHeader){"webhook-timestamp", own->timestamp};
	headers[length++] = (BmwHttpHeader){"webhook-signature", own->signatures};
	headers[length++] = (BmwHttpHeader){"bm-webhook-attempt", own->attempt};
	for (int i = 0; i < endpoint->headers_length && length < MAX_HEADERS; i++)
		headers[length++] = endpoint->headers[i];
	return length;
}

/* One signature for each secret, newest first, separated by a space; false: not all, or none. */
static bool
sign(BmwDispatcher *dispatcher, const BmwJob *job, const BmwEndpoint *endpoint, OwnHeaders *own)
{
	BmwMessage message = {
		.id = job->event->id_text,
		.timestamp_s = job->started_us / 1000000,
		.body = job->event->body,
		.body_len = job->event->body_len,
	};
	char *end = own->signatures;

	*end = '\0';
	for (int i = 0; i < Min(endpoint->secrets_length, BMW_MAX_SECRETS); i++)
	{
		if (end != own->signatures)
			*end++ = ' ';
		if (bmw_sign(dispatcher->signer, &endpoint->secrets[i], &message, end) != BMW_OK)
			return false;
		end += strlen(end);
	}
	return end != own->signatures;
}

static void
take_result(BmwDispatcher *dispatcher, const BmwHttpResult *result)
{
	BmwJob *job = result->tag;
	BmwLane *lane = job->lane;
	BmwOutcome outcome = decide(dispatcher, job, result);

	dispatcher->resent += result->resent;
	if (outcome.verdict == BMW_VERDICT_ABORTED && bmw_lane_tag(lane) != NULL)
	{
		take_back(dispatcher, lane, job);
		return;
	}
	if (outcome.verdict == BMW_VERDICT_LOCAL && bmw_lane_tag(lane) != NULL)
	{
		bmw_shmem_error(dispatcher->slot,
						"no descriptor or memory for a connection: raise max_files_per_process");
		bmw_lane_give_back(lane, job, outcome.retry_at_us - dispatcher->now_us, dispatcher->now_us);
		return;
	}
	dispatcher->sent++;
	bmw_lane_finished(lane,
					  outcome.verdict == BMW_VERDICT_DELIVERED ? BMW_LANE_SUCCESS
					  : outcome.slows_down					   ? BMW_LANE_SLOW_DOWN
															   : BMW_LANE_FAILURE,
					  outcome.hold_us, dispatcher->now_us);
	if (bmw_lane_tag(lane) == NULL && outcome.verdict != BMW_VERDICT_DELIVERED)
		bmw_recorder_cancel(dispatcher, job, bmw_lane_endpoint(lane));
	else
		bmw_recorder_finished(dispatcher, job, bmw_lane_endpoint(lane), &outcome, result);
	if (is_for_endpoint(job))
		judge_endpoint(dispatcher, lane, &outcome);
	bmw_job_free(dispatcher, job);
	bmw_sender_close_if_deleted(dispatcher, lane);
}

/* It was no attempt: it waits in the table until the endpoint is enabled, or is sent if it is again. */
static void
take_back(BmwDispatcher *dispatcher, BmwLane *lane, BmwJob *job)
{
	bmw_lane_give_back(lane, job, 0, dispatcher->now_us);
	if (!bmw_lane_is_stopped(lane))
		return;
	bmw_sender_park(dispatcher, lane);
	bmw_sender_forget_due(dispatcher, lane);
}

static BmwOutcome
decide(BmwDispatcher *dispatcher, const BmwJob *job, const BmwHttpResult *result)
{
	const BmwEndpoint *endpoint = bmw_lane_tag(job->lane);
	const BmwSchedule none = {0};
	BmwAttempt attempt = {
		.transport = result->transport,
		.http_status = result->http_status,
		.retry_after_us = result->retry_after_us,
		.attempts_made = job->attempts + 1,
		.now_us = dispatcher->now_us,
		.random = pg_prng_double(&dispatcher->random),
	};

	return bmw_outcome_decide(&attempt, endpoint != NULL ? &endpoint->schedule : &none);
}

/*
 * The endpoint row learns of a failure that lasts, not of each one: every
 * change of it is read by all dispatchers.
 */
static void
judge_endpoint(BmwDispatcher *dispatcher, BmwLane *lane, const BmwOutcome *outcome)
{
	BmwEndpoint *endpoint = bmw_lane_tag(lane);
	int64 failing_since = bmw_lane_failing_since_us(lane);
	/* 0: it is never disabled, which is no reason to write of every failure */
	const int64 lasting_us =
		(bmw_disable_after > 0 ? Min(60, bmw_disable_after) : 60) * INT64CONST(1000000);

	if (endpoint == NULL || !endpoint->is_enabled)
		return;
	if (outcome->verdict == BMW_VERDICT_GONE)
		bmw_recorder_disable(dispatcher, endpoint->id, "the receiver says that it is gone (410)");
	else if (outcome->verdict == BMW_VERDICT_DELIVERED && endpoint->failing_since_us != 0)
	{
		endpoint->failing_since_us = 0;
		bmw_recorder_set_failing(dispatcher, endpoint->id, 0);
	}
	else if (outcome->verdict != BMW_VERDICT_DELIVERED && endpoint->failing_since_us == 0 &&
			 dispatcher->now_us - failing_since >= lasting_us)
	{
		endpoint->failing_since_us = failing_since;
		bmw_recorder_set_failing(dispatcher, endpoint->id, failing_since);
	}
	else if (outcome->verdict != BMW_VERDICT_DELIVERED && endpoint->failing_since_us != 0 &&
			 bmw_disable_after > 0 &&
			 dispatcher->now_us - endpoint->failing_since_us >=
				 bmw_disable_after * INT64CONST(1000000))
		bmw_recorder_disable(dispatcher, endpoint->id,
							 "every attempt has failed for longer than bm_webhook.disable_after");
}
