/*
 * pg/server/private_file.c - a file that only the server may read.
 *
 * The rules are those of PostgreSQL for the key of its certificate. Nothing here raises an error
 * or allocates: the postmaster calls it.
 */
#include "postgres.h"

#include "pg/server/private_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static ssize_t read_open(int fd, char *text, size_t max, char *error);
static bool is_private(const struct stat *status);
static ssize_t fail(char *error, const char *format, ...) pg_attribute_printf(2, 3);

ssize_t
bmw_private_file_read(const char *path, char *text, size_t max,
					  char error[BMW_PRIVATE_FILE_ERROR_SIZE])
{
	int fd;
	ssize_t len;

	if (!is_absolute_path(path))
		return fail(error, "An absolute path is expected, or nothing.");
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return fail(error, "It could not be opened: %s.", strerror(errno));
	len = read_open(fd, text, max, error);
	close(fd);
	return len;
}

static ssize_t
read_open(int fd, char *text, size_t max, char *error)
{
	struct stat status;
	ssize_t len;

	if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
		return fail(error, "It is not a regular file.");
	if (!is_private(&status))
		return fail(
			error,
			"It must belong to the user of the server and be readable by nobody else (mode "
			"0600 or less), or belong to root and be readable by the server's group (0640).");
	len = read(fd, text, max + 1);
	if (len < 0)
		return fail(error, "It could not be read: %s.", strerror(errno));
	if (len > (ssize_t) max)
		return fail(error, "It is too large.");
	return len;
}

static bool
is_private(const struct stat *status)
{
	if (status->st_uid == geteuid())
		return (status->st_mode & (S_IRWXG | S_IRWXO)) == 0;
	return status->st_uid == 0 && (status->st_mode & (S_IWGRP | S_IXGRP | S_IRWXO)) == 0;
}

static ssize_t
fail(char *error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(error, BMW_PRIVATE_FILE_ERROR_SIZE, format, arguments);
	va_end(arguments);
	return -1;
}
