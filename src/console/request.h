/*
 * console/request.h - one HTTP request, from its first header to the last byte of its answer.
 *
 * While the database works on it, its connection is suspended ("parked"); bmw_request_finish() or
 * bmw_request_flush() lets it go on. The library owns its lifetime: it ends with `completed`.
 */
#ifndef BMW_CONSOLE_REQUEST_H
#define BMW_CONSOLE_REQUEST_H

#include <microhttpd.h>
#include <stdbool.h>
#include <sys/queue.h>
#include <time.h>

#include "console/route.h"
#include "console/text.h"

typedef struct BmwRequest
{
	TAILQ_ENTRY(BmwRequest) link; /* in the queue of its session, while is_queued */
	struct MHD_Connection *http;
	const BmwRoute *route;
	struct BmwSession *session; /* NULL: it has none, or it is over */
	BmwText body;
	BmwText reply; /* of a stream: what is still to be written */
	BmwText cursor;
	unsigned status;
	time_t beat_at;	 /* of a stream: when something was last written */
	unsigned parks;	 /* how often it was parked */
	bool is_refused; /* its body is too long */
	bool is_last;	 /* of its connection */
	bool is_parked;
	bool is_queued;
	bool is_done;	   /* the reply is complete */
	bool is_streaming; /* its headers are sent */
	bool is_broken;	   /* the stream ends without its end */
	bool has_signed_in;
} BmwRequest;

/* Suspends it: at most once until it goes on. */
extern void bmw_request_park(BmwRequest *request);
/* Its reply is complete. */
extern void bmw_request_finish(BmwRequest *request, unsigned status);
/* The same, with an error of ours. */
extern void bmw_request_fail(BmwRequest *request, unsigned status, const char *sqlstate,
							 const char *message);
/* Has its browser closed the connection? While it is parked the library does not look. */
extern bool bmw_request_is_left(const BmwRequest *request);
/* What the reply of a stream has by now is written. */
extern void bmw_request_flush(BmwRequest *request);

/* Callbacks of the library. */
extern enum MHD_Result bmw_request_handle(void *arg, struct MHD_Connection *http, const char *path,
										  const char *method, const char *version, const char *data,
										  size_t *size, void **self);
extern void bmw_request_complete(void *arg, struct MHD_Connection *http, void **self,
								 enum MHD_RequestTerminationCode why);

#endif
