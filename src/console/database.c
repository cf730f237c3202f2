/*
 * console/database.c - what goes on over a session's connection to the server.
 *
 * A request is a transaction of three steps: BEGIN (READ ONLY for GET), the function's call, COMMIT,
 * which rolls back what has failed. It is answered after the last. The function of an export opens a
 * cursor, which is read before COMMIT, in pieces: whose client is slow, or leaves, costs one of them.
 */
#include "console/database.h"

#include <string.h>
#include <sys/epoll.h>

#include "console/answer.h"
#include "console/connect.h"
#include "console/loop.h"

#define MOST_UNSENT (256 * 1024) /* of an export whose client is slow */

static const char lost[] = "the connection to the database is lost: sign in again";

static int
send_begin(const BmwSession *session)
{
	const BmwRoute *route = session->running->route;

	if (route->is_post)
		return PQsendQuery(session->db, "BEGIN");
	if (route->kind == BMW_ROUTE_EXPORT)
		return PQsendQuery(session->db, "BEGIN READ ONLY; SET LOCAL statement_timeout = '5min'; "
										"SET LOCAL idle_in_transaction_session_timeout = '1min'");
	return PQsendQuery(session->db, "BEGIN READ ONLY");
}

static const char *
argument_of(const BmwRequest *request)
{
	const char *argument;

	if (request->route->is_post)
		return request->body.len > 0 ? request->body.data : "{}";
	argument = MHD_lookup_connection_value(request->http, MHD_GET_ARGUMENT_KIND, "a");
	return argument != NULL ? argument : "{}";
}

static int
send_call(BmwSession *session)
{
	BmwRequest *request = session->running;
	const BmwRouteKind kind = request->route->kind;
	const char *argument = argument_of(request);
	const char *values[] = {kind == BMW_ROUTE_LIVE ? request->cursor.data : argument, argument};

	return PQsendQueryParams(session->db, request->route->sql, kind == BMW_ROUTE_LIVE ? 2 : 1, NULL,
							 values, NULL, NULL, 0);
}

/* What has failed is rolled back, and what is for nobody. */
static BmwStep
next_step(const BmwSession *session)
{
	const BmwRequest *request = session->running;

	if (request == NULL || request->status != 0 || request->is_broken)
		return BMW_STEP_COMMIT;
	if (session->step == BMW_STEP_BEGIN)
		return BMW_STEP_CALL;
	if (request->route->kind == BMW_ROUTE_EXPORT &&
		(session->step == BMW_STEP_CALL || session->fetched > 0))
		return BMW_STEP_FETCH;
	return BMW_STEP_COMMIT;
}

static void
send_step(BmwSession *session)
{
	int is_sent;

	session->fetched = 0;
	if (session->step == BMW_STEP_BEGIN)
		is_sent = send_begin(session);
	else if (session->step == BMW_STEP_CALL)
		is_sent = send_call(session);
	else if (session->step == BMW_STEP_FETCH)
		is_sent = PQsendQuery(session->db, "FETCH 500 FROM console_export");
	else
		is_sent = PQsendQuery(session->db, "COMMIT");
	if (is_sent)
		bmw_loop_watch(session, PQflush(session->db) == 1 ? EPOLLIN | EPOLLOUT : EPOLLIN);
	else
		bmw_session_close(session, lost);
}

void
bmw_database_next(BmwSession *session)
{
	BmwRequest *request = TAILQ_FIRST(&session->queue);

	if (session->is_busy || session->is_connecting || request == NULL)
		return;
	TAILQ_REMOVE(&session->queue, request, link);
	request->is_queued = false;
	session->queued--;
	session->running = request;
	session->is_busy = true;
	session->step = BMW_STEP_BEGIN;
	send_step(session);
}

static void
add_event(BmwRequest *request, const char *name, const char *data)
{
	bmw_text_add(&request->reply, name);
	bmw_text_add(&request->reply, data);
	bmw_text_add(&request->reply, "\n\n");
	request->beat_at = time(NULL);
}

/* The cursor goes on even if there was nothing. */
static void
take_events(BmwRequest *request, const PGresult *result)
{
	bmw_text_free(&request->cursor);
	bmw_text_add(&request->cursor, PQgetvalue(result, 0, 0));
	if (PQgetisnull(result, 0, 1))
		return;
	bmw_text_add(&request->reply, "id: ");
	bmw_text_add(&request->reply, request->cursor.data);
	add_event(request, "\nevent: tail\ndata: ", PQgetvalue(result, 0, 1));
}

static void
take_lines(BmwSession *session, const PGresult *result)
{
	BmwRequest *request = session->running;

	session->fetched = PQntuples(result);
	for (int i = 0; i < PQntuples(result); i++)
	{
		bmw_text_append(&request->reply, PQgetvalue(result, i, 0),
						(size_t) PQgetlength(result, i, 0));
		bmw_text_add(&request->reply, "\n");
	}
	bmw_request_flush(request);
}

static void
take_answer(BmwSession *session, const PGresult *result)
{
	BmwRequest *request = session->running;
	const bool is_session = request->route->kind == BMW_ROUTE_SESSION;

	if (is_session)
	{
		bmw_text_add(&request->reply, "{\"csrf\":");
		bmw_text_add_json(&request->reply, session->csrf);
		bmw_text_add(&request->reply, ",\"session\":");
	}
	bmw_text_add(&request->reply, PQgetisnull(result, 0, 0) ? "null" : PQgetvalue(result, 0, 0));
	if (is_session)
		bmw_text_add(&request->reply, "}");
}

static void
take_rows(BmwSession *session, const PGresult *result)
{
	BmwRequest *request = session->running;

	if (session->step == BMW_STEP_FETCH)
		take_lines(session, result);
	else if (session->step != BMW_STEP_CALL || request->route->kind == BMW_ROUTE_EXPORT)
		return;
	else if (PQntuples(result) == 1 && request->route->kind == BMW_ROUTE_LIVE)
		take_events(request, result);
	else if (PQntuples(result) == 1)
		take_answer(session, result);
}

/* The first error counts: COMMIT of what has failed succeeds as a rollback. */
static void
take_error(BmwRequest *request, const PGresult *result)
{
	BmwText error = {0};

	if (!request->is_streaming)
	{
		request->status = bmw_answer_describe(&request->reply, result);
		return;
	}
	request->is_broken = true;
	if (request->route->kind != BMW_ROUTE_LIVE)
		return;
	bmw_answer_describe(&error, result);
	add_event(request, "event: error\ndata: ", error.data);
	bmw_text_free(&error);
}

static void
take_result(BmwSession *session, const PGresult *result)
{
	if (session->running == NULL)
		return;
	switch (PQresultStatus(result))
	{
		case PGRES_TUPLES_OK:
			take_rows(session, result);
			return;
		case PGRES_COMMAND_OK:
			return;
		default:
			take_error(session->running, result);
	}
}

static void
finish(BmwSession *session)
{
	BmwRequest *request = session->running;

	session->running = NULL;
	session->is_busy = false;
	if (request != NULL && request->route->kind == BMW_ROUTE_LIVE)
		bmw_request_flush(request);
	else if (request != NULL)
		bmw_request_finish(request, request->status != 0 ? request->status : MHD_HTTP_OK);
	bmw_database_next(session);
}

static bool
is_held(const BmwSession *session)
{
	return session->running != NULL && session->running->is_streaming &&
		   session->running->reply.len > MOST_UNSENT;
}

/* Takes the results that are there, and sends the next step after the last. */
static void
take_results(BmwSession *session)
{
	PGresult *result;

	while (session->is_busy && !is_held(session) && !PQisBusy(session->db))
	{
		result = PQgetResult(session->db);
		if (result != NULL)
		{
			take_result(session, result);
			PQclear(result);
		}
		else if (session->canceler > 0)
			return;
		else if (session->step == BMW_STEP_COMMIT)
			finish(session);
		else
		{
			session->step = next_step(session);
			send_step(session);
		}
	}
}

void
bmw_database_resume(BmwSession *session)
{
	bmw_loop_watch(session, EPOLLIN);
	take_results(session);
}

void
bmw_database_ready(BmwSession *session)
{
	int unsent;

	if (session->db == NULL)
		return;
	if (session->is_connecting)
	{
		bmw_connect_poll(session);
		return;
	}
	unsent = PQflush(session->db);
	if (unsent < 0 || !PQconsumeInput(session->db) || PQstatus(session->db) == CONNECTION_BAD)
	{
		bmw_session_close(session, lost);
		return;
	}
	take_results(session);
	if (session->db != NULL)
		bmw_loop_watch(session, is_held(session) ? 0 : unsent > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
}
