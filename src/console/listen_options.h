/*
 * console/listen_options.h - what "bm_webhook_console listen" was started with.
 */
#ifndef BMW_CONSOLE_LISTEN_OPTIONS_H
#define BMW_CONSOLE_LISTEN_OPTIONS_H

#include <stdbool.h>

#include "console/text.h"

typedef struct BmwListenOptions
{
	const char *db_host, *db_port, *db_name, *user; /* NULL: libpq's */
	const char *forward_to;
	bool allows_remote;
	BmwText filter; /* the argument of the SQL function that is asked */
} BmwListenOptions;

/* Ends the program with a sentence when they are wrong, or would send events elsewhere unasked. */
extern void bmw_listen_options_parse(int argc, char **argv, BmwListenOptions *options);

#endif
