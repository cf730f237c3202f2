/*
 * console/loop.c - the one loop: sockets of browsers, sockets of the database, a clock.
 *
 * The HTTP library has an epoll set of its own, which is waited for like a socket.
 */
#include "console/loop.h"

#include <err.h>
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "console/database.h"

static int epoll = -1;
static int timer = -1;
static int signals = -1;

static bool
add(int fd, uint32_t events, void *what)
{
	struct epoll_event event = {.events = events, .data.ptr = what};

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

void
bmw_loop_create(void)
{
	const struct itimerspec each_second = {{1, 0}, {1, 0}};
	sigset_t stop;

	sigemptyset(&stop);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGTERM);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	signal(SIGPIPE, SIG_IGN);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	signals = signalfd(-1, &stop, SFD_CLOEXEC);
	if (epoll < 0 || timer < 0 || signals < 0 ||
		timerfd_settime(timer, 0, &each_second, NULL) != 0 || !add(timer, EPOLLIN, &timer) ||
		!add(signals, EPOLLIN, &signals))
		err(1, "the loop cannot begin");
}

void
bmw_loop_watch(BmwSession *session, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = session};
	const int fd = PQsocket(session->db);

	if (fd < 0)
		return;
	/* libpq closes one and opens another while it connects, often of the same number. */
	if (epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) != 0 && errno == ENOENT &&
		!add(fd, events, session))
	{
		warn("a connection cannot be watched");
		session->is_unwatched = true;
	}
	session->fd = fd;
}

static void
serve(const struct epoll_event *event, struct MHD_Daemon *http)
{
	uint64_t ticks;

	if (event->data.ptr == &timer)
	{
		if (read(timer, &ticks, sizeof(ticks)) == (ssize_t) sizeof(ticks))
			bmw_sessions_tick();
	}
	else if (event->data.ptr != http)
		bmw_database_ready(event->data.ptr);
}

void
bmw_loop_run(struct MHD_Daemon *http)
{
	struct epoll_event events[64];
	MHD_UNSIGNED_LONG_LONG wait_ms;

	if (!add(MHD_get_daemon_info(http, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd, EPOLLIN, http))
		err(1, "the loop cannot begin");
	for (;;)
	{
		const bool has_timeout = MHD_get_timeout(http, &wait_ms) == MHD_YES;
		const int n =
			epoll_wait(epoll, events, 64, has_timeout && wait_ms < 1000 ? (int) wait_ms : 1000);

		for (int i = 0; i < n; i++)
		{
			if (events[i].data.ptr == &signals)
				return;
			serve(&events[i], http);
		}
		MHD_run(http);
	}
}
