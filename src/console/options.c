/*
 * console/options.c - what the program was started with.
 */
#include "console/options.h"

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

BmwOptions bmw_options = {.address = "127.0.0.1", .port = 8088, .max_sessions = 32};

static const char usage[] =
	"usage: bm_webhook_console [OPTION]...\n"
	"       bm_webhook_console listen [OPTION]... --forward-to URL\n"
	"\n"
	"  -d, --dbname NAME         the database (PGDATABASE)\n"
	"  -H, --dbhost HOST         its server: an address or the folder of a socket (PGHOST)\n"
	"  -P, --dbport PORT         (PGPORT)\n"
	"  -l, --listen ADDRESS      127.0.0.1\n"
	"  -p, --port PORT           8088\n"
	"      --public-name NAME    host[:port] that browsers use\n"
	"      --behind-proxy        a proxy before it speaks TLS\n"
	"      --certificate FILE    speak TLS with it\n"
	"      --key FILE            and its private key\n"
	"      --max-sessions N      32; each is a connection to the server\n"
	"      --allow-superuser     let superusers sign in\n";

static const struct option names[] = {{"dbname", required_argument, NULL, 'd'},
									  {"dbhost", required_argument, NULL, 'H'},
									  {"dbport", required_argument, NULL, 'P'},
									  {"listen", required_argument, NULL, 'l'},
									  {"port", required_argument, NULL, 'p'},
									  {"public-name", required_argument, NULL, 'n'},
									  {"behind-proxy", no_argument, NULL, 'b'},
									  {"certificate", required_argument, NULL, 'c'},
									  {"key", required_argument, NULL, 'k'},
									  {"max-sessions", required_argument, NULL, 'm'},
									  {"allow-superuser", no_argument, NULL, 's'},
									  {"help", no_argument, NULL, 'h'},
									  {NULL, 0, NULL, 0}};

static int
number(const char *text, int most)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || value < 1 || value > most)
		errx(2, "\"%s\" is not a number from 1 to %d", text, most);
	return (int) value;
}

static void
set(int name, const char *value)
{
	switch (name)
	{
		case 'd':
			bmw_options.db_name = value;
			return;
		case 'H':
			bmw_options.db_host = value;
			return;
		case 'P':
			bmw_options.db_port = value;
			return;
		case 'l':
			bmw_options.address = value;
			return;
		case 'p':
			bmw_options.port = (uint16_t) number(value, UINT16_MAX);
			return;
		case 'n':
			bmw_options.public_name = value;
			return;
		case 'b':
			bmw_options.is_behind_proxy = true;
			return;
		case 'c':
			bmw_options.certificate = value;
			return;
		case 'k':
			bmw_options.key = value;
			return;
		case 'm':
			bmw_options.max_sessions = number(value, 1000);
			return;
		case 's':
			bmw_options.allows_superusers = true;
			return;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			fputs(usage, stderr);
			exit(2);
	}
}

static bool
is_local(const char *address)
{
	return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

void
bmw_options_parse(int argc, char **argv)
{
	int name;

	while ((name = getopt_long(argc, argv, "d:H:P:l:p:h", names, NULL)) != -1)
		set(name, optarg);
	if (optind < argc)
		errx(2, "unexpected argument \"%s\"", argv[optind]);
	if ((bmw_options.certificate == NULL) != (bmw_options.key == NULL))
		errx(2, "--certificate and --key belong together");
	if (!is_local(bmw_options.address) && !bmw_options_is_secure())
		errx(
			2,
			"passwords would cross the network in the clear at %s: give --certificate and --key, or "
			"--behind-proxy if one before it speaks TLS",
			bmw_options.address);
	if (bmw_options_is_secure() && bmw_options.public_name == NULL)
		errx(2, "--public-name is needed: the name by which browsers come");
}

bool
bmw_options_is_secure(void)
{
	return bmw_options.certificate != NULL || bmw_options.is_behind_proxy;
}

bool
bmw_options_is_host(const char *host)
{
	static const char *const local[] = {"127.0.0.1", "localhost", "[::1]"};
	char with_port[64];

	if (bmw_options.public_name != NULL)
		return strcasecmp(host, bmw_options.public_name) == 0;
	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++)
	{
		snprintf(with_port, sizeof(with_port), "%s:%u", local[i], (unsigned) bmw_options.port);
		if (strcasecmp(host, with_port) == 0)
			return true;
	}
	return false;
}
