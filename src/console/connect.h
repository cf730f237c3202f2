/*
 * console/connect.h - signing in, a step at a time.
 */
#ifndef BMW_CONSOLE_CONNECT_H
#define BMW_CONSOLE_CONNECT_H

#include "console/session.h"

/* The first step; overwrites the password. */
extern void bmw_connect_begin(BmwSession *session, BmwCredentials *credentials);
/* The next step; the last answers the request, and closes the session if it was refused. */
extern void bmw_connect_poll(BmwSession *session);
/* Ends the program when the server lets users in whose password is wrong. */
extern void bmw_connect_probe(void);

#endif
