/*
 * pg/dispatch/send.c - the clerk of a dispatcher who sends: from requests to results.
 */
#include "postgres.h"

#include "pg/dispatch/send.h"

#include "core/batch.h"
#include "core/request.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pg/dispatch/clock.h"
#include "pg/dispatch/descriptors.h"
#include "pg/dispatch/endpoint.h"
#include "pg/server/egress.h"
#include "pg/server/settings.h"
#include "pg/sql/interval.h"
#include "storage/spin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define CONNECT_TIMEOUT_MS 5000
#define NO_ROOM                                                                                    \
	"no descriptor or memory for a connection: raise the limit of open files, the server's or the system's"
#define CHALLENGE_TIMEOUT_MS 10000
#define SECOND_US INT64CONST(1000000)
#define LEAST_STARTS 32
#define MOST_STARTS 1000
#define CARE_US INT64CONST(50000) /* after a crash, until it may be the turn of a suspect */

/* What a request is made of. */
typedef struct Sending
{
	const BmwEndpoint *endpoint;
	BmwEvent *event;
	bool is_thin;
	int attempt;
	int64 started_us;
	int timeout_ms;
	const BmwSuspectKey *key;
	void *tag;
} Sending;

static void create_http(BmwSender *sender);
static void tell_places(BmwSender *sender);
static BmwSuspectKey key_of(const BmwDelivery *delivery);
static bool start_delivery(BmwSender *sender, const BmwRequest *request, const BmwSuspectKey *key);
static void start_challenges(BmwSender *sender);
static bool start(BmwSender *sender, const Sending *sending);
static bool may_enter(void *context, void *tag, const struct sockaddr *address);
static bool make_and_start(BmwSender *sender, const Sending *sending);
static bool is_unwanted(const void *tag, void *context);
static void take_results(BmwSender *sender);
static void take_answer(BmwSender *sender, const BmwHttpResult *result);
static void take_result(BmwSender *sender, const BmwHttpResult *result);
static void add_texts(BmwSender *sender, BmwRecord *record, const BmwHttpResult *result);
static char *copy_text(const char *bytes, size_t len);
static bool is_text(const char *bytes, size_t len);

void
bmw_send_init(BmwSender *sender, BmwScheduler *scheduler, BmwVerifier *verifier, BmwSlot *slot,
			  BmwSuspects *suspects)
{
	*sender = (BmwSender){.scheduler = scheduler,
						  .verifier = verifier,
						  .slot = slot,
						  .suspects = suspects,
						  .batch = LEAST_STARTS};
	pg_prng_seed(&sender->random, (uint64) GetCurrentTimestamp() ^ MyProcPid);
	sender->ca_file = MemoryContextStrdup(TopMemoryContext, bmw_ca_file);
	sender->signer = bmw_signer_create();
	create_http(sender);
	if (sender->signer == NULL || sender->http == NULL)
		ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY),
				errmsg("could not set up libcurl and OpenSSL"));
	tell_places(sender);
}

/*
 * Connections that are open are judged by the new address policy before each
 * request. Authorities, the proxy and the source address are in libcurl's caches and
 * connections: others take a new process, which the launcher starts at once.
 */
bool
bmw_send_reload(BmwSender *sender)
{
	BmwAddressPolicy policy;
	BmwEgress egress;

	bmw_guc_address_policy(&policy);
	bmw_address_policy_free(&sender->policy);
	sender->policy = policy;
	tell_places(sender);
	/* with a file of credentials that cannot be read any more it goes on with those that it has */
	return strcmp(sender->ca_file, bmw_ca_file) == 0 &&
		   (!bmw_egress_read(&egress) || memcmp(&egress, &sender->egress, sizeof(egress)) == 0);
}

/* Some at once: between them, what has been answered is looked at. */
void
bmw_send_start(BmwSender *sender)
{
	const int64 start_us = bmw_clock_us();
	BmwRequest request;
	int started = 0;

	while (started < sender->batch && bmw_scheduler_next_request(sender->scheduler, &request))
	{
		BmwSuspectKey key = key_of(request.delivery);

		if (!bmw_suspects_may_start(sender->suspects, &key, bmw_clock_us()))
			bmw_scheduler_not_started(sender->scheduler, request.delivery, CARE_US);
		else if (start_delivery(sender, &request, &key))
			started++;
		else
		{
			bmw_scheduler_not_started(sender->scheduler, request.delivery, SECOND_US);
			return;
		}
	}
	sender->batch = bmw_batch_next(sender->batch, started, bmw_clock_us() - start_us, LEAST_STARTS,
								   MOST_STARTS);
	start_challenges(sender);
}

void
bmw_send_drive(BmwSender *sender)
{
	bmw_http_drive(sender->http);
}

void
bmw_send_collect(BmwSender *sender)
{
	take_results(sender);
	if (!bmw_scheduler_wants_abort(sender->scheduler))
		return;
	bmw_http_abort(sender->http, is_unwanted, sender);
	take_results(sender);
}

void
bmw_send_end(BmwSender *sender)
{
	bmw_http_destroy(sender->http);
	sender->http = NULL;
}

static void
create_http(BmwSender *sender)
{
	BmwHttpConfig config = {
		.max_connections = bmw_descriptors_connections(),
		.max_idle = bmw_descriptors_idle(),
		.pools = bmw_descriptors_pools(),
		.user_agent = BMW_USER_AGENT,
		.ca_file = sender->ca_file,
		.policy = &sender->policy,
		.egress = &sender->egress,
		.may_open_socket = bmw_descriptors_take,
		.socket_closed = bmw_descriptors_give_back,
		.may_enter = may_enter,
		.context = sender,
	};

	bmw_guc_address_policy(&sender->policy);
	(void) bmw_egress_read(&sender->egress);
	sender->http = bmw_http_create(&config);
}

/* When there are not descriptors for all that the setting allows. */
static void
tell_places(BmwSender *sender)
{
	const int places = bmw_descriptors_max_in_flight();
	const int cut_to = places < bmw_max_in_flight ? places : 0;

	if (cut_to != 0 && cut_to != sender->cut_to && sender->slot->shard == 0)
		ereport(LOG,
				errmsg("bm_webhook.max_in_flight is %d, but there are file descriptors for %d",
					   bmw_max_in_flight, places),
				errhint("Raise the server's hard limit of open files."));
	sender->cut_to = cut_to;
	SpinLockAcquire(&sender->slot->mutex);
	sender->slot->numbers.max_in_flight_cut_to = cut_to;
	SpinLockRelease(&sender->slot->mutex);
}

static BmwSuspectKey
key_of(const BmwDelivery *delivery)
{
	BmwSuspectKey key;

	bmw_scheduler_ids(delivery, &key.event_id, &key.endpoint_id);
	return key;
}

static bool
start_delivery(BmwSender *sender, const BmwRequest *request, const BmwSuspectKey *key)
{
	const BmwEndpoint *endpoint = request->endpoint;

	return start(sender, &(Sending){.endpoint = endpoint,
									.event = request->event,
									.is_thin = endpoint->is_thin,
									.attempt = request->attempt,
									.started_us = request->started_us,
									.timeout_ms = endpoint->timeout_ms,
									.key = key,
									.tag = request->delivery});
}

static void
start_challenges(BmwSender *sender)
{
	int64 now_us = bmw_unix_us(GetCurrentTimestamp());
	BmwAsked *asked;

	while ((asked = bmw_verify_next(sender->verifier, now_us)) != NULL)
	{
		const BmwEndpoint *endpoint = asked->challenge.endpoint;
		BmwSuspectKey key = {.endpoint_id = asked->challenge.endpoint_id};

		if (!bmw_suspects_may_start(sender->suspects, &key, bmw_clock_us()) ||
			!start(sender, &(Sending){.endpoint = endpoint,
									  .event = asked->event,
									  .attempt = asked->challenge.attempt,
									  .started_us = now_us,
									  .timeout_ms = Min(endpoint->timeout_ms, CHALLENGE_TIMEOUT_MS),
									  .key = &key,
									  .tag = asked}))
			bmw_verify_not_started(sender->verifier, asked);
	}
}

/* Whatever it is that crashes, from the body's bytes on: it has been marked. */
static bool
start(BmwSender *sender, const Sending *sending)
{
	bmw_suspects_started(sender->suspects, sending->key, bmw_clock_us());
	if (make_and_start(sender, sending))
		return true;
	bmw_suspects_withdrawn(sender->suspects, sending->key);
	return false;
}

static bool
make_and_start(BmwSender *sender, const Sending *sending)
{
	const BmwEndpoint *endpoint = sending->endpoint;
	BmwRequestSource source = {.event_id = sending->event->id_text,
							   .headers = endpoint->headers,
							   .headers_length = endpoint->headers_length,
							   .secrets = endpoint->secrets,
							   .secrets_length = endpoint->secrets_length,
							   .now_us = sending->started_us,
							   .attempt = sending->attempt,
							   .scheme = endpoint->scheme_header != NULL ? endpoint->scheme
																		 : BMW_SCHEME_NONE,
							   .scheme_header = endpoint->scheme_header};
	BmwRequestHeaders headers;

	if (!bmw_event_body(sending->event, sending->is_thin, &source.body))
		return false;
	if (!bmw_request_headers(sender->signer, &source, &headers))
	{
		bmw_shmem_error(sender->slot, "could not sign a request");
		return false;
	}
	if (bmw_http_start(sender->http,
					   &(BmwHttpRequest){
						   .url = endpoint->url,
						   .headers = headers.items,
						   .headers_length = headers.length,
						   .body = source.body.bytes,
						   .body_len = source.body.length,
						   .authorities = endpoint->authorities,
						   .client = endpoint->client,
						   .is_direct = endpoint->is_direct,
						   .timeout_ms = sending->timeout_ms,
						   .connect_timeout_ms = Min(sending->timeout_ms, CONNECT_TIMEOUT_MS),
						   .tag = sending->tag,
					   }) == BMW_OK)
		return true;
	/* newer versions of libcurl need descriptors already before they connect */
	bmw_descriptors_tell_lack(sender->slot, NO_ROOM);
	return false;
}

static bool
may_enter(void *context, void *tag, const struct sockaddr *address)
{
	const BmwSender *sender = context;
	const uint64 destination = bmw_address_destination(address);

	if (bmw_verify_is_ours(sender->verifier, tag))
		return bmw_challenge_enter(sender->scheduler, &((BmwAsked *) tag)->challenge, destination);
	return bmw_scheduler_enter(sender->scheduler, tag, destination);
}

static bool
is_unwanted(const void *tag, void *context)
{
	const BmwSender *sender = context;

	return !bmw_verify_is_ours(sender->verifier, tag) &&
		   bmw_scheduler_is_unwanted(sender->scheduler, tag);
}

static void
take_results(BmwSender *sender)
{
	const BmwHttpResult *result;

	while ((result = bmw_http_next(sender->http)) != NULL)
		if (bmw_verify_is_ours(sender->verifier, result->tag))
			take_answer(sender, result);
		else
			take_result(sender, result);
}

/* To a challenge. */
static void
take_answer(BmwSender *sender, const BmwHttpResult *result)
{
	BmwSuspectKey key = {.endpoint_id = ((BmwAsked *) result->tag)->challenge.endpoint_id};

	bmw_verify_take(sender->verifier, result);
	bmw_suspects_ended(sender->suspects, &key);
}

static void
take_result(BmwSender *sender, const BmwHttpResult *result)
{
	BmwSuspectKey key = key_of(result->tag);
	BmwEnd end = {.transport = result->transport,
				  .http_status = result->http_status,
				  .retry_after_us = result->retry_after_us,
				  .times = result->times,
				  .random = pg_prng_double(&sender->random)};
	BmwRecord *record = bmw_scheduler_ended(sender->scheduler, result->tag, &end);

	sender->resent += result->resent;
	if (result->transport == BMW_TRANSPORT_LOCAL)
		bmw_descriptors_tell_lack(
			sender->slot, result->is_source_fault
							  ? "bm_webhook.source_address is not an address of this machine"
							  : NO_ROOM);
	if (record == NULL)
	{
		bmw_suspects_withdrawn(sender->suspects, &key);
		return;
	}
	bmw_suspects_ended(sender->suspects, &key);
	sender->sent++;
	if (record->is_failed_attempt)
		add_texts(sender, record, result);
}

static void
add_texts(BmwSender *sender, BmwRecord *record, const BmwHttpResult *result)
{
	char text[64];

	snprintf(text, sizeof(text), "HTTP status %d", result->http_status);
	record->error = result->error[0] != '\0' ? copy_text(result->error, strlen(result->error))
											 : copy_text(text, strlen(text));
	if (result->transport == BMW_TRANSPORT_BLOCKED)
		return;
	bmw_http_mask(sender->http);
	record->response = copy_text(result->response, result->response_len);
}

/* malloc'd and 0-terminated; NULL when it is empty or no UTF-8 text. */
static char *
copy_text(const char *bytes, size_t len)
{
	char *copy;

	/* the ceiling may have cut a character in two */
	for (int cut = 0; cut < 4 && len > 0 && !is_text(bytes, len); cut++)
		len--;
	if (len == 0 || !is_text(bytes, len))
		return NULL;
	copy = malloc(len + 1);
	if (copy == NULL)
		return NULL;
	memcpy(copy, bytes, len);
	copy[len] = '\0';
	return copy;
}

static bool
is_text(const char *bytes, size_t len)
{
	return memchr(bytes, '\0', len) == NULL &&
		   pg_encoding_verifymbstr(PG_UTF8, bytes, (int) len) == (int) len;
}
