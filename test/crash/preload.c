/*
 * preload.c - kills the process that sends certain bytes, as a fault in libcurl or OpenSSL would.
 *
 * BMW_TEST_POISON names a file; each line of it is such bytes. A process that has preloaded this and
 * writes one of them to a socket ends by SIGSEGV. Without a file nothing happens.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>

static void
crash_if_poisonous(const void *bytes, size_t len)
{
	const char *path = getenv("BMW_TEST_POISON");
	FILE *file = path != NULL ? fopen(path, "r") : NULL;
	char line[256];

	if (file == NULL)
		return;
	while (fgets(line, sizeof(line), file) != NULL)
	{
		line[strcspn(line, "\n")] = '\0';
		if (*line != '\0' && memmem(bytes, len, line, strlen(line)) != NULL)
		{
			signal(SIGSEGV, SIG_DFL);
			raise(SIGSEGV);
		}
	}
	fclose(file);
}

ssize_t
send(int socket, const void *bytes, size_t len, int flags)
{
	static ssize_t (*real)(int, const void *, size_t, int);

	if (real == NULL)
		real = (ssize_t (*)(int, const void *, size_t, int)) dlsym(RTLD_NEXT, "send");
	crash_if_poisonous(bytes, len);
	return real(socket, bytes, len, flags);
}
