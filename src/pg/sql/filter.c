/*
 * pg/sql/filter.c - is an event one that an endpoint's filter lets through?
 *
 * Errors are caught without a subtransaction: evaluating a path takes memory, and
 * nothing else that would have to be given back. The server's code looks for interrupts
 * at each step of a path; so a timer that asks for a cancel ends it. What a step
 * does without looking is bounded by what endpoint_filter.c lets into a filter.
 */
#include "postgres.h"

#include "pg/sql/filter.h"

#include <time.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pg/sql/call.h"
#include "pg/sql/interval.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#define LOOK_MS 1 /* after the first time, at the clock of the processor */

PG_FUNCTION_INFO_V1(bm_webhook_filter_reason);

/* One evaluation at a time. */
static TimeoutId timer = MAX_TIMEOUTS; /* set once in a process */
static volatile sig_atomic_t is_over;
static int64 started_us;

static Jsonb *parse(const BmwEventSource *source, bool is_utf8);
static BmwFilterVerdict evaluate(const Jsonb *body, const JsonPath *filter);
static void start_timer(void);
static void look_at_clock(void);
static void stop_timer(void);
static int64 cpu_us(void);
static const char *take_error(MemoryContext caller);
static const char *reason_of(BmwFilterAnswer answer);

BmwFilterBody
bmw_filter_body(const BmwEventSource *source, bool is_utf8)
{
	MemoryContext caller = CurrentMemoryContext;
	Jsonb *volatile json = NULL;
	const char *volatile error = NULL;

	is_over = false;
	PG_TRY();
	{
		json = parse(source, is_utf8);
	}
	PG_CATCH();
	{
		error = take_error(caller);
	}
	PG_END_TRY();
	return (BmwFilterBody){json, error};
}

BmwFilterAnswer
bmw_filter_apply(const BmwFilterBody *body, const JsonPath *filter)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext work;
	BmwFilterVerdict volatile verdict = BMW_FILTER_FAILED;
	const char *volatile error = body->error;

	if (body->json == NULL)
		return (BmwFilterAnswer){.verdict = BMW_FILTER_FAILED, .error = error};
	work = AllocSetContextCreate(caller, "bm_webhook filter", ALLOCSET_DEFAULT_SIZES);
	start_timer();
	PG_TRY();
	{
		MemoryContextSwitchTo(work);
		verdict = evaluate(body->json, filter);
		stop_timer();
	}
	PG_CATCH();
	{
		stop_timer();
		error = take_error(caller);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(work);
	return (BmwFilterAnswer){verdict, error, cpu_us() - started_us};
}

/*
 * filter_reason(filter, id, type, occurred_at, application, channel, message_id, data). NULL: the
 * filter lets the event through.
 */
Datum
bm_webhook_filter_reason(PG_FUNCTION_ARGS)
{
	BmwEventSource source = {.type = bmw_call_text(fcinfo, 2),
							 .application = bmw_call_text(fcinfo, 4),
							 .channel = bmw_call_text(fcinfo, 5),
							 .message_id = bmw_call_text(fcinfo, 6),
							 .data = bmw_call_text(fcinfo, 7)};
	BmwFilterBody body;
	const char *reason;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(3) || source.data == NULL)
		PG_RETURN_NULL();
	memcpy(source.id.bytes, PG_GETARG_UUID_P(1)->data, UUID_LEN);
	source.timestamp_us = bmw_unix_us(PG_GETARG_TIMESTAMPTZ(3));
	source.data_len = strlen(source.data);
	body = bmw_filter_body(&source, false);
	reason = reason_of(bmw_filter_apply(&body, PG_GETARG_JSONPATH_P(0)));
	if (reason == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(reason));
}

/* The body that is sent, byte for byte. */
static Jsonb *
parse(const BmwEventSource *source, bool is_utf8)
{
	BmwEvent *event = bmw_event_create(source);
	Jsonb *volatile json = NULL;

	if (event == NULL)
		ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"));
	PG_TRY();
	{
		char *text =
			is_utf8 ? pg_any_to_server(event->body, (int) event->body_len, PG_UTF8) : event->body;

		json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
	}
	PG_FINALLY();
	{
		bmw_event_release(event);
	}
	PG_END_TRY();
	return json;
}

/* As the operator @@: what is missing or of another type is no error, but no match either. */
static BmwFilterVerdict
evaluate(const Jsonb *body, const JsonPath *filter)
{
	LOCAL_FCINFO(call, 2);
	Datum result;

	InitFunctionCallInfoData(*call, NULL, 2, InvalidOid, NULL, NULL);
	call->args[0] = (NullableDatum){JsonbPGetDatum(body), false};
	call->args[1] = (NullableDatum){PointerGetDatum(filter), false};
	result = jsonb_path_match_opr(call);
	return !call->isnull && DatumGetBool(result) ? BMW_FILTER_MATCHES : BMW_FILTER_DIFFERS;
}

/* It rings by the clock on the wall, and then looks at that of the processor. */
static void
start_timer(void)
{
	if (timer == MAX_TIMEOUTS)
		timer = RegisterTimeout(USER_TIMEOUT, look_at_clock);
	is_over = false;
	started_us = cpu_us();
	enable_timeout_every(
		timer, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), BMW_FILTER_MAX_US / 1000),
		LOOK_MS);
}

/* In a signal handler. A process that others keep from running has not used its time. */
static void
look_at_clock(void)
{
	if (cpu_us() - started_us < BMW_FILTER_MAX_US)
		return;
	is_over = true;
	InterruptPending = true;
	QueryCancelPending = true;
}

/* What it has asked for is not for whoever comes next. */
static void
stop_timer(void)
{
	disable_timeout(timer, false);
	if (is_over)
		QueryCancelPending = false;
}

static int64
cpu_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (int64) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* The primary message, of an error that the predicate or the body is to be blamed on; others are raised again. */
static const char *
take_error(MemoryContext caller)
{
	ErrorData *error;
	int category = ERRCODE_TO_CATEGORY(geterrcode());

	if (!is_over &&
		(category == ERRCODE_OPERATOR_INTERVENTION || category == ERRCODE_TRANSACTION_ROLLBACK))
		PG_RE_THROW();
	MemoryContextSwitchTo(caller);
	error = CopyErrorData();
	FlushErrorState();
	if (is_over)
		return "it takes longer than 5 ms";
	return error->message;
}

static const char *
reason_of(BmwFilterAnswer answer)
{
	switch (answer.verdict)
	{
		case BMW_FILTER_MATCHES:
			return NULL;
		case BMW_FILTER_DIFFERS:
			return "filter";
		case BMW_FILTER_FAILED:
			break;
	}
	return psprintf("filter failed: %s", answer.error);
}
