/*
 * console/cancel.c - what the server does for nobody is canceled.
 *
 * PQcancel() waits for the server, which the loop must not: a child of ours does.
 */
#define _GNU_SOURCE /* close_range() */

#include "console/cancel.h"

#include <sys/wait.h>
#include <unistd.h>

#define LONGEST_S 10

/* It keeps nothing open that is ours. */
static void
cancel(PGcancel *what)
{
	char error[256];

	close_range(STDERR_FILENO + 1, ~0U, 0);
	alarm(LONGEST_S);
	PQcancel(what, error, sizeof(error));
	_exit(0);
}

void
bmw_cancel_begin(BmwSession *session)
{
	PGcancel *what = PQgetCancel(session->db);
	const pid_t child = what != NULL ? fork() : -1;

	if (child == 0)
		cancel(what);
	if (child > 0)
		session->canceler = child;
	PQfreeCancel(what);
}

pid_t
bmw_cancel_ended(void)
{
	const pid_t child = waitpid(-1, NULL, WNOHANG);

	return child > 0 ? child : 0;
}
