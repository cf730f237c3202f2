/*
 * pg/transaction.h - the dispatcher's transactions: short, and never fatal.
 */
#ifndef BMW_PG_TRANSACTION_H
#define BMW_PG_TRANSACTION_H

#include "postgres.h"

#include "pg/shmem.h"

typedef enum BmwTransactionResult
{
	BMW_TRANSACTION_DONE,
	BMW_TRANSACTION_FAILED,		 /* rolled back, and its error recorded in the slot */
	BMW_TRANSACTION_NO_EXTENSION /* the extension, or the version that we know, has gone */
} BmwTransactionResult;

typedef void (*BmwWork)(void *context);

/*
 * What a dispatcher needs for its transactions: the settings that ALTER
 * DATABASE and ALTER ROLE may have spoilt, put right for this session.
 */
extern void bmw_transaction_init(void);

/*
 * Runs work(context) in a transaction of its own, connected to SPI, with a
 * snapshot, as the role bm_webhook. Errors are caught: the first of a row goes
 * to the server log, each to slot->last_error. Statistics are reported.
 */
extern BmwTransactionResult bmw_transaction_run(BmwSlot *slot, BmwWork work, void *context);

/* Statistics that were held back, because they are reported at most once a second. Outside a transaction. */
extern bool bmw_transaction_has_statistics(void);
extern void bmw_transaction_report_statistics(void);

/* Failures in a row. */
extern int bmw_transaction_failures(void);

#endif
