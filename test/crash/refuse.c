/*
 * refuse.c - refuses a process what its system has no room for, as the kernel would.
 *
 * BMW_TEST_REFUSED names a file; each line of it is a process, a function and an errno. "local" is socket() for
 * sockets that do not leave this machine, "watch" epoll_ctl() for those that do. Names that end in .example.com
 * are this machine's. Without a file nothing else happens.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ORIGINAL(name) ((typeof(name) *) dlsym(RTLD_NEXT, #name))

static bool
is_refused(const char *function)
{
	const char *path = getenv("BMW_TEST_REFUSED");
	FILE *file = path != NULL ? ORIGINAL(fopen)(path, "r") : NULL;
	char name[32];
	int pid;
	int error;
	bool is_found = false;

	if (file == NULL)
		return false;
	while (!is_found && fscanf(file, "%d %31s %d", &pid, name, &error) == 3)
		is_found = pid == getpid() && strcmp(name, function) == 0;
	fclose(file);
	if (is_found)
		errno = error;
	return is_found;
}

int
socket(int family, int type, int protocol)
{
	return is_refused(family == AF_UNIX ? "local" : "socket")
			   ? -1
			   : ORIGINAL(socket)(family, type, protocol);
}

int
epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
	int family = AF_UNSPEC;
	socklen_t len = sizeof(family);

	(void) getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len);
	return operation == EPOLL_CTL_ADD && family == AF_INET && is_refused("watch")
			   ? -1
			   : ORIGINAL(epoll_ctl)(epoll, operation, fd, event);
}

FILE *
fopen(const char *path, const char *mode)
{
	return is_refused("fopen") ? NULL : ORIGINAL(fopen)(path, mode);
}

FILE *
fopen64(const char *path, const char *mode)
{
	return is_refused("fopen") ? NULL : ORIGINAL(fopen64)(path, mode);
}

int
getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
			struct addrinfo **found)
{
	const char *end = name != NULL ? strstr(name, ".example.com") : NULL;

	if (is_refused("getaddrinfo"))
		return EAI_AGAIN;
	return ORIGINAL(getaddrinfo)(end != NULL ? "127.0.0.1" : name, service, hints, found);
}
