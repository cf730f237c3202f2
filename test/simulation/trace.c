/*
 * trace.c - the story of a run, what ends it, and which situations it has met.
 */
#include "trace.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "world.h"

#define LINES 65536
#define LINE 240

jmp_buf trace_end;
char trace_violation[512];
bool trace_is_on;
unsigned long situations[SITUATIONS];

static char lines[LINES][LINE];
static unsigned long written;

static const char *const names[SITUATIONS] = {
	[MET_PARKED_WHILE_FULL] = "parked because a lane was full",
	[MET_CHUNKS] = "a pass in several chunks",
	[MET_LATE_XID] = "a transaction of an earlier snapshot that ended late",
	[MET_UNHEARD_COMMIT] = "a commit that nobody announced",
	[MET_PASSES_TOGETHER] = "several passes that are not settled",
	[MET_PROVISIONAL] = "a pass while the endpoints were locked",
	[MET_CHECKED] = "a start that finds rows of events behind the cursor",
	[MET_FOUND_AGAIN] = "a due row that is in memory",
	[MET_NO_ROOM] = "a body for which there is no room",
	[MET_HELD_BACK] = "held back for an earlier event of its message",
	[MET_HEAD_FETCHED] = "a head that was fetched",
	[MET_HEAD_AFTER_CRASH] = "a head that was fetched after a crash",
	[MET_WAITED_FOR_WAL] = "a message that waits for the WAL",
	[MET_LEARNT] = "an endpoint whose order was learnt from its rows",
	[MET_LOOKED_AT_SOME] = "a look at some of very many messages that wait",
	[MET_OVERTAKEN] = "a record that a user's change overtook",
	[MET_STUCK] = "a record whose row was locked",
	[MET_HALVED] = "a flush that was halved",
	[MET_SET_ASIDE] = "a record that was set aside",
	[MET_LOG_LOCKED] = "a flush while the log was locked",
	[MET_WRITING_FAILED] = "a flush when nothing could be written",
	[MET_DELETED_IN_FLIGHT] = "an endpoint deleted with requests in flight",
	[MET_ABORTED] = "a request that nobody wants any more",
	[MET_LET_GO] = "rows let go because the order is not kept any more",
	[MET_CLAMPED] = "rows of a clock that was ahead",
	[MET_CANCELED_ROWS] = "rows of a deleted endpoint",
	[MET_DISABLED_BY_US] = "an endpoint disabled by the dispatcher",
	[MET_NOTED_FAILING] = "a failure that lasts",
	[MET_RETRY_AFTER] = "a receiver that asks for patience",
	[MET_GONE] = "a receiver that says it is gone",
	[MET_EXHAUSTED] = "a delivery that was given up",
	[MET_LOST_SUFFIX] = "commits that a crash has lost",
	[MET_LOST_CURSOR] = "a cursor that a crash has lost",
	[MET_LOST_DELIVERED] = "a success that a crash has lost",
	[MET_DIED_IN_CYCLE] = "a crash in the middle of a cycle",
	[MET_RESHARDED] = "another number of shards",
	[MET_CLOCK_BACK] = "a clock that was set back",
	[MET_NO_MEMORY] = "memory that was refused",
	[MET_REDELIVERED_IN_FLIGHT] = "a redelivery during an attempt",
	[MET_CURSOR_WRITTEN] = "a cursor that was written",
	[MET_NO_SECRET] = "a delivery that waits for a secret",
	[MET_LATE_NOTE] = "a change noted by a transaction that ended late",
	[MET_ROUND] = "events taken while all endpoints are read, step by step",
	[MET_CANCELED_IN_MEMORY] = "a cancel of what has no row yet",
	[MET_CANCELED_IN_TABLE] = "a cancel of rows",
	[MET_CANCEL_WAITED] = "a cancel that waits for what is in flight, or not taken yet",
	[MET_RECOVERED] = "events that were recovered",
	[MET_NOT_RECOVERED_TWICE] = "a recovery that comes across what is in memory alone",
	[MET_RECOVERY_WAITED] = "a recovery that waits for what is not taken yet",
	[MET_OPERATION_FAILED] = "an operation that the log refuses",
	[MET_LOST_OPERATION] = "the end of an operation that a crash has lost",
	[MET_PAUSED_IN_FLIGHT] = "an endpoint paused with requests in flight",
	[MET_ALL_PAUSED] = "everything paused while it waits",
	[MET_NO_PLACE] = "an application that has as many requests in flight as it may",
	[MET_NO_TOKEN] = "an application that waits for its rate limit",
	[MET_EXPIRED] = "a delivery that was canceled because it had expired",
	[MET_STEADY] =
		"much that waits for long for a receiver that refuses a share, or limits the rate",
	[MET_CRASH_AND_SHARDS] = "a crash while the number of shards changes",
	[MET_PROVED] = "an endpoint that has proved its URL",
	[MET_NOT_PROVED] = "a challenge that was not met",
	[MET_STALE_PROOF] = "a proof for a URL that is another one now",
	[MET_LOST_CHALLENGE] = "a dispatcher that dies while an endpoint is asked for a proof",
	[MET_LOST_PROOF] = "a proof that a crash has lost",
	[MET_CHALLENGE_CROWDED] = "a challenge to an address that has as many requests as it may",
	[MET_NO_ROOM_AT_ADDRESS] = "an endpoint that waits for its address",
	[MET_CROWDED] = "a request that is about to connect to an address that has as many as it may",
	[MET_FULL_ADDRESS] = "an address that has as many requests as it may",
};

void
trace_begin(void)
{
	written = 0;
}

void
trace(const char *format, ...)
{
	char *line = lines[written % LINES];
	va_list arguments;
	int used;

	if (!trace_is_on)
		return;
	written++;
	used = snprintf(line, LINE, "%12.6f  ", (double) world.now / (double) SECOND);
	va_start(arguments, format);
	vsnprintf(line + used, LINE - (size_t) used, format, arguments);
	va_end(arguments);
}

void
violation(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(trace_violation, sizeof(trace_violation), format, arguments);
	va_end(arguments);
	longjmp(trace_end, 1);
}

void
trace_print(int count)
{
	unsigned long first = written > (unsigned long) count ? written - (unsigned long) count : 0;

	for (unsigned long i = first; i < written; i++)
		puts(lines[i % LINES]);
}

const char *
situation_name(Situation situation)
{
	return names[situation];
}
