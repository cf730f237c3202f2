/*
 * pg/server/key_file.c - the file that bm_webhook.secret_key_file names.
 *
 * The hook that checks the setting reads the file, so a reload with a file that
 * cannot be used is refused like any other mistake in the configuration, and the
 * keys stay as they were. At the start of a server there are none yet: then the
 * setting stands with its error, as without it secrets would be written in plain
 * text and nobody would notice.
 */
#include "postgres.h"

#include "pg/server/key_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/parallel.h"
#include "pg/server/compat.h"

typedef struct KeyFile
{
	BmwKeyRing ring;
	char error[256]; /* '': it can be used */
} KeyFile;

bool bmw_key_file_is_starting = false;

static const KeyFile *current = NULL; /* NULL: none is configured */
static KeyFile known;				  /* the last one, to see whether the next one is another */
static uint32 version = 0;

static bool read_file(const char *path, KeyFile *file);
static bool read_open(int fd, KeyFile *file);
static bool is_private(const struct stat *status);
static bool parse(const char *text, size_t len, KeyFile *file);
static bool fail(KeyFile *file, const char *format, ...) pg_attribute_printf(2, 3);

bool
bmw_key_file_check(char **newval, void **extra, GucSource source)
{
	KeyFile *file;

	if (**newval == '\0')
		return true;
	file = bmw_guc_malloc(LOG, sizeof(*file));
	if (file == NULL)
		return false;
	memset(file, 0, sizeof(*file));
	*extra = file;
	if (!is_absolute_path(*newval))
		(void) fail(file, "An absolute path is expected, or nothing.");
	else if (read_file(*newval, file))
		return true;
	/* no keys are better than those that nobody has configured: none */
	if (bmw_key_file_is_starting || InitializingParallelWorker)
	{
		ereport(LOG, errmsg("bm_webhook.secret_key_file cannot be used"),
				errdetail("%s", file->error),
				errhint("Secrets are neither read nor written until it can."));
		return true;
	}
	GUC_check_errdetail("%s", file->error);
	bmw_guc_free(file);
	*extra = NULL;
	return false;
}

void
bmw_key_file_assign(const char *newval, void *extra)
{
	const KeyFile *file = extra;

	current = file;
	if (file == NULL ? known.ring.length == 0
					 : memcmp(&file->ring, &known.ring, sizeof(known.ring)) == 0)
		return;
	memset(&known, 0, sizeof(known));
	if (file != NULL)
		known = *file;
	version++;
}

const BmwKeyRing *
bmw_key_file_ring(void)
{
	return current != NULL && current->error[0] == '\0' ? &current->ring : NULL;
}

const char *
bmw_key_file_error(void)
{
	return current != NULL && current->error[0] != '\0' ? current->error : NULL;
}

uint32
bmw_key_file_version(void)
{
	return version;
}

static bool
read_file(const char *path, KeyFile *file)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	bool is_read;

	if (fd < 0)
		return fail(file, "It could not be opened: %s.", strerror(errno));
	is_read = read_open(fd, file);
	close(fd);
	return is_read;
}

static bool
read_open(int fd, KeyFile *file)
{
	char text[BMW_KEY_FILE_MAX + 1];
	struct stat status;
	ssize_t len;
	bool is_parsed;

	if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
		return fail(file, "It is not a regular file.");
	if (!is_private(&status))
		return fail(
			file, "It must belong to the user of the server and be readable by nobody else (mode "
				  "0600 or less), or belong to root and be readable by the server's group (0640).");
	len = read(fd, text, sizeof(text));
	if (len < 0)
		return fail(file, "It could not be read: %s.", strerror(errno));
	if (len > BMW_KEY_FILE_MAX)
		return fail(file, "It is too large.");
	is_parsed = parse(text, (size_t) len, file);
	explicit_bzero(text, sizeof(text));
	return is_parsed;
}

/* As PostgreSQL wants the key of its certificate. */
static bool
is_private(const struct stat *status)
{
	if (status->st_uid == geteuid())
		return (status->st_mode & (S_IRWXG | S_IRWXO)) == 0;
	return status->st_uid == 0 && (status->st_mode & (S_IWGRP | S_IXGRP | S_IRWXO)) == 0;
}

static bool
parse(const char *text, size_t len, KeyFile *file)
{
	int line;
	BmwStatus result = bmw_key_ring_parse(text, len, &file->ring, &line);

	if (result == BMW_OK)
		return true;
	if (line == 0)
		return fail(file, "It has no key.");
	return fail(file, "Line %d: %s", line, bmw_status_text(result));
}

/* The postmaster is no place for memory that an error would leave. */
static bool
fail(KeyFile *file, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(file->error, sizeof(file->error), format, arguments);
	va_end(arguments);
	return false;
}
