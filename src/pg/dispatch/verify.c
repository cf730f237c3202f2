/*
 * pg/dispatch/verify.c - the clerk of a dispatcher who asks endpoints for a proof.
 *
 * What could not be written, because somebody has locked the row or for want of disk, is asked again.
 */
#include "postgres.h"

#include "pg/dispatch/verify.h"

#include "pg/dispatch/endpoint.h"
#include "pg/dispatch/store.h"

#define TYPE "webhook.verification"
#define RANDOM_BYTES ((BMW_CHALLENGE_SIZE - 1) / 2)
#define DATA_SIZE (BMW_CHALLENGE_SIZE + 64)
#define LOCK_WAIT "20ms"

/* In a transaction. */
typedef struct Writing
{
	const BmwVerifier *verifier;
	bool are_proved[BMW_CHALLENGES_MAX];
} Writing;

static bool make_value(char *value);
static BmwEvent *make_event(BmwVerifier *verifier, const BmwAsked *asked, int64 now_us);
static void free_place(BmwVerifier *verifier, BmwAsked *asked, bool is_proved);
static void forget(BmwAsked *asked);
static void judge(BmwAsked *asked, const BmwHttpResult *result);
static void make_text(char *error);
static void write_all(void *context);

void
bmw_verify_init(BmwVerifier *verifier, BmwScheduler *scheduler, BmwSlot *slot)
{
	*verifier = (BmwVerifier){.scheduler = scheduler, .slot = slot, .has_extension = true};
}

BmwAsked *
bmw_verify_next(BmwVerifier *verifier, int64 now_us)
{
	BmwAsked *asked = verifier->asked;

	/* the scheduler knows how many places there are */
	while (asked < verifier->asked + lengthof(verifier->asked) && asked->event != NULL)
		asked++;
	if (asked == verifier->asked + lengthof(verifier->asked) ||
		!bmw_challenge_next(verifier->scheduler, &asked->challenge))
		return NULL;
	if (make_value(asked->value))
		asked->event = make_event(verifier, asked, now_us);
	if (asked->event != NULL)
		return asked;
	bmw_challenge_ended(verifier->scheduler, &asked->challenge, false);
	return NULL;
}

bool
bmw_verify_is_ours(const BmwVerifier *verifier, const void *tag)
{
	uintptr_t first = (uintptr_t) verifier->asked;

	return (uintptr_t) tag >= first && (uintptr_t) tag < first + sizeof(verifier->asked);
}

void
bmw_verify_not_started(BmwVerifier *verifier, BmwAsked *asked)
{
	free_place(verifier, asked, false);
}

void
bmw_verify_take(BmwVerifier *verifier, const BmwHttpResult *result)
{
	BmwAsked *asked = result->tag;

	if (result->transport == BMW_TRANSPORT_CROWDED)
	{
		bmw_challenge_put_off(verifier->scheduler, &asked->challenge);
		forget(asked);
		return;
	}
	judge(asked, result);
	asked->has_ended = true;
	verifier->ended_length++;
}

void
bmw_verify_write(BmwVerifier *verifier)
{
	Writing writing = {.verifier = verifier};
	BmwTransactionResult result;

	if (verifier->ended_length == 0)
		return;
	result = bmw_transaction_run(verifier->slot, &verifier->streak, write_all, &writing);
	verifier->has_extension = result != BMW_TRANSACTION_NO_EXTENSION;
	if (result != BMW_TRANSACTION_DONE)
		memset(writing.are_proved, 0, sizeof(writing.are_proved));
	for (size_t i = 0; i < lengthof(verifier->asked); i++)
		if (verifier->asked[i].has_ended)
			free_place(verifier, &verifier->asked[i], writing.are_proved[i]);
	verifier->ended_length = 0;
}

static bool
make_value(char *value)
{
	static const char digits[] = "0123456789abcdef";
	uint8 random[RANDOM_BYTES];

	if (!pg_strong_random(random, sizeof(random)))
		return false;
	for (size_t i = 0; i < sizeof(random); i++)
	{
		value[2 * i] = digits[random[i] >> 4];
		value[2 * i + 1] = digits[random[i] & 15];
	}
	value[2 * sizeof(random)] = '\0';
	return true;
}

static BmwEvent *
make_event(BmwVerifier *verifier, const BmwAsked *asked, int64 now_us)
{
	const BmwEndpoint *endpoint = asked->challenge.endpoint;
	char data[DATA_SIZE];
	BmwEventSource source = {.type = TYPE,
							 .application = endpoint->owner.application,
							 .timestamp_us = now_us,
							 .data = data};
	uint8 random[8];

	if (!pg_strong_random(random, sizeof(random)))
		return NULL;
	bmw_uuid_next(&verifier->ids, now_us, random, &source.id);
	source.data_len = (size_t) snprintf(data, sizeof(data),
										"{\"endpoint_id\":" INT64_FORMAT ",\"challenge\":\"%s\"}",
										asked->challenge.endpoint_id, asked->value);
	return bmw_event_create(&source);
}

static void
free_place(BmwVerifier *verifier, BmwAsked *asked, bool is_proved)
{
	bmw_challenge_ended(verifier->scheduler, &asked->challenge, is_proved);
	forget(asked);
}

static void
forget(BmwAsked *asked)
{
	bmw_event_release(asked->event);
	*asked = (BmwAsked){0};
}

static void
judge(BmwAsked *asked, const BmwHttpResult *result)
{
	asked->error[0] = '\0';
	if (result->transport != BMW_TRANSPORT_OK)
	{
		strlcpy(asked->error, result->error, sizeof(asked->error));
		make_text(asked->error);
	}
	else if (result->http_status < 200 || result->http_status > 299)
		snprintf(asked->error, sizeof(asked->error), "HTTP status %d", result->http_status);
	else if (!bmw_challenge_is_met(asked->value, result->response, result->response_len))
		strlcpy(asked->error, "the answer is not the value of the challenge", sizeof(asked->error));
}

/* libcurl quotes what the receiver says, such as the name in its certificate, and cuts it anywhere. */
static void
make_text(char *error)
{
	for (char *c = error; *c != '\0'; c++)
		if ((unsigned char) *c >= 0x80)
			*c = '?';
	if (*error == '\0')
		strlcpy(error, "the request failed", BMW_HTTP_ERROR_SIZE);
}

static void
write_all(void *context)
{
	Writing *writing = context;

	bmw_transaction_limit_lock_wait(LOCK_WAIT);
	for (size_t i = 0; i < lengthof(writing->are_proved); i++)
	{
		const BmwAsked *asked = &writing->verifier->asked[i];

		if (!asked->has_ended)
			continue;
		writing->are_proved[i] =
			bmw_store_verification(asked->challenge.endpoint_id, asked->challenge.unverified_us,
								   asked->error[0] != '\0' ? asked->error : NULL) &&
			asked->error[0] == '\0';
	}
}
