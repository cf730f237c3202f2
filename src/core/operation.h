/*
 * core/operation.h - operations: changes of many rows that users have asked for, whose turn it is.
 *
 * Each is worked off in steps. Applications take turns, however many operations each of them
 * has, and so do the operations of one. After a step all of them rest for a multiple of what it took: however many rows they change, most of the time
 * is left to what is to be sent. Times are microseconds of any clock that never goes back.
 */
#ifndef BMW_CORE_OPERATION_H
#define BMW_CORE_OPERATION_H

#include <stdbool.h>
#include <stdint.h>

#define BMW_OPERATIONS 64	   /* known at a time; the others wait in their table */
#define BMW_OPERATION_ROWS 250 /* of a step, at most */

typedef struct BmwOperation
{
	int64_t id;
	int64_t application;	  /* whose it is: any number for each */
	int64_t turn;			  /* that it had last, or when it came */
	int64_t application_turn; /* that one of its application had last */
	int64_t not_before_us;
} BmwOperation;

/* Those that are known and have not ended. Zeroed memory: none, to be read at once. */
typedef struct BmwOperations
{
	BmwOperation items[BMW_OPERATIONS];
	int length;
	BmwOperation before[BMW_OPERATIONS]; /* those before the reading that goes on */
	int before_length;
	int read_length; /* as many there were after the last reading */
	int64_t turns;
	bool has_more;	 /* in the table */
	int64_t look_us; /* then the table is read again, for those that nobody announced */
	int64_t rest_us; /* no step before */
	int rows;		 /* of a step; 0: BMW_OPERATION_ROWS */
} BmwOperations;

typedef enum BmwOperationResult
{
	BMW_OPERATION_ENDED,
	BMW_OPERATION_MORE, /* a step was made */
	BMW_OPERATION_LATER /* a row is locked, or it failed: in a second */
} BmwOperationResult;

/* Is it time to read which there are? is_announced: somebody said that there is a new one. */
extern bool bmw_operations_wants_reading(const BmwOperations *operations, bool is_announced,
										 int64_t now_us);
/* They are read anew: what is not added is forgotten, until another reading finds it. */
extern void bmw_operations_begin_reading(BmwOperations *operations);
/* The oldest of each application first. False: no room for it. */
extern bool bmw_operations_add(BmwOperations *operations, int64_t id, int64_t application);
/* is_all: there was room for each. */
extern void bmw_operations_read(BmwOperations *operations, bool is_all, int64_t now_us);
/* The one that may take a step now; bmw_operations_done() must follow. */
extern bool bmw_operations_next(BmwOperations *operations, int64_t *id, int64_t now_us);
/* How many rows a step is to change: so many that it takes two milliseconds, in which nothing is sent. */
extern int bmw_operations_rows(const BmwOperations *operations);
/* took_us: the time of the step. */
extern void bmw_operations_done(BmwOperations *operations, int64_t id, BmwOperationResult result,
								int64_t took_us, int64_t now_us);
/* When there is something to do again, if nothing is announced before. */
extern int64_t bmw_operations_wakeup_us(const BmwOperations *operations);

#endif
