#include "postgres.h"

#include "pg/dispatch/fence.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "miscadmin.h"
#include "pg/dispatch/clock.h"
#include "pg/server/databases.h"
#include "pg/server/settings.h"

#define SECOND_US INT64CONST(1000000)
#define LONGEST_US (10 * SECOND_US)
#define ASK_AGAIN_US (10 * SECOND_US)
#define LOOK_MS 20

extern char **environ;

static void start(BmwFence *fence, BmwSlot *slot);
static int spawn(pid_t *pid);
static bool look(BmwFence *fence, BmwSlot *slot);
static void refuse(BmwFence *fence, BmwSlot *slot, const char *why);
static void tell(BmwSlot *slot, const char *why);

bool
bmw_fence_is_open(BmwFence *fence, BmwSlot *slot)
{
	bool is_open = fence->pid == 0 && *bmw_fence_command == '\0';

	if (fence->pid != 0)
		is_open = look(fence, slot);
	else if (!is_open && bmw_clock_us() >= fence->next_us)
		start(fence, slot);
	if (is_open && fence->is_refused)
		tell(slot, NULL);
	return is_open;
}

long
bmw_fence_wait_ms(const BmwFence *fence)
{
	int64 left_us = fence->next_us - bmw_clock_us();

	return fence->pid != 0 ? LOOK_MS : (long) (Max(left_us, 0) / 1000 + 1);
}

void
bmw_fence_reload(BmwFence *fence)
{
	if (fence->pid == 0)
		fence->next_us = 0;
}

void
bmw_fence_end(BmwFence *fence)
{
	if (fence->pid == 0)
		return;
	kill(-fence->pid, SIGKILL);
	(void) waitpid(fence->pid, NULL, 0);
	fence->pid = 0;
}

static void
start(BmwFence *fence, BmwSlot *slot)
{
	int error = spawn(&fence->pid);

	fence->has_ended_it = false;
	fence->next_us = bmw_clock_us() + LONGEST_US;
	if (error == 0)
		return;
	fence->pid = 0;
	refuse(fence, slot, psprintf("it could not be started: %s", strerror(error)));
}

/* With a process group of its own, so that what the command starts can be ended with it. */
static int
spawn(pid_t *pid)
{
	char *arguments[] = {"sh", "-c", bmw_fence_command, NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none;
	sigset_t all;
	int error;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
											  POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	error = posix_spawn(pid, "/bin/sh", &files, &attributes, arguments, environ);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attributes);
	return error;
}

/* How is the command? One that runs for too long is ended, and has refused. */
static bool
look(BmwFence *fence, BmwSlot *slot)
{
	int status;

	if (waitpid(fence->pid, &status, WNOHANG) == 0)
	{
		if (!fence->has_ended_it && bmw_clock_us() >= fence->next_us)
		{
			kill(-fence->pid, SIGKILL);
			fence->has_ended_it = true;
		}
		return false;
	}
	fence->pid = 0;
	if (status == 0)
		return true;
	refuse(fence, slot,
		   fence->has_ended_it ? "it had not ended after 10 seconds" : wait_result_to_str(status));
	return false;
}

static void
refuse(BmwFence *fence, BmwSlot *slot, const char *why)
{
	fence->next_us = bmw_clock_us() + ASK_AGAIN_US;
	bmw_shmem_error(slot, psprintf("bm_webhook.fence_command: %s", why));
	if (!fence->is_refused)
		tell(slot, why);
	fence->is_refused = true;
}

/* why: NULL when it may send after all. */
static void
tell(BmwSlot *slot, const char *why)
{
	NameData database;

	if (slot->shard != 0)
		return;
	bmw_databases_read_name(MyDatabaseId, &database);
	if (why == NULL)
		ereport(LOG,
				errmsg("bm_webhook sends from database \"%s\": bm_webhook.fence_command allows it",
					   NameStr(database)));
	else
		ereport(
			LOG,
			errmsg("bm_webhook does not send from database \"%s\": bm_webhook.fence_command does "
				   "not allow it",
				   NameStr(database)),
			errdetail("%s.", why), errhint("It is asked again every 10 seconds."));
}
