/*
 * console/database.h - what goes on over a session's connection to the server.
 *
 * Nothing waits here: each function does what can be done now, and the loop calls again.
 */
#ifndef BMW_CONSOLE_DATABASE_H
#define BMW_CONSOLE_DATABASE_H

#include "console/session.h"

/* Overwrites the password. */
extern void bmw_database_connect(BmwSession *session, BmwCredentials *credentials);
/* The socket can be read or written. */
extern void bmw_database_ready(BmwSession *session);
/* Begins with the next request, unless one runs. */
extern void bmw_database_next(BmwSession *session);
/* Reads on, as what was read has been taken. */
extern void bmw_database_resume(BmwSession *session);
/* Ends the program when the server lets users in whose password is wrong. */
extern void bmw_database_probe(void);

#endif
