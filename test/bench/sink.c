/*
 * sink.c - a receiver whose behaviour is known: sink [DELAY_MS [WORKERS [FAIL_PERCENT]]]
 *
 * Listens on a free port of every local address and prints it. A POST is answered 204 after the delay, by one of
 * so many workers (0: without limit), for which it waits in order; a share of them is answered 503 at once. Paths:
 * /hang is never answered, /fail gets 500 at once, GET /stats says "microseconds, 2xx, others, most in flight".
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_FDS 65536
#define BUFFER_SIZE 16384
#define EVENTS 512

typedef struct Connection
{
	char *buffer;
	size_t length;
	uint32_t generation; /* another one when the descriptor is used again */
} Connection;

typedef struct Waiting
{
	int fd;
	uint32_t generation;
	int64_t due_us;
} Waiting;

/* First in, first out; as large as there can be connections. */
typedef struct Queue
{
	Waiting items[MAX_FDS * 4];
	uint64_t head;
	uint64_t tail;
} Queue;

static Connection connections[MAX_FDS];
static Queue waiting;
static Queue working;
static int64_t delay_us;
static uint64_t workers;
static long fail_percent;
static long succeeded;
static long refused;
static uint64_t most;

static int64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static uint64_t
queue_length(const Queue *queue)
{
	return queue->tail - queue->head;
}

static void
enqueue(Queue *queue, const Waiting *item)
{
	queue->items[queue->tail++ % (MAX_FDS * 4)] = *item;
}

static void
reply(int fd, const char *status, const char *body)
{
	char text[256];
	const int length = body == NULL ? snprintf(text, sizeof(text), "HTTP/1.1 %s\r\n\r\n", status)
									: snprintf(text, sizeof(text), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", status,
											   strlen(body), body);

	if (send(fd, text, (size_t) length, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return; /* its end is noticed by the next recv() */
}

static void
succeed(int fd)
{
	succeeded++;
	reply(fd, "204 No Content", NULL);
}

static void
refuse(int fd, const char *status)
{
	refused++;
	reply(fd, status, "");
}

static void
report(int fd)
{
	char text[128];

	snprintf(text, sizeof(text), "%ld %ld %ld %lu\n", now_us(), succeeded, refused, most);
	reply(fd, "200 OK", text);
}

/* What has waited begins when a worker is free. */
static void
begin_work(int64_t now)
{
	while (queue_length(&waiting) > 0 && (workers == 0 || queue_length(&working) < workers))
	{
		Waiting item = waiting.items[waiting.head++ % (MAX_FDS * 4)];

		item.due_us = now + delay_us;
		enqueue(&working, &item);
	}
}

static void
finish_work(int64_t now)
{
	while (queue_length(&working) > 0)
	{
		const Waiting *item = &working.items[working.head % (MAX_FDS * 4)];

		if (item->due_us > now)
			return;
		working.head++;
		if (connections[item->fd].generation == item->generation)
			succeed(item->fd);
		begin_work(item->due_us);
	}
}

static void
answer(int fd, const char *request)
{
	const char *path = strchr(request, ' ');

	if (path == NULL || strncmp(path, " /hang", 6) == 0)
		return;
	if (strncmp(path, " /stats", 7) == 0)
		report(fd);
	else if (strncmp(path, " /fail", 6) == 0)
		refuse(fd, "500 Internal Server Error");
	else if (random() % 100 < fail_percent)
		refuse(fd, "503 Service Unavailable");
	else if (delay_us == 0)
		succeed(fd);
	else
	{
		enqueue(&waiting, &(Waiting){.fd = fd, .generation = connections[fd].generation});
		begin_work(now_us());
		if (queue_length(&waiting) + queue_length(&working) > most)
			most = queue_length(&waiting) + queue_length(&working);
	}
}

/* The length of the first request in the buffer; 0 when it is not complete. */
static size_t
request_length(char *text, size_t length)
{
	const char *end;
	const char *field;
	size_t total;

	text[length] = '\0';
	end = strstr(text, "\r\n\r\n");
	if (end == NULL)
		return 0;
	field = strcasestr(text, "\r\ncontent-length:");
	total = (size_t) (end - text) + 4 + (field == NULL || field > end ? 0 : strtoul(field + 17, NULL, 10));
	return total <= length ? total : 0;
}

static void
drop(int fd)
{
	free(connections[fd].buffer);
	connections[fd].buffer = NULL;
	connections[fd].generation++;
	close(fd);
}

static void
receive(int fd)
{
	Connection *connection = &connections[fd];
	const ssize_t got = recv(fd, connection->buffer + connection->length, BUFFER_SIZE - 1 - connection->length, MSG_DONTWAIT);
	size_t used;

	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0)
	{
		drop(fd);
		return;
	}
	connection->length += (size_t) got;
	while ((used = request_length(connection->buffer, connection->length)) > 0)
	{
		answer(fd, connection->buffer);
		connection->length -= used;
		memmove(connection->buffer, connection->buffer + used, connection->length);
	}
}

static void
watch(int epoll, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static void
accept_all(int epoll, int listener)
{
	static const int yes = 1;
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
	{
		if (fd >= MAX_FDS || (connections[fd].buffer = malloc(BUFFER_SIZE)) == NULL)
			abort();
		connections[fd].length = 0;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
		watch(epoll, fd);
	}
}

static int
listen_somewhere(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
	socklen_t length = sizeof(address);
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *) &address, length) != 0 || listen(fd, 4096) != 0 ||
		getsockname(fd, (struct sockaddr *) &address, &length) != 0)
		return -1;
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	return fd;
}

static void
raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max < MAX_FDS ? limit.rlim_max : MAX_FDS;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* Milliseconds until the first answer is due, -1 when none is. */
static int
timeout(void)
{
	int64_t left;

	if (queue_length(&working) == 0)
		return -1;
	left = working.items[working.head % (MAX_FDS * 4)].due_us - now_us();
	return left <= 0 ? 0 : (int) ((left + 999) / 1000);
}

int
main(int argc, char **argv)
{
	const int epoll = epoll_create1(EPOLL_CLOEXEC);
	int listener;

	delay_us = argc > 1 ? strtol(argv[1], NULL, 10) * 1000 : 0;
	workers = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
	fail_percent = argc > 3 ? strtol(argv[3], NULL, 10) : 0;
	raise_limit();
	listener = listen_somewhere();
	if (epoll < 0 || listener < 0)
		return 1;
	watch(epoll, listener);
	for (;;)
	{
		struct epoll_event events[EVENTS];
		const int length = epoll_wait(epoll, events, EVENTS, timeout());

		for (int i = 0; i < length; i++)
			if (events[i].data.fd == listener)
				accept_all(epoll, listener);
			else
				receive(events[i].data.fd);
		finish_work(now_us());
	}
}
