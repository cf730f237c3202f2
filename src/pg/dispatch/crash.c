/*
 * pg/dispatch/crash.c - what the dispatcher before was doing when it crashed, and what is not tried a fourth time.
 *
 * All of the file is allocated before it is mapped: a full disk would end a process that stores into a hole.
 */
#include "postgres.h"

#include "pg/dispatch/crash.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "common/file_perm.h"
#include "miscadmin.h"
#include "pg/dispatch/store.h"
#include "pg/dispatch/transaction.h"
#include "pgstat.h"
#include "storage/ipc.h"

#define CAUSE "the dispatcher has crashed three times in a row while this was being sent"
#define DISABLED_BECAUSE "requests to it crash the dispatcher"

typedef struct Culprit
{
	const BmwMark *mark;
	bool is_set_aside;
} Culprit;

static BmwMarks *volatile mapped = NULL;
static char path[MAXPGPATH];

static BmwMarks *map_file(void);
static BmwMarks *map_open(int fd);
static bool make_room(int fd);
static void end(int code, Datum argument);
static void write_set_aside(void *context);
static bool is_challenge(const BmwMark *mark);
static void log_set_aside(const Culprit *culprit);

BmwSuspects *
bmw_crash_open(BmwSlot *slot)
{
	BmwMarks *marks;
	BmwSuspects *suspects;

	snprintf(path, sizeof(path), "%s/bm_webhook.%u.%d", PG_STAT_TMP_DIR, slot->database,
			 slot->shard);
	marks = map_file();
	if (marks == NULL)
		ereport(LOG, errcode_for_file_access(),
				errmsg("bm_webhook could not make file \"%s\": %m", path),
				errdetail("Should a request crash the dispatcher, it will not be known which."));
	else
		mapped = marks;
	on_proc_exit(end, 0);
	if (marks == NULL)
		marks = calloc(1, sizeof(*marks));
	suspects = marks != NULL ? bmw_suspects_create(marks) : NULL;
	bmw_transaction_require_memory(suspects != NULL);
	if (bmw_suspects_length(suspects) > 0)
		ereport(LOG,
				errmsg("bm_webhook sends %d requests with care: a dispatcher crashed while they "
					   "were under way",
					   bmw_suspects_length(suspects)),
				errhint("What is under way in three crashes in a row is set aside."));
	return suspects;
}

void
bmw_crash_set_aside(BmwSuspects *suspects, BmwSlot *slot)
{
	BmwStreak streak = {0};
	Culprit culprit;

	while ((culprit.mark = bmw_suspects_culprit(suspects)) != NULL)
	{
		switch (bmw_transaction_run(slot, &streak, write_set_aside, &culprit))
		{
			case BMW_TRANSACTION_DONE:
				break;
			case BMW_TRANSACTION_NO_EXTENSION:
				return;
			case BMW_TRANSACTION_FAILED:
				ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("could not set aside what the dispatcher crashes of"));
		}
		/* before anything else can crash: the commit is asynchronous */
		XLogFlush(XactLastCommitEnd);
		log_set_aside(&culprit);
		bmw_suspects_forget(suspects, culprit.mark);
	}
}

void
bmw_crash_excuse(void)
{
	if (mapped != NULL)
		bmw_suspects_excuse(mapped);
}

/* NULL, and errno: there is none. */
static BmwMarks *
map_file(void)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, pg_file_create_mode);
	BmwMarks *marks;
	int error;

	if (fd < 0)
		return NULL;
	marks = map_open(fd);
	error = errno;
	close(fd);
	if (marks == NULL)
		(void) unlink(path);
	errno = error;
	return marks;
}

static BmwMarks *
map_open(int fd)
{
	struct stat status;
	void *memory;

	if (fstat(fd, &status) != 0)
		return NULL;
	if (status.st_size != sizeof(BmwMarks) && !make_room(fd))
		return NULL;
	memory = mmap(NULL, sizeof(BmwMarks), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return memory != MAP_FAILED ? memory : NULL;
}

static bool
make_room(int fd)
{
	int error;

	if (ftruncate(fd, 0) != 0)
		return false;
	do
		error = posix_fallocate(fd, 0, sizeof(BmwMarks));
	while (error == EINTR);
	errno = error;
	return error == 0;
}

/* After an error what was under suspicion stays so. */
static void
end(int code, Datum argument)
{
	bmw_crash_excuse();
	if (code == 0 && mapped != NULL)
		(void) unlink(path);
}

static void
write_set_aside(void *context)
{
	Culprit *culprit = context;
	const BmwSuspectKey *key = &culprit->mark->key;
	bool has_another = is_challenge(culprit->mark);

	culprit->is_set_aside =
		!has_another &&
		bmw_store_set_crashed_aside(&key->event_id, key->endpoint_id, CAUSE, &has_another);
	/* one that somebody has locked is disabled the next time */
	if (has_another)
		(void) bmw_store_disable(key->endpoint_id, DISABLED_BECAUSE);
}

static bool
is_challenge(const BmwMark *mark)
{
	static const BmwUuid none = {{0}};

	return memcmp(&mark->key.event_id, &none, sizeof(none)) == 0;
}

static void
log_set_aside(const Culprit *culprit)
{
	const BmwSuspectKey *key = &culprit->mark->key;
	char id[BMW_UUID_TEXT_SIZE];

	if (!culprit->is_set_aside)
		return;
	bmw_uuid_format(&key->event_id, id);
	ereport(
		LOG,
		errmsg("bm_webhook set aside event %s for endpoint %" PRId64 ": %s", id, key->endpoint_id,
			   CAUSE),
		errdetail("Everything else is sent."),
		errhint("When the cause is gone, call bm_webhook.retry_set_aside(): it is sent again."));
}
