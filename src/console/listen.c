/*
 * console/listen.c - "bm_webhook_console listen": events of a shared database on a developer's machine.
 *
 * Signs in like psql, reads what this login may see, and sends it on, one event after the other and
 * each once: nothing of it is written into the log, and no secret of an endpoint is used.
 */
#include "console/listen.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "console/listen_options.h"
#include "console/listen_source.h"
#include "console/listen_target.h"
#include "console/wait.h"
#include "core/event.h"

#define ASK_AGAIN_MS 1000

typedef struct Listen
{
	BmwListenOptions options;
	BmwSource source;
	BmwTarget target;
	int accepted, refused, unanswered;
} Listen;

static void
introduce(const Listen *listen)
{
	char secret[BMW_SECRET_TEXT_SIZE];
	const PGconn *db = listen->source.db;

	bmw_target_secret(&listen->target, secret);
	printf("listening as \"%s\" to database \"%s\", forwarding to %s\n"
		   "signing with %s\n",
		   PQuser(db), PQdb(db), listen->options.forward_to, secret);
	explicit_bzero(secret, sizeof(secret));
}

static const char *
value(const PGresult *rows, int row, BmwColumn column)
{
	return PQgetisnull(rows, row, column) ? NULL : PQgetvalue(rows, row, column);
}

/* 32 digits, and what is between them. */
static BmwUuid
read_uuid(const char *text)
{
	BmwUuid id = {0};
	unsigned byte;

	for (int i = 0; i < 16 && sscanf(text, "%2x", &byte) == 1; i++)
	{
		id.bytes[i] = (uint8_t) byte;
		text += text[2] == '-' ? 3 : 2;
	}
	return id;
}

static BmwEvent *
read_event(const PGresult *rows, int row)
{
	const char *occurred_us = value(rows, row, BMW_COLUMN_OCCURRED_US);
	const BmwEventSource source = {.id = read_uuid(value(rows, row, BMW_COLUMN_ID)),
								   .type = value(rows, row, BMW_COLUMN_TYPE),
								   .application = value(rows, row, BMW_COLUMN_APPLICATION),
								   .channel = value(rows, row, BMW_COLUMN_CHANNEL),
								   .message_id = value(rows, row, BMW_COLUMN_MESSAGE_ID),
								   .timestamp_us = strtoll(occurred_us, NULL, 10),
								   .data = value(rows, row, BMW_COLUMN_DATA),
								   .data_len = (size_t) PQgetlength(rows, row, BMW_COLUMN_DATA)};
	BmwEvent *event = bmw_event_create(&source);

	if (event == NULL)
		errx(1, "out of memory");
	return event;
}

static void
tell(Listen *listen, const char *type, const char *id, const BmwHttpResult *result)
{
	const time_t now = time(NULL);
	char clock[16], status[BMW_HTTP_ERROR_SIZE];

	strftime(clock, sizeof(clock), "%H:%M:%S", localtime(&now));
	if (result->http_status == 0)
	{
		snprintf(status, sizeof(status), "%s", result->error);
		listen->unanswered++;
	}
	else
	{
		snprintf(status, sizeof(status), "%d", result->http_status);
		listen->accepted += result->http_status / 100 == 2;
		listen->refused += result->http_status / 100 != 2;
	}
	printf("%s  %-24s %s  %s  %lld ms\n", clock, type, id, status,
		   (long long) result->times.total_us / 1000);
}

static void
forward(Listen *listen, const PGresult *rows, int row)
{
	BmwEvent *event = read_event(rows, row);
	const bool is_thin = strcmp(PQgetvalue(rows, row, BMW_COLUMN_IS_THIN), "t") == 0;
	const BmwHttpResult *result = bmw_target_send(&listen->target, event, is_thin);

	if (result != NULL)
		tell(listen, PQgetvalue(rows, row, BMW_COLUMN_TYPE), event->id_text, result);
	bmw_event_release(event);
}

/* True: the page was not full, so there is nothing more by now. */
static bool
forward_page(Listen *listen, const PGresult *rows)
{
	bool is_last = false;

	for (int row = 0; row < PQntuples(rows) && !bmw_wait_is_over(); row++)
	{
		is_last = PQgetisnull(rows, row, BMW_COLUMN_ID);
		if (!is_last)
			forward(listen, rows, row);
		bmw_source_advance(&listen->source, rows, row);
	}
	return is_last;
}

/* The first page has no event: only the cursor from which on they are followed. */
static void
follow(Listen *listen)
{
	PGresult *rows = bmw_source_next(&listen->source);

	if (rows != NULL)
	{
		(void) forward_page(listen, rows);
		PQclear(rows);
		introduce(listen);
	}
	while ((rows = bmw_source_next(&listen->source)) != NULL)
	{
		const bool is_last = forward_page(listen, rows);

		PQclear(rows);
		if (is_last)
			bmw_wait_for(-1, 0, ASK_AGAIN_MS);
	}
}

void
bmw_listen_run(int argc, char **argv)
{
	Listen listen = {0};

	bmw_listen_options_parse(argc, argv, &listen.options);
	setvbuf(stdout, NULL, _IOLBF, 0);
	bmw_wait_begin();
	bmw_source_open(&listen.source, &listen.options);
	bmw_target_open(&listen.target, listen.options.forward_to, listen.options.allows_remote);
	follow(&listen);
	printf("forwarded %d events: %d accepted (2xx), %d refused, %d not answered\n",
		   listen.accepted + listen.refused + listen.unanswered, listen.accepted, listen.refused,
		   listen.unanswered);
	bmw_source_close(&listen.source);
	bmw_target_close(&listen.target);
	bmw_text_free(&listen.options.filter);
}
