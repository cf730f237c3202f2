/*
 * console/session.h - a session is a connection to the database with the login of its user.
 *
 * What it may see and do is decided there. One statement runs at a time, other requests of the
 * session wait in its queue. The connection ends with the session; no password is kept.
 */
#ifndef BMW_CONSOLE_SESSION_H
#define BMW_CONSOLE_SESSION_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <time.h>

#include "console/credentials.h"
#include "console/request.h"

#define BMW_TOKEN_SIZE 65 /* 32 random bytes in hexadecimal digits + final 0 */

typedef enum BmwStep
{
	BMW_STEP_BEGIN,
	BMW_STEP_CALL,
	BMW_STEP_FETCH, /* of an export, as long as there are lines */
	BMW_STEP_COMMIT
} BmwStep;

typedef struct BmwSession
{
	char token[BMW_TOKEN_SIZE]; /* of its cookie */
	char csrf[BMW_TOKEN_SIZE];	/* of the header that a page of another site cannot send */
	char user[BMW_USER_SIZE];
	char address[64];
	PGconn *db; /* NULL: unused */
	int fd;
	bool is_connecting;
	bool is_busy;
	bool is_unwatched; /* what the server says would not be noticed: it is to end */
	BmwStep step;
	int fetched;		 /* so many lines in this step */
	BmwRequest *running; /* NULL while is_busy: its client has left */
	pid_t canceler;		 /* > 0: the process that asks the server to cancel what runs */
	BmwRequest *stream;	 /* the events that it follows; one at a time */
	TAILQ_HEAD(BmwRequestQueue, BmwRequest) queue;
	int queued;
	time_t begun_at, used_at, asked_at;
	uint64_t used; /* which of all uses of sessions was its last */
} BmwSession;

extern void bmw_sessions_create(void);
/* Begins to connect, and answers the request when that is over. */
extern void bmw_session_open(BmwRequest *request, BmwCredentials *credentials, const char *address);
/* Its user has shown the password: of his other sessions the one that was not used for longest may end. */
extern void bmw_session_make_way(const BmwSession *session);
/* NULL: there is none of this token. */
extern BmwSession *bmw_session_find(const char *token);
/* Why the session of this token has ended; NULL: it was none, or that is long ago. */
extern const char *bmw_session_why_ended(const char *token);
/* Requests of it that are not answered fail with this sentence, and so does who comes back: it must last. */
extern void bmw_session_close(BmwSession *session, const char *why);
/* The request waits for its turn. */
extern void bmw_session_enqueue(BmwSession *session, BmwRequest *request);
/* The request is no longer there. */
extern void bmw_session_forget(BmwSession *session, BmwRequest *request);
/* Once a second: what has been idle for too long ends, what runs for nobody is canceled, and streams ask again. */
extern void bmw_sessions_tick(void);
extern bool bmw_session_is_csrf(const BmwSession *session, const char *token);

#endif
