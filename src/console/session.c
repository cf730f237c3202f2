/*
 * console/session.c - a session is a connection to the database with the login of its user.
 */
#include "console/session.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "console/cancel.h"
#include "console/connect.h"
#include "console/database.h"
#include "console/failure.h"
#include "console/options.h"

#define IDLE_S 900
#define LONGEST_S 43200
#define CONNECT_S 10
#define MOST_CONNECTING 8
#define MOST_OF_USER 4
#define MOST_QUEUED 32
#define ASK_AGAIN_S 2
#define BEAT_S 15

#define MOST_ENDED 64

static BmwSession *sessions;
static uint64_t uses;

/* Why sessions have ended, the newest in place of the oldest: for who comes back with the token. */
static struct
{
	char token[BMW_TOKEN_SIZE];
	const char *why;
} ended[MOST_ENDED];
static unsigned ends;

void
bmw_sessions_create(void)
{
	sessions = calloc((size_t) bmw_options.max_sessions, sizeof(*sessions));
	if (sessions == NULL)
		errx(1, "out of memory");
}

static void
make_token(char *token)
{
	unsigned char random[(BMW_TOKEN_SIZE - 1) / 2];

	if (getrandom(random, sizeof(random), 0) != (ssize_t) sizeof(random))
		err(1, "no random bytes");
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(token + 2 * i, 3, "%02x", random[i]);
}

static void
use(BmwSession *session)
{
	session->used_at = time(NULL);
	session->used = ++uses;
}

/* NULL: too many are in use, or being connected by who has not shown a password yet. */
static BmwSession *
find_unused(void)
{
	BmwSession *unused = NULL;
	int connecting = 0;

	for (int i = 0; i < bmw_options.max_sessions; i++)
	{
		if (sessions[i].db == NULL)
			unused = &sessions[i];
		else if (sessions[i].is_connecting)
			connecting++;
	}
	return connecting < MOST_CONNECTING ? unused : NULL;
}

void
bmw_session_open(BmwRequest *request, BmwCredentials *credentials, const char *address)
{
	BmwSession *session = find_unused();

	if (session == NULL)
	{
		bmw_request_fail(request, MHD_HTTP_SERVICE_UNAVAILABLE, "53300",
						 "too many sessions: try again later");
		return;
	}
	memset(session, 0, sizeof(*session));
	TAILQ_INIT(&session->queue);
	session->fd = -1;
	session->begun_at = time(NULL);
	use(session);
	make_token(session->token);
	make_token(session->csrf);
	snprintf(session->user, sizeof(session->user), "%s", credentials->user);
	snprintf(session->address, sizeof(session->address), "%s", address);
	session->running = request;
	request->session = session;
	bmw_connect_begin(session, credentials);
}

/* The old one ends, not the new one: who forgets to sign out is not kept out until all are idle. */
void
bmw_session_make_way(const BmwSession *session)
{
	BmwSession *longest_unused = NULL;
	int of_user = 0;

	for (BmwSession *other = sessions; other < sessions + bmw_options.max_sessions; other++)
	{
		if (other == session || other->db == NULL || other->is_connecting ||
			strcmp(other->user, session->user) != 0)
			continue;
		of_user++;
		if (longest_unused == NULL || other->used < longest_unused->used)
			longest_unused = other;
	}
	if (of_user >= MOST_OF_USER)
		bmw_session_close(longest_unused, "this user has signed in elsewhere, too often");
}

/* In the same time, whatever the first difference is. */
static bool
is_same(const char *token, const char *given)
{
	unsigned char difference = 0;

	if (strlen(given) != BMW_TOKEN_SIZE - 1)
		return false;
	for (int i = 0; i < BMW_TOKEN_SIZE - 1; i++)
		difference |= (unsigned char) (token[i] ^ given[i]);
	return difference == 0;
}

BmwSession *
bmw_session_find(const char *token)
{
	BmwSession *found = NULL;

	for (int i = 0; i < bmw_options.max_sessions; i++)
		if (sessions[i].db != NULL && !sessions[i].is_connecting &&
			is_same(sessions[i].token, token))
			found = &sessions[i];
	if (found != NULL)
		use(found);
	return found;
}

const char *
bmw_session_why_ended(const char *token)
{
	const char *why = NULL;

	for (int i = 0; i < MOST_ENDED; i++)
		if (is_same(ended[i].token, token))
			why = ended[i].why;
	return why;
}

static void
remember_end(const BmwSession *session, const char *why)
{
	snprintf(ended[ends % MOST_ENDED].token, BMW_TOKEN_SIZE, "%s", session->token);
	ended[ends++ % MOST_ENDED].why = why;
}

bool
bmw_session_is_csrf(const BmwSession *session, const char *token)
{
	return token != NULL && is_same(session->csrf, token);
}

static void
end_request(BmwRequest *request, const char *why)
{
	if (request == NULL)
		return;
	request->session = NULL;
	if (!request->is_streaming)
	{
		bmw_request_fail(request, MHD_HTTP_SERVICE_UNAVAILABLE, "08006", why);
		return;
	}
	request->is_broken = true;
	bmw_request_flush(request);
}

void
bmw_session_close(BmwSession *session, const char *why)
{
	BmwRequest *request;

	while ((request = TAILQ_FIRST(&session->queue)) != NULL)
	{
		TAILQ_REMOVE(&session->queue, request, link);
		request->is_queued = false;
		if (request != session->stream)
			end_request(request, why);
	}
	if (session->running != session->stream)
		end_request(session->running, why);
	end_request(session->stream, why);
	if (!session->is_connecting)
		remember_end(session, why);
	PQfinish(session->db);
	explicit_bzero(session, sizeof(*session));
}

void
bmw_session_enqueue(BmwSession *session, BmwRequest *request)
{
	if (session->queued >= MOST_QUEUED)
	{
		bmw_request_fail(request, MHD_HTTP_TOO_MANY_REQUESTS, "53400",
						 "too many requests of this session at once");
		return;
	}
	request->session = session;
	request->is_queued = true;
	session->queued++;
	TAILQ_INSERT_TAIL(&session->queue, request, link);
	bmw_database_next(session);
}

void
bmw_session_forget(BmwSession *session, BmwRequest *request)
{
	if (request->is_queued)
	{
		TAILQ_REMOVE(&session->queue, request, link);
		session->queued--;
	}
	if (session->stream == request)
		session->stream = NULL;
	if (session->running != request)
		return;
	session->running = NULL;
	if (session->is_connecting)
		bmw_session_close(session, "");
	else if (session->is_busy)
		bmw_database_resume(session);
}

/* A client that has left is noticed when something is written to it. */
static void
ask_again(BmwSession *session, time_t now)
{
	BmwRequest *stream = session->stream;

	if (stream == NULL || stream->is_queued || session->running == stream)
		return;
	if (now - stream->beat_at >= BEAT_S)
	{
		bmw_text_add(&stream->reply, ": beat\n\n");
		stream->beat_at = now;
		bmw_request_flush(stream);
	}
	if (now - session->asked_at < ASK_AGAIN_S || stream->reply.len > 0)
		return;
	session->asked_at = now;
	bmw_session_enqueue(session, stream);
}

/* A question, not what was pressed. */
static void
drop_if_left(BmwSession *session, BmwRequest *request)
{
	if (request->route->is_post || !bmw_request_is_left(request))
		return;
	bmw_session_forget(session, request);
	end_request(request, "the browser has left");
}

static void
drop_who_left(BmwSession *session)
{
	BmwRequest *next;

	for (BmwRequest *request = TAILQ_FIRST(&session->queue); request != NULL; request = next)
	{
		next = TAILQ_NEXT(request, link);
		drop_if_left(session, request);
	}
	if (session->running != NULL)
		drop_if_left(session, session->running);
	if (session->is_busy && session->running == NULL && session->canceler == 0 &&
		(session->step == BMW_STEP_CALL || session->step == BMW_STEP_FETCH))
		bmw_cancel_begin(session);
}

static void
go_on_after_cancel(void)
{
	pid_t ended;

	while ((ended = bmw_cancel_ended()) != 0)
		for (int i = 0; i < bmw_options.max_sessions; i++)
			if (sessions[i].canceler == ended)
			{
				sessions[i].canceler = 0;
				bmw_database_resume(&sessions[i]);
			}
}

static const char *
why_over(const BmwSession *session, time_t now)
{
	if (session->is_unwatched)
		return "the console's system has no room to watch another connection: try again later";
	if (session->is_connecting)
		return now - session->begun_at > CONNECT_S ? "the database does not answer" : NULL;
	if (now - session->begun_at > LONGEST_S)
		return "the session is over: sign in again";
	if (now - session->used_at > IDLE_S && !session->is_busy && session->stream == NULL)
		return "the session was idle for too long: sign in again";
	return NULL;
}

void
bmw_sessions_tick(void)
{
	const time_t now = time(NULL);

	for (int i = 0; i < bmw_options.max_sessions; i++)
	{
		const char *why = sessions[i].db != NULL ? why_over(&sessions[i], now) : NULL;

		if (why != NULL)
			bmw_session_close(&sessions[i], why);
		else if (sessions[i].db != NULL && !sessions[i].is_connecting)
		{
			ask_again(&sessions[i], now);
			drop_who_left(&sessions[i]);
		}
	}
	go_on_after_cancel();
	bmw_failures_tick(now);
}
