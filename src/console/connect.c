/*
 * console/connect.c - signing in: PostgreSQL decides, and says by its SQLSTATE why not.
 */
#include "console/connect.h"

#include <ctype.h>
#include <err.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "console/failure.h"
#include "console/loop.h"
#include "console/options.h"

static const char settings[] =
	"-c statement_timeout=10s -c lock_timeout=2s -c idle_in_transaction_session_timeout=10s "
	"-c search_path=pg_catalog,pg_temp -c jit=off";

static PGconn *
begin(const char *user, const char *password)
{
	const char *names[] = {
		"host",	   "port", "dbname", "user", "password", "application_name", "client_encoding",
		"options", NULL};
	const char *values[] = {bmw_options.db_host,
							bmw_options.db_port,
							bmw_options.db_name,
							user,
							password,
							"bm_webhook_console",
							"UTF8",
							settings,
							NULL};

	/* Not expanded: a name is never a connection string. */
	return PQconnectStartParams(names, values, 0);
}

static void
ignore_notice(void *arg, const PGresult *notice)
{
	(void) arg;
	(void) notice;
}

void
bmw_connect_begin(BmwSession *session, BmwCredentials *credentials)
{
	bmw_failure_count(session->user, session->address);
	session->db = begin(credentials->user, credentials->password);
	explicit_bzero(credentials, sizeof(*credentials));
	if (session->db == NULL)
		errx(1, "out of memory");
	PQsetErrorVerbosity(session->db, PQERRORS_VERBOSE);
	PQsetNoticeReceiver(session->db, ignore_notice, NULL);
	session->is_connecting = true;
	bmw_request_park(session->running);
	if (PQstatus(session->db) == CONNECTION_BAD)
		bmw_connect_poll(session);
	else
		bmw_loop_watch(session, EPOLLOUT);
}

/* "FATAL:  28P01: ...", in whatever language; empty when it was not the server that spoke. The first: names that a user
 * has given come later. */
static void
read_sqlstate(const PGconn *db, char sqlstate[6])
{
	const char *message = PQerrorMessage(db);

	sqlstate[0] = '\0';
	for (const char *at = strstr(message, ":  "); at != NULL; at = strstr(at + 1, ":  "))
	{
		size_t len = 0;

		while (isupper((unsigned char) at[3 + len]) || isdigit((unsigned char) at[3 + len]))
			len++;
		if (len != 5)
			continue;
		snprintf(sqlstate, 6, "%.5s", at + 3);
		return;
	}
}

/* One SQLSTATE for three limits, which the function tells apart that the server says it was in. */
static const char *
whose_limit(const PGconn *db)
{
	const char *message = PQerrorMessage(db);

	if (strstr(message, ":  InitializeSessionUserId, ") != NULL)
		return "this user has as many connections as its role may have: end another, or try again later";
	if (strstr(message, ":  CheckMyDatabase, ") != NULL)
		return "the database has as many connections as it may have: try again later";
	return "the server has no connection left: try again later";
}

static void
refuse(BmwSession *session, unsigned status, const char *sqlstate, const char *message)
{
	BmwRequest *request = session->running;

	session->running = NULL;
	request->session = NULL;
	if (strcmp(sqlstate, "28P01") != 0)
		bmw_failure_take_back(session->user, session->address);
	warnx("sign-in of \"%s\" from %s refused: %s", session->user, session->address, message);
	bmw_session_close(session, "");
	bmw_request_fail(request, status, sqlstate, message);
}

/* The user learns that it failed; whether there is such a user is the server's log's. */
static void
refuse_as_server(BmwSession *session)
{
	char sqlstate[6];

	read_sqlstate(session->db, sqlstate);
	if (sqlstate[0] == '\0')
	{
		const char *why = PQerrorMessage(session->db);

		warnx("no connection to the database: %.*s", (int) strcspn(why, "\n"), why);
		refuse(session, MHD_HTTP_SERVICE_UNAVAILABLE, "08001", "the database does not answer");
	}
	else if (strncmp(sqlstate, "28", 2) == 0)
		refuse(session, MHD_HTTP_UNAUTHORIZED, "28P01", "wrong user or password");
	else if (strcmp(sqlstate, "53300") == 0)
		refuse(session, MHD_HTTP_SERVICE_UNAVAILABLE, sqlstate, whose_limit(session->db));
	else if (strncmp(sqlstate, "57P", 3) == 0)
		refuse(session, MHD_HTTP_SERVICE_UNAVAILABLE, sqlstate,
			   "the database is starting or stopping: try again soon");
	else if (strcmp(sqlstate, "42501") == 0)
		refuse(session, MHD_HTTP_FORBIDDEN, sqlstate, "this user may not connect to the database");
	else
		refuse(session, MHD_HTTP_SERVICE_UNAVAILABLE, sqlstate, "the database refuses connections");
}

static void
welcome(BmwSession *session)
{
	BmwRequest *request = session->running;

	session->running = NULL;
	session->is_connecting = false;
	bmw_failure_take_back(session->user, session->address);
	bmw_session_make_way(session);
	PQsetnonblocking(session->db, 1);
	PQsetErrorVerbosity(session->db, PQERRORS_DEFAULT);
	bmw_loop_watch(session, EPOLLIN);
	bmw_text_add(&request->reply, "{\"csrf\":");
	bmw_text_add_json(&request->reply, session->csrf);
	bmw_text_add(&request->reply, ",\"user\":");
	bmw_text_add_json(&request->reply, session->user);
	bmw_text_add(&request->reply, "}");
	request->has_signed_in = true;
	warnx("\"%s\" has signed in from %s", session->user, session->address);
	bmw_request_finish(request, MHD_HTTP_OK);
}

static void
judge(BmwSession *session)
{
	const char *superuser = PQparameterStatus(session->db, "is_superuser");

	if (!PQconnectionUsedPassword(session->db))
		refuse(session, MHD_HTTP_FORBIDDEN, "28000",
			   "the server did not ask for the password: its pg_hba.conf must not trust this user");
	else if (!bmw_options.allows_superusers && superuser != NULL && strcmp(superuser, "on") == 0)
		refuse(session, MHD_HTTP_FORBIDDEN, "28000",
			   "superusers do not sign in here: use a role of your own, or --allow-superuser");
	else
		welcome(session);
}

void
bmw_connect_poll(BmwSession *session)
{
	switch (PQconnectPoll(session->db))
	{
		case PGRES_POLLING_READING:
			bmw_loop_watch(session, EPOLLIN);
			return;
		case PGRES_POLLING_WRITING:
			bmw_loop_watch(session, EPOLLOUT);
			return;
		case PGRES_POLLING_OK:
			judge(session);
			return;
		case PGRES_POLLING_FAILED:
		case PGRES_POLLING_ACTIVE:
			refuse_as_server(session);
			return;
	}
}

void
bmw_connect_probe(void)
{
	const char *names[] = {"host", "port", "dbname", "user", "password", "connect_timeout", NULL};
	const char *values[] = {bmw_options.db_host,
							bmw_options.db_port,
							bmw_options.db_name,
							"postgres",
							"not the password of anybody",
							"5",
							NULL};
	PGconn *db = PQconnectdbParams(names, values, 0);
	const bool is_open = PQstatus(db) == CONNECTION_OK;

	PQfinish(db);
	if (is_open)
		errx(
			1,
			"the server lets \"postgres\" in with a wrong password: use scram-sha-256 in pg_hba.conf, "
			"not trust or peer");
}
