/*
 * console/wait.c - waits of a program that does one thing at a time, and that Ctrl-C ends.
 */
#include "console/wait.h"

#include <err.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>

static int signals = -1;
static bool is_over;

void
bmw_wait_begin(void)
{
	sigset_t stop;

	sigemptyset(&stop);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGTERM);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	signal(SIGPIPE, SIG_IGN);
	signals = signalfd(-1, &stop, SFD_CLOEXEC);
	if (signals < 0)
		err(1, "signals cannot be waited for");
}

void
bmw_wait_for(int fd, short events, int timeout_ms)
{
	struct pollfd sets[] = {{.fd = signals, .events = POLLIN}, {.fd = fd, .events = events}};

	if (!is_over && poll(sets, 2, timeout_ms) > 0)
		is_over = (sets[0].revents & POLLIN) != 0;
}

bool
bmw_wait_is_over(void)
{
	return is_over;
}
