/*
 * console/visitors.c - who is connected: whoever asks nothing makes way when many do.
 *
 * The library takes so many connections, and ends one that is silent. That leaves those who send a byte now and
 * then, of a request that never ends, or read an answer as slowly. So of the connections that no session
 * works for, the one that has been so for longest is closed when there are too many of them.
 */
#include "console/visitors.h"

#include <err.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/socket.h>

#define MOST_WAITING 96 /* fewer than one address may have */

typedef struct Visitor
{
	TAILQ_ENTRY(Visitor) link; /* while it waits */
	int fd;
	bool is_waiting;
} Visitor;

static TAILQ_HEAD(BmwVisitorQueue, Visitor) waiting = TAILQ_HEAD_INITIALIZER(waiting);
static int count;

static void
leave(Visitor *visitor)
{
	if (!visitor->is_waiting)
		return;
	TAILQ_REMOVE(&waiting, visitor, link);
	visitor->is_waiting = false;
	count--;
}

/* The library reads the end of it, and closes it. */
static void
close_oldest(void)
{
	Visitor *oldest = TAILQ_FIRST(&waiting);

	shutdown(oldest->fd, SHUT_RDWR);
	leave(oldest);
}

static void
enter(Visitor *visitor)
{
	leave(visitor);
	TAILQ_INSERT_TAIL(&waiting, visitor, link);
	visitor->is_waiting = true;
	if (++count > MOST_WAITING)
		close_oldest();
}

void
bmw_visitors_notify(void *arg, struct MHD_Connection *http, void **self,
					enum MHD_ConnectionNotificationCode what)
{
	Visitor *visitor = *self;

	(void) arg;
	if (what == MHD_CONNECTION_NOTIFY_STARTED)
	{
		*self = visitor = calloc(1, sizeof(*visitor));
		if (visitor == NULL)
			errx(1, "out of memory");
		visitor->fd = MHD_get_connection_info(http, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
		enter(visitor);
		return;
	}
	leave(visitor);
	free(visitor);
	*self = NULL;
}

static Visitor *
visitor_of(struct MHD_Connection *http)
{
	return MHD_get_connection_info(http, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

void
bmw_visitors_serve(struct MHD_Connection *http)
{
	leave(visitor_of(http));
}

void
bmw_visitors_wait(struct MHD_Connection *http)
{
	enter(visitor_of(http));
}
