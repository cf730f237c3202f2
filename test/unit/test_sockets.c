/*
 * test_sockets.c - interest told late, connections that linger, descriptors
 * that come back under the same number.
 */
#include "core/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "unit.h"

static BmwSockets sockets;
static bool is_full;

/* In place of the C library's: a kernel that has no room for more. */
int
epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
	if (operation != EPOLL_CTL_ADD || !is_full)
		return (int) syscall(SYS_epoll_ctl, epoll_fd, operation, fd, event);
	errno = ENOSPC;
	return -1;
}

static struct epoll_event events[16];

/* A connected pair; ours[0] is the end that is watched. */
static void
open_pair(int ours[2])
{
	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ours), 0);
	CHECK(bmw_sockets_opened(&sockets, ours[0], NULL));
}

static void
close_pair(int ours[2])
{
	bmw_sockets_closing(&sockets, ours[0]);
	close(ours[0]);
	if (ours[1] >= 0)
		close(ours[1]);
}

static int
ready_now(void)
{
	bmw_sockets_apply(&sockets);
	return bmw_sockets_ready(&sockets, events, 16);
}

static void
test_interest_is_told_late(void)
{
	int pair[2];

	open_pair(pair);
	CHECK(bmw_sockets_want(&sockets, pair[0], EPOLLOUT, NULL));
	CHECK_INT(ready_now(), 1);
	CHECK_INT(events[0].data.fd, pair[0]);
	CHECK(events[0].events & EPOLLOUT);

	CHECK(bmw_sockets_want(&sockets, pair[0], EPOLLIN, NULL));
	CHECK_INT(ready_now(), 0);
	CHECK_INT(write(pair[1], "x", 1), 1);
	CHECK(bmw_sockets_want(&sockets, pair[0], EPOLLOUT, NULL));
	CHECK_INT(bmw_sockets_ready(&sockets, events, 16), 1);
	CHECK_INT(events[0].events, EPOLLIN);
	CHECK(bmw_sockets_want(&sockets, pair[0], EPOLLIN, NULL));
	CHECK_INT(ready_now(), 1);
	CHECK(events[0].events & EPOLLIN);

	CHECK(bmw_sockets_want(&sockets, pair[0], EPOLLIN | EPOLLOUT, NULL));
	CHECK_INT(ready_now(), 1);
	CHECK_INT(events[0].events, EPOLLIN | EPOLLOUT);
	close_pair(pair);
	CHECK_INT(ready_now(), 0);
}

static void
test_idle_sockets_of_ours_linger(void)
{
	int pair[2];

	open_pair(pair);
	bmw_sockets_want(&sockets, pair[0], EPOLLIN, NULL);
	CHECK_INT(ready_now(), 0);
	bmw_sockets_want(&sockets, pair[0], 0, NULL);
	bmw_sockets_apply(&sockets);
	CHECK_INT(sockets.table[pair[0]].applied, EPOLLIN);

	/* wanted again: the kernel need not hear of it */
	bmw_sockets_want(&sockets, pair[0], EPOLLIN, NULL);
	CHECK_INT(write(pair[1], "x", 1), 1);
	CHECK_INT(ready_now(), 1);
	close_pair(pair);
}

static void
test_idle_socket_that_speaks_is_left_out(void)
{
	int pair[2];

	open_pair(pair);
	bmw_sockets_want(&sockets, pair[0], EPOLLIN, NULL);
	bmw_sockets_apply(&sockets);
	bmw_sockets_want(&sockets, pair[0], 0, NULL);
	close(pair[1]);
	pair[1] = -1;
	CHECK_INT(ready_now(), 0);
	CHECK_INT(sockets.table[pair[0]].applied, 0);

	/* and heard when it is wanted again */
	bmw_sockets_want(&sockets, pair[0], EPOLLIN, NULL);
	CHECK_INT(ready_now(), 1);
	close_pair(pair);
}

static void
test_number_comes_back(void)
{
	int first[2];
	int second[2];

	open_pair(first);
	bmw_sockets_want(&sockets, first[0], EPOLLOUT, NULL);
	bmw_sockets_apply(&sockets);
	close_pair(first);
	open_pair(second);
	CHECK_INT(second[0], first[0]);
	CHECK_INT(ready_now(), 0);
	bmw_sockets_want(&sockets, second[0], EPOLLOUT, NULL);
	CHECK_INT(ready_now(), 1);
	close_pair(second);

	/* closed while its interest was still to be told */
	open_pair(first);
	bmw_sockets_want(&sockets, first[0], EPOLLOUT, NULL);
	close_pair(first);
	open_pair(second);
	CHECK_INT(second[0], first[0]);
	bmw_sockets_want(&sockets, second[0], EPOLLOUT, NULL);
	CHECK_INT(ready_now(), 1);
	close_pair(second);
}

/* The name resolver's descriptors: nobody tells us when they are closed. */
static void
test_strangers_do_not_linger(void)
{
	int pair[2];

	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	bmw_sockets_want(&sockets, pair[0], EPOLLOUT, NULL);
	CHECK_INT(ready_now(), 1);
	bmw_sockets_want(&sockets, pair[0], 0, NULL);
	CHECK_INT(sockets.table[pair[0]].applied, 0);
	CHECK_INT(ready_now(), 0);
	close(pair[0]);
	close(pair[1]);

	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	bmw_sockets_want(&sockets, pair[0], EPOLLOUT, NULL);
	CHECK_INT(ready_now(), 1);
	bmw_sockets_want(&sockets, pair[0], 0, NULL);
	close(pair[0]);
	close(pair[1]);
}

static void
test_full_kernel(void)
{
	int pair[2];

	is_full = true;
	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	CHECK(!bmw_sockets_opened(&sockets, pair[0], NULL));

	/* that of a stranger is told until it is taken */
	CHECK(bmw_sockets_want(&sockets, pair[0], EPOLLOUT, NULL));
	for (int i = 0; i < 3; i++)
	{
		CHECK_INT(ready_now(), 0);
		CHECK(sockets.is_full);
	}
	is_full = false;
	CHECK_INT(ready_now(), 1);
	CHECK(!sockets.is_full);

	/* or until nobody wants it any more */
	CHECK(bmw_sockets_want(&sockets, pair[0], 0, NULL));
	is_full = true;
	CHECK(bmw_sockets_want(&sockets, pair[0], EPOLLOUT, NULL));
	CHECK_INT(ready_now(), 0);
	CHECK(bmw_sockets_want(&sockets, pair[0], 0, NULL));
	CHECK_INT(ready_now(), 0);
	CHECK(!sockets.is_full);
	is_full = false;
	close(pair[0]);
	close(pair[1]);
}

static void
test_room(void)
{
	struct rlimit limit;
	rlim_t before;
	int fd = dup(sockets.epoll_fd); /* the lowest that is free */

	close(fd);
	CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
	before = limit.rlim_cur;
	CHECK(bmw_sockets_have_room());
	limit.rlim_cur = (rlim_t) fd + 3;
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
	CHECK(!bmw_sockets_have_room());
	CHECK_INT(dup(sockets.epoll_fd), fd);
	close(fd);
	limit.rlim_cur = before;
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
	CHECK(bmw_sockets_have_room());
}

static void
test_many(void)
{
	int pairs[200][2];
	int seen = 0;

	for (int i = 0; i < 200; i++)
	{
		open_pair(pairs[i]);
		bmw_sockets_want(&sockets, pairs[i][0], EPOLLIN, NULL);
	}
	CHECK_INT(ready_now(), 0);
	for (int i = 0; i < 200; i += 2)
		CHECK_INT(write(pairs[i][1], "x", 1), 1);
	for (int rounds = 0; rounds < 50 && seen < 100; rounds++)
	{
		const int ready = ready_now();

		for (int i = 0; i < ready; i++)
		{
			char byte;

			CHECK_INT(read(events[i].data.fd, &byte, 1), 1);
		}
		seen += ready;
	}
	CHECK_INT(seen, 100);
	CHECK_INT(ready_now(), 0);
	for (int i = 0; i < 200; i++)
		close_pair(pairs[i]);
}

static void
test_large_number(void)
{
	int pair[2];
	int high;

	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	high = fcntl(pair[0], F_DUPFD_CLOEXEC, 900);
	CHECK(high >= 900);
	bmw_sockets_closing(&sockets, 100000); /* never heard of */
	CHECK(bmw_sockets_opened(&sockets, high, NULL));
	bmw_sockets_want(&sockets, high, EPOLLOUT, NULL);
	CHECK_INT(ready_now(), 1);
	CHECK_INT(events[0].data.fd, high);
	bmw_sockets_closing(&sockets, high);
	close(high);
	close(pair[0]);
	close(pair[1]);
}

int
main(void)
{
	CHECK(bmw_sockets_init(&sockets));
	test_interest_is_told_late();
	test_idle_sockets_of_ours_linger();
	test_idle_socket_that_speaks_is_left_out();
	test_number_comes_back();
	test_strangers_do_not_linger();
	test_full_kernel();
	test_room();
	test_many();
	test_large_number();
	bmw_sockets_free(&sockets);
	CHECK_INT(sockets.epoll_fd, -1);
	return unit_finish("sockets");
}
