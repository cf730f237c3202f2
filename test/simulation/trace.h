/*
 * trace.h - the story of a run, what ends it, and which situations it has met.
 */
#ifndef SIM_TRACE_H
#define SIM_TRACE_H

#include <setjmp.h>
#include <stdbool.h>

/* Where violation() goes: whoever runs sets it. */
extern jmp_buf trace_end;
extern char trace_violation[512];
extern bool trace_is_on;

/* A line of the story: only kept while trace_is_on. */
extern void trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Something holds no longer: the run ends. */
extern void violation(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
extern void trace_begin(void);
/* The last lines of the story, as many as that. */
extern void trace_print(int lines);

/* Situations that a campaign must meet, or it shows little. */
typedef enum Situation
{
	MET_PARKED_WHILE_FULL,
	MET_CHUNKS, /* a pass in several */
	MET_LATE_XID,
	MET_UNHEARD_COMMIT,
	MET_PASSES_TOGETHER, /* several unsettled */
	MET_PROVISIONAL,
	MET_CHECKED,	 /* rows were there already at a start */
	MET_FOUND_AGAIN, /* offered while in memory */
	MET_NO_ROOM,
	MET_HELD_BACK,
	MET_HEAD_FETCHED,
	MET_HEAD_AFTER_CRASH,
	MET_WAITED_FOR_WAL,
	MET_LEARNT,
	MET_LOOKED_AT_SOME,
	MET_OVERTAKEN,
	MET_STUCK,
	MET_HALVED,
	MET_SET_ASIDE,
	MET_LOG_LOCKED,
	MET_WRITING_FAILED,
	MET_DELETED_IN_FLIGHT,
	MET_ABORTED,
	MET_LET_GO,
	MET_CLAMPED,
	MET_CANCELED_ROWS,
	MET_DISABLED_BY_US,
	MET_NOTED_FAILING,
	MET_RETRY_AFTER,
	MET_GONE,
	MET_EXHAUSTED,
	MET_LOST_SUFFIX,
	MET_LOST_CURSOR,
	MET_LOST_DELIVERED,
	MET_DIED_IN_CYCLE,
	MET_RESHARDED,
	MET_CLOCK_BACK,
	MET_NO_MEMORY,
	MET_REDELIVERED_IN_FLIGHT,
	MET_CURSOR_WRITTEN,
	MET_NO_SECRET,
	MET_LATE_NOTE,
	MET_ROUND,
	MET_CANCELED_IN_MEMORY,
	MET_CANCELED_IN_TABLE,
	MET_CANCEL_WAITED,
	MET_RECOVERED,
	MET_NOT_RECOVERED_TWICE,
	MET_RECOVERY_WAITED,
	MET_OPERATION_FAILED,
	MET_LOST_OPERATION,
	MET_PAUSED_IN_FLIGHT,
	MET_ALL_PAUSED,
	MET_NO_TOKEN,
	MET_NO_PLACE,
	MET_EXPIRED,
	MET_STEADY,
	MET_CRASH_AND_SHARDS,
	MET_PROVED,
	MET_NOT_PROVED,
	MET_STALE_PROOF,
	MET_LOST_CHALLENGE,
	MET_LOST_PROOF,
	MET_CHALLENGE_CROWDED,
	MET_NO_ROOM_AT_ADDRESS,
	MET_CROWDED,
	MET_FULL_ADDRESS,
	SITUATIONS
} Situation;

extern unsigned long situations[SITUATIONS];
extern const char *situation_name(Situation situation);
#define MET(situation) ((void) situations[situation]++)

#endif
