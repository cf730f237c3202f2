/*
 * core/event.c - one event in memory, shared by all its deliveries.
 *
 * The exact size is counted first, so that the event is one malloc of just its
 * size: hundreds of thousands may wait in lanes. Data is JSON already and is
 * copied as it is, which is nearly all of the body; only the short texts are
 * escaped. UTF-8 passes through: RFC 8259 asks for escapes of quotes,
 * backslashes and control characters, and U+2028 is only JavaScript's problem.
 * The reference count is not atomic: an event belongs to one thread.
 */
#include "core/event.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/order.h"
#include "core/pattern.h"

#define TIMESTAMP_SIZE 25 /* 2026-08-07T09:12:03.412Z and the final 0 */
#define MEMBER_LIMIT 7
#define DAY_US (INT64_C(86400) * 1000000)
/* What RFC 3339's four digits of a year can hold. */
#define MIN_TIMESTAMP_US (INT64_C(-719528) * DAY_US)	 /* 0000-01-01 */
#define MAX_TIMESTAMP_US (INT64_C(2932897) * DAY_US - 1) /* 9999-12-31 */

/* A member of the body: a text to be escaped, or JSON to be copied. */
typedef struct Member
{
	const char *opening; /* the comma, the name, the colon */
	const char *value;
	size_t value_len;
	bool is_text;
} Member;

typedef struct Members
{
	Member items[MEMBER_LIMIT];
	int length;
} Members;

static void name_message(const BmwEventSource *source, uint64_t message[2]);
static void list_members(const BmwEventSource *source, const char *id, const char *timestamp,
						 Members *out);
static void add_text(Members *members, const char *opening, const char *text);
static size_t body_length(const Members *members);
static size_t data_length(const Members *members);
static char *write_body(const Members *members, char *out);
static size_t escaped_length(const char *text, size_t len);
static char *write_escaped(const char *text, size_t len, char *out);
static char short_escape(unsigned char c);
static char *write_bytes(const char *bytes, size_t len, char *out);
static void format_timestamp(int64_t unix_us, char *out);
static void date_of_day(int64_t unix_day, int *year, int *month, int *day);

BmwEvent *
bmw_event_create(const BmwEventSource *source)
{
	char id[BMW_UUID_TEXT_SIZE];
	char timestamp[TIMESTAMP_SIZE];
	Members members;

	bmw_uuid_format(&source->id, id);
	format_timestamp(source->timestamp_us, timestamp);
	list_members(source, id, timestamp, &members);

	const size_t body_len = body_length(&members);
	BmwEvent *event = malloc(sizeof(BmwEvent) + body_len + 1);

	if (event == NULL)
		return NULL;
	event->id = source->id;
	memcpy(event->id_text, id, sizeof(id));
	name_message(source, event->message);
	event->expires_us = source->expires_us;
	event->is_operational = bmw_event_type_is_operational(source->type);
	event->references = 1;
	event->thin = NULL;
	event->head_len = body_len - data_length(&members);
	event->body_len = body_len;
	*write_body(&members, event->body) = '\0';
	return event;
}

/* What endpoints that keep the order tell messages apart by. */
static void
name_message(const BmwEventSource *source, uint64_t message[2])
{
	message[0] = message[1] = 0;
	if (source->message_id == NULL)
		return;

	const BmwOrderKey key = bmw_order_key(0, source->application, source->message_id);

	message[0] = key.message[0];
	message[1] = key.message[1];
}

bool
bmw_event_body(BmwEvent *event, bool is_thin, BmwBody *body)
{
	*body = (BmwBody){event->body, event->body_len};
	if (!is_thin)
		return true;
	if (event->thin == NULL && (event->thin = malloc(event->head_len + 2)) == NULL)
		return false;
	memcpy(write_bytes(event->body, event->head_len, event->thin), "}", 2);
	*body = (BmwBody){event->thin, event->head_len + 1};
	return true;
}

BmwEvent *
bmw_event_retain(BmwEvent *event)
{
	event->references++;
	return event;
}

void
bmw_event_release(BmwEvent *event)
{
	if (event == NULL || --event->references > 0)
		return;
	free(event->thin);
	free(event);
}

static void
list_members(const BmwEventSource *source, const char *id, const char *timestamp, Members *out)
{
	out->length = 0;
	add_text(out, "{\"id\":", id);
	add_text(out, ",\"type\":", source->type);
	add_text(out, ",\"timestamp\":", timestamp);
	add_text(out, ",\"application\":", source->application);
	add_text(out, ",\"channel\":", source->channel);
	add_text(out, ",\"message_id\":", source->message_id);
	/* No data is still a member, and an empty value would not be JSON. */
	out->items[out->length++] = (Member){
		.opening = ",\"data\":",
		.value = source->data_len > 0 ? source->data : "null",
		.value_len = source->data_len > 0 ? source->data_len : 4,
	};
}

static void
add_text(Members *members, const char *opening, const char *text)
{
	if (text == NULL)
		return;
	members->items[members->length++] = (Member){
		.opening = opening,
		.value = text,
		.value_len = strlen(text),
		.is_text = true,
	};
}

static size_t
body_length(const Members *members)
{
	size_t len = 1; /* the closing brace */

	for (int i = 0; i < members->length; i++)
	{
		const Member *member = &members->items[i];

		len += strlen(member->opening);
		len += member->is_text ? escaped_length(member->value, member->value_len) + 2
							   : member->value_len;
	}
	return len;
}

/* With the brace that closes the body: data comes last, and is copied as it is. */
static size_t
data_length(const Members *members)
{
	const Member *data = &members->items[members->length - 1];

	return strlen(data->opening) + data->value_len + 1;
}

/* Returns where it ends. */
static char *
write_body(const Members *members, char *out)
{
	for (int i = 0; i < members->length; i++)
	{
		const Member *member = &members->items[i];

		out = write_bytes(member->opening, strlen(member->opening), out);
		if (member->is_text)
			out = write_escaped(member->value, member->value_len, out);
		else
			out = write_bytes(member->value, member->value_len, out);
	}
	*out++ = '}';
	return out;
}

/* Without the quotes around it. */
static size_t
escaped_length(const char *text, size_t len)
{
	size_t total = len;

	for (size_t i = 0; i < len; i++)
	{
		const unsigned char c = (unsigned char) text[i];

		if (c < 0x20 || c == '"' || c == '\\')
			total += short_escape(c) != '\0' ? 1 : 5;
	}
	return total;
}

static char *
write_escaped(const char *text, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";

	*out++ = '"';
	for (size_t i = 0; i < len; i++)
	{
		const unsigned char c = (unsigned char) text[i];

		if (c >= 0x20 && c != '"' && c != '\\')
		{
			*out++ = (char) c;
			continue;
		}
		*out++ = '\\';
		if (short_escape(c) != '\0')
		{
			*out++ = short_escape(c);
			continue;
		}
		out = write_bytes("u00", 3, out);
		*out++ = digits[c >> 4];
		*out++ = digits[c & 0x0F];
	}
	*out++ = '"';
	return out;
}

/* The letter after the backslash; 0 for a character that needs \u. */
static char
short_escape(unsigned char c)
{
	switch (c)
	{
		case '"':
		case '\\':
			return (char) c;
		case '\b':
			return 'b';
		case '\f':
			return 'f';
		case '\n':
			return 'n';
		case '\r':
			return 'r';
		case '\t':
			return 't';
		default:
			return '\0';
	}
}

static char *
write_bytes(const char *bytes, size_t len, char *out)
{
	memcpy(out, bytes, len);
	return out + len;
}

/* Not gmtime(): that takes a lock, and this is done for every event. */
static void
format_timestamp(int64_t unix_us, char *out)
{
	if (unix_us < MIN_TIMESTAMP_US)
		unix_us = MIN_TIMESTAMP_US;
	if (unix_us > MAX_TIMESTAMP_US)
		unix_us = MAX_TIMESTAMP_US;

	/* Division in C rounds towards zero; days before 1970 need the floor. */
	const int64_t unix_day = unix_us / DAY_US - (unix_us % DAY_US < 0);
	const int ms = (int) ((unix_us - unix_day * DAY_US) / 1000);
	int year;
	int month;
	int day;

	date_of_day(unix_day, &year, &month, &day);
	/* Unsigned and reduced, so that the compiler sees that it fits. */
	snprintf(out, TIMESTAMP_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", (unsigned) year % 10000,
			 (unsigned) month % 100, (unsigned) day % 100, (unsigned) ms / 3600000 % 100,
			 (unsigned) ms / 60000 % 60, (unsigned) ms / 1000 % 60, (unsigned) ms % 1000);
}

/*
 * The Gregorian date, by the well-known arithmetic on eras of 400 years that
 * begin in March, so that the leap day is the last of its year. Days from
 * 0000-01-01 on.
 */
static void
date_of_day(int64_t unix_day, int *year, int *month, int *day)
{
	const int64_t since_march = unix_day + 719468 + 146097; /* one era earlier: never negative */
	const int64_t era = since_march / 146097;
	const int day_of_era = (int) (since_march % 146097);
	const int year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	const int day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	const int month_from_march = (5 * day_of_year + 2) / 153;

	*day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
	*month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
	*year = (int) (era - 1) * 400 + year_of_era + (*month <= 2);
}
