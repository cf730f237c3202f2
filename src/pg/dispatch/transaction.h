/*
 * pg/dispatch/transaction.h - the dispatcher's transactions: short, and never fatal.
 */
#ifndef BMW_PG_DISPATCH_TRANSACTION_H
#define BMW_PG_DISPATCH_TRANSACTION_H

#include "postgres.h"

#include "pg/server/shared_memory.h"

typedef enum BmwTransactionResult
{
	BMW_TRANSACTION_DONE,
	BMW_TRANSACTION_FAILED,		 /* rolled back, and its error recorded in the slot */
	BMW_TRANSACTION_NO_EXTENSION /* the extension, or the version that we know, has gone */
} BmwTransactionResult;

typedef void (*BmwWork)(void *context);

/* Whom an error is to be blamed on, which says what helps. */
typedef enum BmwErrorKind
{
	BMW_ERROR_OF_ROW,	  /* a constraint, a trigger, a value: the others can go on */
	BMW_ERROR_OF_LOCK,	  /* somebody has it: try again */
	BMW_ERROR_OF_SERVER,  /* disk full, read-only, shutting down: nothing can go on */
	BMW_ERROR_OF_PROCESS, /* out of memory: a new process may help */
	BMW_ERROR_INTERNAL	  /* damaged data, or something that a new process may help */
} BmwErrorKind;

typedef struct BmwTransactionError
{
	BmwErrorKind kind;
	int sqlstate;
	char message[1024]; /* the primary message alone, which has no value of a row in it */
} BmwTransactionError;

/* Failures in a row of one kind of work. Starts as zeros. */
typedef struct BmwStreak
{
	int length;
	int mendable; /* the last of them, that a new process may mend */
	TimestampTz since;
	bool is_noted; /* as a trouble of the database */
} BmwStreak;

/*
 * What a dispatcher needs for its transactions: the settings that ALTER
 * DATABASE and ALTER ROLE may have spoilt, put right for this session.
 */
extern void bmw_transaction_init(void);

/*
 * Runs work(context) in a transaction of its own, connected to SPI, with a
 * snapshot, as the role bm_webhook. Errors are caught and reported. Statistics
 * are reported.
 */
extern BmwTransactionResult bmw_transaction_run(BmwSlot *slot, BmwStreak *streak, BmwWork work,
												void *context);
/* The same; an error is not reported. */
extern BmwTransactionResult bmw_transaction_try(BmwWork work, void *context);
/* Of the last transaction that failed. */
extern const BmwTransactionError *bmw_transaction_error(void);
/*
 * That error: the first of a streak goes to the server log, if that is news of the database
 * (troubles.h); each to slot->last_error.
 */
extern void bmw_transaction_report(BmwSlot *slot, BmwStreak *streak);
/* The streak is over; the log hears when nothing of the database fails any more. */
extern void bmw_transaction_recovered(BmwSlot *slot, BmwStreak *streak);
/* Locks are waited for no longer than this ('20ms') until the transaction ends. */
extern void bmw_transaction_limit_lock_wait(const char *limit);

/* 53200 when what was asked for in core could not be had. */
extern void bmw_transaction_require_memory(bool has_memory);

/* Statistics that were held back, because they are reported at most once a second. Outside a transaction. */
extern bool bmw_transaction_has_statistics(void);
extern void bmw_transaction_report_statistics(void);

#endif
