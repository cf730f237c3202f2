/*
 * console/options.h - what the program was started with.
 */
#ifndef BMW_CONSOLE_OPTIONS_H
#define BMW_CONSOLE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct BmwOptions
{
	const char *address; /* that is listened on */
	uint16_t port;
	const char *public_name; /* host[:port] that browsers use, besides those of this machine */
	const char *certificate, *key; /* files; NULL without TLS */
	const char *db_host, *db_port, *db_name;
	int max_sessions;
	bool is_behind_proxy;
	bool allows_superusers;
} BmwOptions;

extern BmwOptions bmw_options;

/* Ends the program with a sentence when they are wrong, or would send passwords in the clear. */
extern void bmw_options_parse(int argc, char **argv);
/* Do browsers come by HTTPS? */
extern bool bmw_options_is_secure(void);
/* May a request name this host? Else a page of another site could reach us under its own name. */
extern bool bmw_options_is_host(const char *host);

#endif
