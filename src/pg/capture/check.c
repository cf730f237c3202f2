/*
 * pg/capture/check.c - is this a valid event?
 *
 * Nothing here raises an error: a row that cannot become an event must not
 * fail the transaction that changed it. The rules are those that the
 * dispatcher relies on: it does not check again.
 */
#include "postgres.h"

#include "pg/capture/check.h"

#include "core/name.h"
#include "core/pattern.h"
#include "datatype/timestamp.h"
#include "pg/server/settings.h"
#include "utils/timestamp.h"

/* years 1 to 9999 are what RFC 3339 can write */
#define OCCURRED_AT_MIN (INT64CONST(-63082281600) * USECS_PER_SEC)
#define OCCURRED_AT_END (INT64CONST(252455616000) * USECS_PER_SEC)

static const BmwEventFault type_missing = {ERRCODE_NOT_NULL_VIOLATION,
										   "event type must not be null",
										   "A type such as \"message.delivered\" is needed."};
static const BmwEventFault type_invalid = {
	ERRCODE_INVALID_PARAMETER_VALUE, "invalid event type",
	"A type is two or more words of a-z, 0-9 and _, joined by dots, such as \"message.delivered\"; at most 128 bytes."};
static const BmwEventFault data_missing = {ERRCODE_NOT_NULL_VIOLATION,
										   "event data must not be null",
										   "Use an empty object, {}, for no data."};
static const BmwEventFault data_no_object = {
	ERRCODE_INVALID_PARAMETER_VALUE, "event data must be a JSON object",
	"Put the value into an object, such as {\"value\": 1}."};
const BmwEventFault bmw_event_too_large = {ERRCODE_PROGRAM_LIMIT_EXCEEDED,
										   "event data is larger than bm_webhook.max_payload",
										   "Send less, or a link to the data."};
static const BmwEventFault application_invalid = {
	ERRCODE_INVALID_PARAMETER_VALUE, "invalid application",
	"An application is 1 to 128 bytes without control characters."};
static const BmwEventFault channel_invalid = {
	ERRCODE_INVALID_PARAMETER_VALUE, "invalid channel",
	"A channel begins with a-z and has a-z, 0-9, _ and - only; at most 32 bytes."};
static const BmwEventFault message_id_invalid = {
	ERRCODE_INVALID_PARAMETER_VALUE, "invalid message id",
	"A message id is 1 to 128 bytes without control characters."};
static const BmwEventFault occurred_at_invalid = {
	ERRCODE_INVALID_PARAMETER_VALUE, "event time is out of range",
	"The time must be finite and in the years 1 to 9999."};

const BmwEventFault *
bmw_event_check(const BmwNewEvent *event)
{
	if (event->type == NULL)
		return &type_missing;
	if (!bmw_event_type_is_valid(event->type, strlen(event->type)))
		return &type_invalid;
	if (event->application != NULL && !bmw_name_is_valid(event->application))
		return &application_invalid;
	if (event->channel != NULL && !bmw_name_is_channel(event->channel))
		return &channel_invalid;
	if (event->message_id != NULL && !bmw_name_is_valid(event->message_id))
		return &message_id_invalid;
	if (event->has_occurred_at && !bmw_event_time_is_valid(event->occurred_at))
		return &occurred_at_invalid;
	return bmw_event_check_data(event->data);
}

const BmwEventFault *
bmw_event_check_data(const char *data)
{
	if (data == NULL)
		return &data_missing;
	if (data[strspn(data, " \t\r\n")] != '{')
		return &data_no_object;
	if (strnlen(data, (size_t) bmw_max_payload + 1) > (size_t) bmw_max_payload)
		return &bmw_event_too_large;
	return NULL;
}

bool
bmw_event_time_is_valid(TimestampTz at)
{
	return at >= OCCURRED_AT_MIN && at < OCCURRED_AT_END;
}
