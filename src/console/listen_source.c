/*
 * console/listen_source.c - where events come from: the log, as the login may see it.
 */
#include "console/listen_source.h"

#include <err.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "console/wait.h"

#define FIRST_PAUSE_MS 500
#define LONGEST_PAUSE_MS 10000

static const char settings[] =
	"-c default_transaction_read_only=on -c statement_timeout=30s -c lock_timeout=2s "
	"-c search_path=pg_catalog,pg_temp -c jit=off";
static const char next_rows[] =
	"SELECT cursor, id, type, application, channel, message_id, occurred_us, is_thin, data "
	"FROM bm_webhook.console_listen($2::pg_catalog.jsonb "
	"|| pg_catalog.jsonb_build_object('cursor', $1::pg_catalog.text))";

/* Like psql: what is not given comes from PG* variables, a service, or the file of passwords. */
static PGconn *
begin(const BmwSource *source)
{
	const BmwListenOptions *options = source->options;
	const char *names[] = {"dbname",		   "host",	  "port", "user", "password",
						   "application_name", "options", NULL};
	const char *values[] = {options->db_name, options->db_host,		options->db_port, options->user,
							source->password, "bm_webhook_console", settings,		  NULL};

	return PQconnectStartParams(names, values, 1);
}

static void
ignore_notice(void *arg, const PGresult *notice)
{
	(void) arg;
	(void) notice;
}

/* False: it is not there, or it refuses. */
static bool
connect_once(BmwSource *source)
{
	PostgresPollingStatusType next = PGRES_POLLING_WRITING;

	PQfinish(source->db);
	source->db = begin(source);
	if (source->db == NULL)
		errx(1, "out of memory");
	PQsetNoticeReceiver(source->db, ignore_notice, NULL);
	while (PQstatus(source->db) != CONNECTION_BAD && !bmw_wait_is_over() &&
		   next != PGRES_POLLING_OK && next != PGRES_POLLING_FAILED)
	{
		bmw_wait_for(PQsocket(source->db), next == PGRES_POLLING_READING ? POLLIN : POLLOUT, -1);
		next = PQconnectPoll(source->db);
	}
	return next == PGRES_POLLING_OK;
}

static bool
ask_for_password(BmwSource *source)
{
	if (source->password != NULL || !PQconnectionNeedsPassword(source->db) || !isatty(0))
		return false;
	source->password = strdup(getpass("Password: "));
	return source->password != NULL;
}

/* Its sentence ends with a new line. */
static void
refuse_connection(const char *message)
{
	errx(1, "%.*s", (int) strcspn(message, "\n"), message);
}

void
bmw_source_open(BmwSource *source, const BmwListenOptions *options)
{
	source->options = options;
	while (!connect_once(source) && !bmw_wait_is_over())
		if (!ask_for_password(source))
			refuse_connection(PQerrorMessage(source->db));
}

/* NULL: the connection is lost. */
static PGresult *
ask(BmwSource *source)
{
	const char *values[] = {source->cursor.data, source->options->filter.data};
	PGresult *rows, *after;

	if (!PQsendQueryParams(source->db, next_rows, 2, NULL, values, NULL, NULL, 0))
		return NULL;
	while (PQisBusy(source->db) && !bmw_wait_is_over())
	{
		bmw_wait_for(PQsocket(source->db), POLLIN, -1);
		if (!PQconsumeInput(source->db))
			return NULL;
	}
	if (bmw_wait_is_over())
		return NULL;
	rows = PQgetResult(source->db);
	while ((after = PQgetResult(source->db)) != NULL)
		PQclear(after);
	return rows;
}

/* May the same succeed later? */
static bool
is_passing(const PGresult *error)
{
	static const char *const begins[] = {"08", "40", "53", "55P03", "57", "58"};
	const char *sqlstate = PQresultErrorField(error, PG_DIAG_SQLSTATE);

	for (size_t i = 0; sqlstate != NULL && i < sizeof(begins) / sizeof(begins[0]); i++)
		if (strncmp(sqlstate, begins[i], strlen(begins[i])) == 0)
			return true;
	return sqlstate == NULL;
}

static void
tell_error(const PGresult *error)
{
	const char *hint = PQresultErrorField(error, PG_DIAG_MESSAGE_HINT);
	const char *message = PQresultErrorField(error, PG_DIAG_MESSAGE_PRIMARY);

	warnx("%s%s%s", message != NULL ? message : "the database gives no answer",
		  hint != NULL ? ". " : "", hint != NULL ? hint : "");
	if (!is_passing(error))
		exit(1);
}

/* The password was right once: what refuses now is a server that is away or starting. */
static void
connect_again(BmwSource *source)
{
	int pause_ms = FIRST_PAUSE_MS;

	if (PQstatus(source->db) == CONNECTION_OK)
		return;
	warnx("the database is away; trying again");
	while (!connect_once(source) && !bmw_wait_is_over())
	{
		bmw_wait_for(-1, 0, pause_ms);
		pause_ms = pause_ms < LONGEST_PAUSE_MS / 2 ? 2 * pause_ms : LONGEST_PAUSE_MS;
	}
	if (!bmw_wait_is_over())
		warnx("the database is back");
}

PGresult *
bmw_source_next(BmwSource *source)
{
	while (!bmw_wait_is_over())
	{
		PGresult *rows = ask(source);

		if (rows != NULL && PQresultStatus(rows) == PGRES_TUPLES_OK)
			return rows;
		if (rows != NULL)
			tell_error(rows);
		PQclear(rows);
		bmw_wait_for(-1, 0, FIRST_PAUSE_MS);
		connect_again(source);
	}
	return NULL;
}

void
bmw_source_advance(BmwSource *source, const PGresult *rows, int row)
{
	bmw_text_free(&source->cursor);
	bmw_text_add(&source->cursor, PQgetvalue(rows, row, BMW_COLUMN_CURSOR));
}

void
bmw_source_close(BmwSource *source)
{
	PQfinish(source->db);
	if (source->password != NULL)
		explicit_bzero(source->password, strlen(source->password));
	free(source->password);
	bmw_text_free(&source->cursor);
}
