/*
 * pg/dispatch/changes.h - which endpoints are to be read.
 *
 * Those that transactions have noted, and, when so many have changed that one
 * note stands for all, or from time to time to be sure, each in turn.
 */
#ifndef BMW_PG_DISPATCH_CHANGES_H
#define BMW_PG_DISPATCH_CHANGES_H

#include "postgres.h"

#include "core/snapshot.h"

#define BMW_CHANGES_AT_ONCE 500 /* endpoints that are read in one go */

/* Going through all of them. */
typedef enum BmwRound
{
	BMW_ROUND_NONE,
	BMW_ROUND_WANTED, /* begins with the next reading */
	BMW_ROUND_ON,
	BMW_ROUND_CHECK /* nobody has said that something has changed: in no hurry */
} BmwRound;

typedef struct BmwChanges
{
	BmwSnapshot known; /* what it sees has been read, or is below */
	int64 *ids;
	int length;
	int capacity;
	BmwRound round;
	bool again;		/* something has changed since it began: another one follows */
	int64 after_id; /* the round has come so far */
	uint32 number;	/* of the round */
	uint32 ended;	/* the last one that has: what none since has come across may be gone */
	int taken;		/* what is being read: so many of the ids, from the end */
	bool is_step;	/* and a step of the round, up to that id */
	int64 step_id;
	bool is_last_step;
	int64 at_ms;	  /* the next step or start of a check; by a clock that nobody sets */
	char *triggers;	  /* as they were */
	uint64 forgotten; /* notes of transactions before were removed */
} BmwChanges;

/* At the start: all are to be read. */
extern void bmw_changes_init(BmwChanges *changes);
/* Has something changed that has not been read? */
extern bool bmw_changes_are_left(const BmwChanges *changes);
/* Is it time for the next step of a check? */
extern bool bmw_changes_want_check(const BmwChanges *changes, int64 now_ms);
/*
 * Reads the notes that came since, in a transaction. fn is called for each application
 * that has changed; NULL: for any of them.
 */
typedef void (*BmwApplicationFn)(const char *application, void *context);
extern void bmw_changes_look(BmwChanges *changes, BmwApplicationFn fn, void *context);
/* Have the triggers been switched? Then what came meanwhile was not noted: all are to be read. */
extern void bmw_changes_check_triggers(BmwChanges *changes);
/*
 * What is to be read next: up to BMW_CHANGES_AT_ONCE ids into the array, ascending,
 * each once; returns how many. In a transaction; followed by bmw_changes_read().
 */
extern int bmw_changes_next(BmwChanges *changes, int64 now_ms, int64 *ids);
/* That was read. */
extern void bmw_changes_read(BmwChanges *changes, int64 now_ms);
/* An application has changed: so may all of its endpoints. */
extern void bmw_changes_add_application(BmwChanges *changes, const char *application);
/* All of them are to be read again. */
extern void bmw_changes_add_all(BmwChanges *changes);
/* To be read again, or to see whether it is still there. */
extern void bmw_changes_add(BmwChanges *changes, int64 endpoint_id);
/* Removes some of the notes that nobody needs, in a transaction. True: there are more. */
extern bool bmw_changes_forget(BmwChanges *changes);

#endif
