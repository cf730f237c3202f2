/*
 * operations.h - a model of the table operation: what users have asked for, how far it is, and what
 * is promised by it.
 *
 * What is canceled is, at the commit of cancel(), what waits or must be taken still. What is
 * recovered: what matches the endpoint and has no row, from then on until the operation ends.
 */
#ifndef SIM_OPERATIONS_H
#define SIM_OPERATIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/uuid.h"

#define MAX_OPERATIONS 512

typedef enum OperationKind
{
	OPERATION_CANCEL,
	OPERATION_RECOVER
} OperationKind;

/* What a dispatcher changes, and a crash may take back. */
typedef struct OperationRow
{
	BmwUuid reached; /* looked at all until there */
	bool has_ended;
	bool has_failed; /* the log refused something */
} OperationRow;

typedef struct Operation
{
	OperationKind kind;
	int endpoint;
	int application; /* of the endpoint, when it was asked for */
	int event;		 /* this one alone; -1: those between the two */
	BmwUuid since;
	BmwUuid until;
	int xact; /* that asked for it */
	OperationRow row;
	bool
		is_known; /* a dispatcher that is alive has made a step, and can take nothing more that it is for */
} Operation;

extern Operation operations[MAX_OPERATIONS];
extern int operations_length;

extern void operations_begin(void);
/* At the commit of who asks. */
extern void operations_add(const Operation *operation);
/* Is this event among those that it is for? */
extern bool operations_mean(const Operation *operation, int event);
/* Does the endpoint of a recovery get it, if it never did? */
extern bool operations_recover(const Operation *operation, int event);
/* An endpoint is another one now: so are the events that are recovered. */
extern void operations_note_change(int endpoint);
/* A dispatcher is gone. */
extern void operations_forget_known(void);
/* It has failed: nothing is promised any more. */
extern void operations_forgive(const Operation *operation);
/* A step has been made: what is in flight now is not called back. */
extern void operations_set_known(Operation *operation);
extern bool operations_have_ended(void);

#endif
