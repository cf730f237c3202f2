/*
 * latency_bench.c - from the end of COMMIT to the arrival of the request:
 * latency_bench CONNINFO EVENTS; prints the median and the 99th percentile in
 * microseconds.
 *
 * Registers an endpoint that leads to a thread of this program, which stamps a
 * request when its first byte is here. One event at a time, after a random
 * pause, so that everything is idle.
 */
#include <arpa/inet.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define GIVE_UP_US 20000000
#define MAX_EVENTS 100000

static _Atomic long arrivals;
static _Atomic long arrived_us;

static long
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* The dispatcher keeps one connection alive; a request is small enough for one read. */
static void *
receive(void *argument)
{
	static const char reply[] = "HTTP/1.1 204 No Content\r\n\r\n";
	const int listener = *(int *) argument;
	char buffer[16384];

	for (;;)
	{
		const int fd = accept(listener, NULL, NULL);

		while (fd >= 0 && recv(fd, buffer, sizeof(buffer), 0) > 0)
		{
			arrived_us = now_us();
			arrivals++;
			if (send(fd, reply, sizeof(reply) - 1, MSG_NOSIGNAL) < 0)
				break;
		}
		close(fd);
	}
	return NULL;
}

static int
listen_somewhere(int *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	const int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(fd, (struct sockaddr *) &address, len) != 0 || listen(fd, 16) != 0 ||
		getsockname(fd, (struct sockaddr *) &address, &len) != 0)
		return -1;
	*port = ntohs(address.sin_port);
	return fd;
}

static void
execute(PGconn *connection, const char *sql)
{
	PGresult *result = PQexec(connection, sql);

	if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
	{
		fprintf(stderr, "latency_bench: %s", PQerrorMessage(connection));
		exit(1);
	}
	PQclear(result);
}

/* The latency of one event; the request may be here before COMMIT has answered: 0. */
static long
measure(PGconn *connection)
{
	const long before = arrivals;
	long committed;

	execute(connection, "BEGIN");
	execute(connection, "SELECT bm_webhook.emit('latency.message', jsonb_build_object('text', repeat('x', 850)))");
	execute(connection, "COMMIT");
	committed = now_us();
	while (arrivals == before)
	{
		if (now_us() - committed > GIVE_UP_US)
		{
			fprintf(stderr, "latency_bench: an event did not arrive\n");
			exit(1);
		}
		usleep(200);
	}
	return arrived_us > committed ? arrived_us - committed : 0;
}

static int
ascending(const void *a, const void *b)
{
	return (*(const long *) a > *(const long *) b) - (*(const long *) a < *(const long *) b);
}

int
main(int argc, char **argv)
{
	const int events = argc == 3 ? (int) strtol(argv[2], NULL, 10) : 0;
	static long latencies[MAX_EVENTS];
	PGconn *connection;
	pthread_t thread;
	char sql[256];
	int port = 0;
	int listener;

	if (events < 1 || events > MAX_EVENTS)
	{
		fprintf(stderr, "usage: latency_bench CONNINFO EVENTS\n");
		return 2;
	}
	connection = PQconnectdb(argv[1]);
	listener = listen_somewhere(&port);
	if (PQstatus(connection) != CONNECTION_OK || listener < 0 || pthread_create(&thread, NULL, receive, &listener) != 0)
		return 1;
	snprintf(sql, sizeof(sql), "INSERT INTO bm_webhook.endpoint (url, event_types) VALUES ('http://127.0.0.1:%d/', '{latency.*}')", port);
	execute(connection, sql);
	for (int i = 0; i < 20; i++)
		measure(connection);
	for (int i = 0; i < events; i++)
	{
		usleep((useconds_t) (5000 + random() % 60000));
		latencies[i] = measure(connection);
	}
	execute(connection, "DELETE FROM bm_webhook.endpoint WHERE event_types = '{latency.*}'");
	PQfinish(connection);
	qsort(latencies, (size_t) events, sizeof(*latencies), ascending);
	printf("%ld %ld\n", latencies[events / 2], latencies[events * 99 / 100]);
	return 0;
}
