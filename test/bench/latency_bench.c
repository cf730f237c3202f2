/*
 * latency_bench.c - from the end of COMMIT to the arrival of the request:
 * latency_bench CONNINFO EVENTS RATE; prints the median, the 99th and 99.9th percentile and the most, in
 * microseconds.
 *
 * Registers an endpoint that leads to a thread of this program, which stamps a request when it is here. RATE 0: one
 * event at a time after a random pause, so that everything is idle; else so many transactions a second, by several
 * connections, whether or not those before have arrived.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define GIVE_UP_US 60000000
#define MAX_EVENTS 100000
#define WARM_UP 100
#define WRITERS 8
#define MAX_FDS 65536
#define BUFFER_SIZE 8192

static const char *conninfo;
static int events;
static int rate;
static _Atomic long committed_us[MAX_EVENTS + WARM_UP];
static _Atomic long arrived_us[MAX_EVENTS + WARM_UP];
static _Atomic int next_event;
static _Atomic int arrivals;
static long began_us;

static long
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void
fail(const char *what)
{
	fprintf(stderr, "latency_bench: %s\n", what);
	exit(1);
}

/* A request is small enough for one read, or its rest comes with the next. */
static void
read_request(int fd)
{
	static const char reply[] = "HTTP/1.1 204 No Content\r\n\r\n";
	static char *buffers[MAX_FDS];
	static size_t lengths[MAX_FDS];
	char *buffer = buffers[fd] != NULL ? buffers[fd] : (buffers[fd] = malloc(BUFFER_SIZE));
	const ssize_t got = recv(fd, buffer + lengths[fd], BUFFER_SIZE - 1 - lengths[fd], MSG_DONTWAIT);
	const char *number;

	if (got <= 0)
	{
		lengths[fd] = 0;
		close(fd);
		return;
	}
	lengths[fd] += (size_t) got;
	buffer[lengths[fd]] = '\0';
	number = strstr(buffer, "\"number\":");
	if (number == NULL || strstr(number, "}}") == NULL)
		return;
	lengths[fd] = 0;
	number += strcspn(number, "0123456789");
	if (atomic_exchange(&arrived_us[strtol(number, NULL, 10)], now_us()) == 0)
		arrivals++;
	if (send(fd, reply, sizeof(reply) - 1, MSG_NOSIGNAL) < 0)
		close(fd);
}

static void *
receive(void *argument)
{
	const int listener = *(int *) argument;
	const int epoll = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};

	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
	for (;;)
	{
		if (epoll_wait(epoll, &event, 1, -1) < 1)
			continue;
		if (event.data.fd != listener)
		{
			read_request(event.data.fd);
			continue;
		}
		event = (struct epoll_event){.events = EPOLLIN, .data.fd = accept(listener, NULL, NULL)};
		epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
	}
	return NULL;
}

static int
listen_somewhere(int *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	const int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(fd, (struct sockaddr *) &address, len) != 0 || listen(fd, 1024) != 0 ||
		getsockname(fd, (struct sockaddr *) &address, &len) != 0)
		return -1;
	*port = ntohs(address.sin_port);
	return fd;
}

static PGconn *
connect_server(void)
{
	PGconn *connection = PQconnectdb(conninfo);

	if (PQstatus(connection) != CONNECTION_OK)
		fail(PQerrorMessage(connection));
	return connection;
}

static void
execute(PGconn *connection, const char *sql)
{
	PGresult *result = PQexec(connection, sql);

	if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
		fail(PQerrorMessage(connection));
	PQclear(result);
}

static void
emit(PGconn *connection, int number)
{
	char sql[256];

	snprintf(sql, sizeof(sql), "SELECT bm_webhook.emit('latency.message', jsonb_build_object('number', %d, 'a', repeat('x', 850)))", number);
	execute(connection, sql);
	committed_us[number] = now_us();
}

static void
wait_for(int number)
{
	const long since = now_us();

	while (arrived_us[number] == 0)
	{
		if (now_us() - since > GIVE_UP_US)
			fail("an event did not arrive");
		usleep(200);
	}
}

/* One after the other, each when everything is idle again. */
static void
write_idle(PGconn *connection)
{
	while (next_event < events)
	{
		const int number = next_event++;

		usleep((useconds_t) (5000 + random() % 60000));
		emit(connection, number);
		wait_for(number);
	}
}

static void *
write_at_rate(void *argument)
{
	PGconn *connection = connect_server();
	int number;

	(void) argument;
	while ((number = next_event++) < events)
	{
		const long due = began_us + (long) number * 1000000 / rate;
		const long now = now_us();

		if (due > now)
			usleep((useconds_t) (due - now));
		emit(connection, number);
	}
	PQfinish(connection);
	return NULL;
}

static void
write_all(PGconn *connection)
{
	pthread_t writers[WRITERS];

	began_us = now_us();
	if (rate == 0)
	{
		write_idle(connection);
		return;
	}
	for (int i = 0; i < WRITERS; i++)
		pthread_create(&writers[i], NULL, write_at_rate, NULL);
	for (int i = 0; i < WRITERS; i++)
		pthread_join(writers[i], NULL);
	for (int i = 0; i < events; i++)
		wait_for(i);
}

static int
ascending(const void *a, const void *b)
{
	return (*(const long *) a > *(const long *) b) - (*(const long *) a < *(const long *) b);
}

/* A request may be here before COMMIT has answered: 0. */
static void
print_percentiles(void)
{
	static long latencies[MAX_EVENTS];

	for (int i = 0; i < events; i++)
		latencies[i] = arrived_us[i] > committed_us[i] ? arrived_us[i] - committed_us[i] : 0;
	qsort(latencies, (size_t) events, sizeof(*latencies), ascending);
	printf("%ld %ld %ld %ld\n", latencies[events / 2], latencies[(long) events * 99 / 100],
		   latencies[(long) events * 999 / 1000], latencies[events - 1]);
}

int
main(int argc, char **argv)
{
	PGconn *connection;
	pthread_t thread;
	char sql[256];
	int port = 0;
	int listener;

	events = argc == 4 ? (int) strtol(argv[2], NULL, 10) : 0;
	if (events < 1 || events > MAX_EVENTS)
		fail("usage: latency_bench CONNINFO EVENTS RATE");
	conninfo = argv[1];
	rate = (int) strtol(argv[3], NULL, 10);
	connection = connect_server();
	listener = listen_somewhere(&port);
	if (listener < 0 || pthread_create(&thread, NULL, receive, &listener) != 0)
		return 1;
	snprintf(sql, sizeof(sql), "INSERT INTO bm_webhook.endpoint (url, event_types) VALUES ('http://127.0.0.1:%d/', '{latency.*}')", port);
	execute(connection, sql);
	for (int i = 0; i < WARM_UP; i++)
	{
		emit(connection, MAX_EVENTS + i);
		wait_for(MAX_EVENTS + i);
	}
	write_all(connection);
	execute(connection, "SELECT bm_webhook.delete_endpoint(id) FROM bm_webhook.endpoint WHERE event_types = '{latency.*}' AND url IS NOT NULL");
	PQfinish(connection);
	print_percentiles();
	return 0;
}
