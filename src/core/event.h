/*
 * core/event.h - one event in memory, shared by all its deliveries.
 *
 * The body is built once, when the event is taken in; the bytes that are
 * signed are the bytes that are sent. Reference-counted: every delivery in a
 * lane holds one reference. malloc'd, in one piece.
 */
#ifndef BMW_CORE_EVENT_H
#define BMW_CORE_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/uuid.h"

/* What the body is made of. Texts are UTF-8 and 0-terminated, NULL where not set. */
typedef struct BmwEventSource
{
	BmwUuid id;
	const char *type;
	const char *application;
	const char *channel;
	const char *message_id;
	int64_t timestamp_us; /* when it happened, Unix microseconds */
	int64_t expires_us;	  /* worth nothing from then on; 0: never */
	const char *data;	  /* JSON text, not necessarily 0-terminated */
	size_t data_len;
} BmwEventSource;

typedef struct BmwEvent
{
	BmwUuid id;
	char id_text[BMW_UUID_TEXT_SIZE];
	uint64_t message[2]; /* hash of application and message id (core/order.h); 0 without one */
	int64_t expires_us;	 /* 0: never */
	bool is_operational; /* about webhooks themselves: webhook.*, endpoint.*, delivery.* */
	int references;
	char *thin;		 /* the body without data, once it was asked for */
	size_t head_len; /* of the body, before data */
	size_t body_len;
	char body[]; /* JSON, followed by a 0 */
} BmwEvent;

/*
 * {"id","type","timestamp"[,"application"][,"channel"][,"message_id"],"data"};
 * timestamp is RFC 3339 UTC with milliseconds, rounded down, clamped to the years
 * 0000 to 9999. Strings are escaped by RFC 8259. data_len 0 gives null.
 * One reference is the caller's. NULL when out of memory.
 */
extern BmwEvent *bmw_event_create(const BmwEventSource *source);
/* The bytes to be signed and sent: the whole body, or it without data. They live as long as the event. */
typedef struct BmwBody
{
	const char *bytes; /* followed by a 0 */
	size_t length;
} BmwBody;
/* False: no memory. */
extern bool bmw_event_body(BmwEvent *event, bool is_thin, BmwBody *body);
extern BmwEvent *bmw_event_retain(BmwEvent *event);
extern void bmw_event_release(BmwEvent *event);

#endif
