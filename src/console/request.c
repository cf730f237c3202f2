/*
 * console/request.c - one HTTP request, from its first header to the last byte of its answer.
 */
#define _GNU_SOURCE /* POLLRDHUP */

#include "console/request.h"

#include <err.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "console/answer.h"
#include "console/database.h"
#include "console/failure.h"
#include "console/guard.h"
#include "console/session.h"
#include "console/visitors.h"

#define MOST_BODY 65536

void
bmw_request_park(BmwRequest *request)
{
	request->is_parked = true;
	request->parks++;
	MHD_suspend_connection(request->http);
}

void
bmw_request_flush(BmwRequest *request)
{
	if (!request->is_parked)
		return;
	request->is_parked = false;
	MHD_resume_connection(request->http);
}

void
bmw_request_finish(BmwRequest *request, unsigned status)
{
	request->status = status;
	request->is_done = true;
	bmw_visitors_wait(request->http);
	bmw_request_flush(request);
}

void
bmw_request_fail(BmwRequest *request, unsigned status, const char *sqlstate, const char *message)
{
	bmw_answer_explain(&request->reply, sqlstate, message);
	bmw_request_finish(request, status);
}

bool
bmw_request_is_left(const BmwRequest *request)
{
	struct pollfd browser = {.events = POLLRDHUP};

	browser.fd =
		MHD_get_connection_info(request->http, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	return poll(&browser, 1, 0) > 0;
}

static ssize_t
read_stream(void *arg, uint64_t position, char *out, size_t max)
{
	BmwRequest *request = arg;
	const size_t len = request->reply.len < max ? request->reply.len : max;

	(void) position;
	if (len > 0)
	{
		memcpy(out, request->reply.data, len);
		bmw_text_drop(&request->reply, len);
		if (request->session != NULL && request->session->running == request)
			bmw_database_resume(request->session);
		return (ssize_t) len;
	}
	if (request->is_broken)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (request->is_done)
		return MHD_CONTENT_READER_END_OF_STREAM;
	bmw_request_park(request);
	return 0;
}

static enum MHD_Result
start_stream(BmwRequest *request)
{
	const char *argument = MHD_lookup_connection_value(request->http, MHD_GET_ARGUMENT_KIND, "a");
	const char *type = "text/event-stream";

	if (request->route->kind == BMW_ROUTE_EXPORT)
		type = argument != NULL && strstr(argument, "jsonl") != NULL
				   ? "application/jsonl; charset=utf-8"
				   : "text/csv; charset=utf-8";
	return bmw_answer_stream(request, type, read_stream);
}

static enum MHD_Result
answer(BmwRequest *request)
{
	char cookie[256];
	const bool is_export = request->route != NULL && request->route->kind == BMW_ROUTE_EXPORT;
	const bool is_logout = request->route != NULL && request->route->kind == BMW_ROUTE_LOGOUT;

	if (is_export && (!request->is_done || request->status == MHD_HTTP_OK))
		return start_stream(request);
	if (request->status != MHD_HTTP_OK || (!request->has_signed_in && !is_logout))
		return bmw_answer_send(request, NULL);
	bmw_guard_cookie(is_logout ? NULL : request->session, cookie, sizeof(cookie));
	return bmw_answer_send(request, cookie);
}

static void
login(BmwRequest *request)
{
	BmwCredentials credentials;
	char address[64];
	BmwSession *before = bmw_guard_session(request->http);

	if (!bmw_credentials_parse(request->body.data, request->body.len, &credentials))
	{
		bmw_request_fail(request, MHD_HTTP_UNAUTHORIZED, "28P01", "wrong user or password");
		return;
	}
	bmw_guard_address(request->http, address, sizeof(address));
	if (bmw_failure_is_barred(credentials.user, address))
	{
		explicit_bzero(&credentials, sizeof(credentials));
		bmw_request_fail(request, MHD_HTTP_TOO_MANY_REQUESTS, "28000",
						 "too many failed sign-ins: try again in a minute");
		return;
	}
	if (before != NULL)
		bmw_session_close(before, "signed in again");
	bmw_session_open(request, &credentials, address);
}

/* A stream of another tab, or of the same before it was loaded again, ends. */
static enum MHD_Result
follow(BmwRequest *request, BmwSession *session)
{
	const char *last = MHD_lookup_connection_value(request->http, MHD_HEADER_KIND, "last-event-id");
	BmwRequest *before = session->stream;

	if (before != NULL)
	{
		bmw_session_forget(session, before);
		before->session = NULL;
		before->is_done = true;
		bmw_request_flush(before);
	}
	if (last != NULL && last[0] != '\0')
		bmw_text_add(&request->cursor, last);
	request->session = session;
	request->beat_at = time(NULL);
	session->stream = request;
	session->asked_at = 0;
	bmw_text_add(&request->reply, "retry: 2000\n\n");
	return start_stream(request);
}

static enum MHD_Result
run(BmwRequest *request, BmwSession *session)
{
	switch (request->route->kind)
	{
		case BMW_ROUTE_LIVE:
			return follow(request, session);
		case BMW_ROUTE_LOGOUT:
			bmw_session_close(session, "signed out");
			bmw_text_add(&request->reply, "{}");
			bmw_request_finish(request, MHD_HTTP_OK);
			return MHD_YES;
		case BMW_ROUTE_LOGIN:
		case BMW_ROUTE_CALL:
		case BMW_ROUTE_SESSION:
		case BMW_ROUTE_EXPORT:
			break;
	}
	bmw_request_park(request);
	bmw_session_enqueue(session, request);
	return MHD_YES;
}

/* What must hold before a session is looked at. */
static bool
is_proper(BmwRequest *request, bool is_other_method)
{
	if (is_other_method)
		bmw_request_fail(request, MHD_HTTP_METHOD_NOT_ALLOWED, "0A000", "another method is needed");
	else if (request->route == NULL)
		bmw_request_fail(request, MHD_HTTP_NOT_FOUND, "42883", "there is no such function");
	else if (request->is_refused)
		bmw_request_fail(request, MHD_HTTP_CONTENT_TOO_LARGE, "54000", "the body is too long");
	else if (!bmw_guard_is_own_site(request->http))
		bmw_request_fail(request, MHD_HTTP_FORBIDDEN, "42501", "a page of another site sent this");
	else if (request->route->is_post && !bmw_guard_is_json(request->http))
		bmw_request_fail(request, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "0A000",
						 "the body must be application/json");
	return !request->is_done;
}

static void
refuse_stranger(BmwRequest *request)
{
	const char *why = bmw_guard_why_ended(request->http);

	if (why != NULL)
		bmw_request_fail(request, MHD_HTTP_UNAUTHORIZED, "08003", why);
	else
		bmw_request_fail(request, MHD_HTTP_UNAUTHORIZED, "28000", "sign in first");
}

static enum MHD_Result
start(BmwRequest *request)
{
	BmwSession *session;

	if (request->route->kind == BMW_ROUTE_LOGIN)
	{
		login(request);
		return MHD_YES;
	}
	session = bmw_guard_session(request->http);
	if (session == NULL)
		refuse_stranger(request);
	else if (request->route->is_post &&
			 !bmw_session_is_csrf(
				 session, MHD_lookup_connection_value(request->http, MHD_HEADER_KIND, "x-csrf")))
		bmw_request_fail(request, MHD_HTTP_FORBIDDEN, "42501", "the header x-csrf is wrong");
	else
		return run(request, session);
	return MHD_YES;
}

/* The whole request is here. Whoever was parked is answered when the library comes again. */
static enum MHD_Result
serve(BmwRequest *request, const char *path, const char *method)
{
	bool is_other_method = false;
	enum MHD_Result result = MHD_YES;

	if (!bmw_guard_is_framed(request->http))
	{
		request->is_last = true;
		bmw_request_fail(request, MHD_HTTP_BAD_REQUEST, "08P01",
						 "where the request ends is not clear");
	}
	else if (!bmw_guard_is_host(request->http))
		bmw_request_fail(request, MHD_HTTP_MISDIRECTED_REQUEST, "42501", "this is not our name");
	else if (bmw_route_is_api(path))
	{
		request->route = bmw_route_find(path, method, &is_other_method);
		if (is_proper(request, is_other_method))
			result = start(request);
	}
	else if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)
		return bmw_answer_file(request->http, path);
	else
		is_proper(request, true);
	if (request->session != NULL && !request->is_done)
		bmw_visitors_serve(request->http);
	return request->is_done && request->parks == 0 && !request->is_streaming ? answer(request)
																			 : result;
}

static void
take_body(BmwRequest *request, const char *data, size_t size)
{
	if (request->is_refused || request->body.len + size > MOST_BODY)
		request->is_refused = true;
	else
		bmw_text_append(&request->body, data, size);
}

enum MHD_Result
bmw_request_handle(void *arg, struct MHD_Connection *http, const char *path, const char *method,
				   const char *version, const char *data, size_t *size, void **self)
{
	BmwRequest *request = *self;

	(void) arg;
	(void) version;
	if (request == NULL)
	{
		*self = request = calloc(1, sizeof(*request));
		if (request == NULL)
			errx(1, "out of memory");
		request->http = http;
		return MHD_YES;
	}
	if (*size > 0)
	{
		take_body(request, data, *size);
		*size = 0;
		return MHD_YES;
	}
	return request->parks > 0 ? answer(request) : serve(request, path, method);
}

void
bmw_request_complete(void *arg, struct MHD_Connection *http, void **self,
					 enum MHD_RequestTerminationCode why)
{
	BmwRequest *request = *self;

	(void) arg;
	(void) why;
	if (request == NULL)
		return;
	bmw_visitors_wait(http);
	if (request->session != NULL)
		bmw_session_forget(request->session, request);
	bmw_text_free(&request->body);
	bmw_text_free(&request->reply);
	bmw_text_free(&request->cursor);
	free(request);
	*self = NULL;
}
