/*
 * console/listen_options.c - what "bm_webhook_console listen" was started with.
 */
#include "console/listen_options.h"

#include <err.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/url.h"
#include "core/url_read.h"

static const char usage[] =
	"usage: bm_webhook_console listen [OPTION]... --forward-to URL\n"
	"\n"
	"  -f, --forward-to URL      where on this machine your receiver listens\n"
	"      --allow-remote        or on another one\n"
	"  -e, --event-type PATTERN  only events of this type, such as order.*; may be repeated\n"
	"  -a, --application NAME    only events of this application\n"
	"  -i, --endpoint ID         only what this endpoint gets, as it gets it\n"
	"  -d, --dbname NAME         the database (PGDATABASE), or a connection string\n"
	"  -H, --dbhost HOST         its server (PGHOST)\n"
	"  -P, --dbport PORT         (PGPORT)\n"
	"  -U, --username NAME       (PGUSER)\n";

static const struct option names[] = {{"forward-to", required_argument, NULL, 'f'},
									  {"allow-remote", no_argument, NULL, 'r'},
									  {"event-type", required_argument, NULL, 'e'},
									  {"application", required_argument, NULL, 'a'},
									  {"endpoint", required_argument, NULL, 'i'},
									  {"dbname", required_argument, NULL, 'd'},
									  {"dbhost", required_argument, NULL, 'H'},
									  {"dbport", required_argument, NULL, 'P'},
									  {"username", required_argument, NULL, 'U'},
									  {"help", no_argument, NULL, 'h'},
									  {NULL, 0, NULL, 0}};

/* What is wanted, before it becomes JSON. */
typedef struct Wanted
{
	BmwText event_types; /* the members of an array */
	const char *application, *endpoint;
} Wanted;

static void
add_event_type(Wanted *wanted, const char *pattern)
{
	if (wanted->event_types.len > 0)
		bmw_text_add(&wanted->event_types, ",");
	bmw_text_add_json(&wanted->event_types, pattern);
}

static void
set(int name, char *value, BmwListenOptions *options, Wanted *wanted)
{
	switch (name)
	{
		case 'f':
			options->forward_to = value;
			return;
		case 'r':
			options->allows_remote = true;
			return;
		case 'e':
			add_event_type(wanted, value);
			return;
		case 'a':
			wanted->application = value;
			return;
		case 'i':
			wanted->endpoint = value;
			return;
		case 'd':
			options->db_name = value;
			return;
		case 'H':
			options->db_host = value;
			return;
		case 'P':
			options->db_port = value;
			return;
		case 'U':
			options->user = value;
			return;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			fputs(usage, stderr);
			exit(2);
	}
}

static void
write_filter(BmwListenOptions *options, const Wanted *wanted)
{
	BmwText *filter = &options->filter;

	bmw_text_add(filter, "{\"event_types\":[");
	bmw_text_append(filter, wanted->event_types.data, wanted->event_types.len);
	bmw_text_add(filter, "],\"application\":");
	bmw_text_add_json(filter, wanted->application);
	bmw_text_add(filter, ",\"endpoint\":");
	bmw_text_add_json(filter, wanted->endpoint);
	bmw_text_add(filter, "}");
}

static bool
is_here(const char *host)
{
	static const char name[] = ".localhost";
	const size_t len = strlen(host);

	return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
		   strcmp(host, name + 1) == 0 ||
		   (len >= strlen(name) && strcmp(host + len - strlen(name), name) == 0);
}

static void
check_target(const BmwListenOptions *options)
{
	char url[BMW_URL_MAX_BYTES + 1];
	BmwUrlReading reading;
	BmwStatus status;

	if (options->forward_to == NULL)
		errx(2, "--forward-to is needed: the URL of your receiver, such as "
				"http://localhost:3000/webhooks");
	status = bmw_url_read(options->forward_to, strlen(options->forward_to), false, url, &reading);
	if (status != BMW_OK)
		errx(2, "\"%s\" cannot be forwarded to: %s", options->forward_to, bmw_status_text(status));
	if (!options->allows_remote && !is_here(reading.host))
		errx(2, "\"%s\" is not this machine: events are sent there with --allow-remote only",
			 reading.host);
}

void
bmw_listen_options_parse(int argc, char **argv, BmwListenOptions *options)
{
	Wanted wanted = {0};
	int name;

	while ((name = getopt_long(argc, argv, "f:e:a:i:d:H:P:U:h", names, NULL)) != -1)
		set(name, optarg, options, &wanted);
	if (optind < argc)
		errx(2, "unexpected argument \"%s\"", argv[optind]);
	check_target(options);
	write_filter(options, &wanted);
	bmw_text_free(&wanted.event_types);
}
