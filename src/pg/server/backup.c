/*
 * pg/server/backup.c - whether the server was started from a backup.
 *
 * A start from a backup, or a recovery to some instant, leaves no trace once it is over. So it is noted in a
 * file of the data directory, which each later backup and standby has as well. Not that of a
 * standby: what it becomes by a promotion is the same server. Neither is recovery after a crash one.
 */
#include "postgres.h"

#include "pg/server/backup.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "access/xlog.h"
#include "storage/fd.h"

#define START_FILE "bm_webhook.backup_start"
#define NEW_START_FILE START_FILE ".new"
#define TIME_SIZE 40

static bool is_from_backup(void);
static bool is_there(const char *path);
static void write_start(const char *start);

void
bmw_backup_note_start(void)
{
	char start[TIME_SIZE];
	char seconds[TIME_SIZE];
	struct timespec now;
	struct tm utc;

	if (!is_from_backup())
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	strftime(seconds, sizeof(seconds), "%Y-%m-%d %H:%M:%S", gmtime_r(&now.tv_sec, &utc));
	snprintf(start, sizeof(start), "%s.%06ld UTC", seconds, now.tv_nsec / 1000);
	write_start(start);
}

const char *
bmw_backup_start(void)
{
	char start[TIME_SIZE] = "";
	FILE *file = AllocateFile(START_FILE, "r");
	bool is_read;

	if (file == NULL && errno == ENOENT)
		return NULL;
	is_read = file != NULL && fgets(start, sizeof(start), file) != NULL;
	if (file != NULL)
		FreeFile(file);
	if (!is_read)
		ereport(ERROR, errcode_for_file_access(),
				errmsg("could not read file \"%s\" of the data directory", START_FILE));
	return pstrdup(start);
}

static bool
is_from_backup(void)
{
	return !is_there(STANDBY_SIGNAL_FILE) &&
		   (is_there(RECOVERY_SIGNAL_FILE) || is_there(BACKUP_LABEL_FILE));
}

static bool
is_there(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0;
}

/* Before it is known that this is a copy, nothing may be started. */
static void
write_start(const char *start)
{
	int fd = BasicOpenFile(NEW_START_FILE, O_CREAT | O_TRUNC | O_WRONLY | PG_BINARY);
	size_t length = strlen(start);

	if (fd < 0 || write(fd, start, length) != (ssize_t) length || pg_fsync(fd) != 0 ||
		close(fd) != 0)
		ereport(FATAL, errcode_for_file_access(),
				errmsg("could not write file \"%s\" of the data directory: %m", NEW_START_FILE));
	(void) durable_rename(NEW_START_FILE, START_FILE, FATAL);
}
