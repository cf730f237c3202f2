/*
 * pg/capture/check.h - is this a valid event?
 *
 * Says what is wrong instead of raising it: emit() makes an error of the
 * answer, capture() an event of type webhook.capture_failed.
 */
#ifndef BMW_PG_CAPTURE_CHECK_H
#define BMW_PG_CAPTURE_CHECK_H

#include "pg/sql/insert.h"

typedef struct BmwEventFault
{
	int sqlstate;
	const char *message; /* constant, in the style of errmsg() */
	const char *hint;	 /* constant, in the style of errhint() */
} BmwEventFault;

/* What bmw_event_check() says of data that is too large. */
extern const BmwEventFault bmw_event_too_large;

/* The first fault, NULL when there is none. The fields id and endpoint_id are not looked at. */
extern const BmwEventFault *bmw_event_check(const BmwNewEvent *event);
extern const BmwEventFault *bmw_event_check_data(const char *data); /* of this alone */

/* Finite, and in the years that RFC 3339 can write. */
extern bool bmw_event_time_is_valid(TimestampTz at);

#endif
