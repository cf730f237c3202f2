/*
 * console/credentials.h - what a sign-in sends: {"user": "...", "password": "..."}.
 *
 * The only JSON that is read here; there is no connection yet that could read it.
 */
#ifndef BMW_CONSOLE_CREDENTIALS_H
#define BMW_CONSOLE_CREDENTIALS_H

#include <stdbool.h>
#include <stddef.h>

#define BMW_USER_SIZE 64 /* as long as names of roles are */
#define BMW_PASSWORD_SIZE 1024

typedef struct BmwCredentials
{
	char user[BMW_USER_SIZE];
	char password[BMW_PASSWORD_SIZE];
} BmwCredentials;

/* False: it is no such object, has other members, or one is too long or absent; *out is then empty. */
extern bool bmw_credentials_parse(const char *json, size_t len, BmwCredentials *out);

#endif
