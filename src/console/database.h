/*
 * console/database.h - what goes on over a session's connection to the server.
 *
 * Nothing waits here: each function does what can be done now, and the loop calls again.
 */
#ifndef BMW_CONSOLE_DATABASE_H
#define BMW_CONSOLE_DATABASE_H

#include "console/session.h"

/* The socket can be read or written. */
extern void bmw_database_ready(BmwSession *session);
/* Begins with the next request, unless one runs. */
extern void bmw_database_next(BmwSession *session);
/* Reads on, as what was read has been taken. */
extern void bmw_database_resume(BmwSession *session);

#endif
