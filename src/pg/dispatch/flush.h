/*
 * pg/dispatch/flush.h - a list of records into the log, whatever some of them meet there.
 *
 * The rules: a row that somebody has locked waits, and delays no other; a row
 * that the log refuses is found by halving and set aside; when nothing can be
 * written, everything stays as it is. Knows nothing of lanes or passes.
 */
#ifndef BMW_PG_DISPATCH_FLUSH_H
#define BMW_PG_DISPATCH_FLUSH_H

#include "postgres.h"

#include "pg/dispatch/store.h"
#include "pg/dispatch/transaction.h"

/* Starts as zeros. */
typedef struct BmwFlush
{
	BmwStreak streak;		 /* of failures of the log as a whole */
	int size;				 /* with how many records to begin; 0: all */
	int lines;				 /* in the server log, about what was set aside */
	TimestampTz lines_since; /* counted from here */
} BmwFlush;

typedef enum BmwFlushResult
{
	BMW_FLUSH_DONE,		  /* each record has a fate */
	BMW_FLUSH_UNFINISHED, /* some are untried: it took long, go on soon */
	BMW_FLUSH_LOCKED,	  /* some are untried: somebody has locked tables of the log */
	BMW_FLUSH_FAILED,	  /* some are untried: see flush->streak */
	BMW_FLUSH_NO_EXTENSION
} BmwFlushResult;

/* Sets the fate of each record. Outside a transaction; does not ereport. */
extern BmwFlushResult bmw_flush_write(BmwFlush *flush, BmwSlot *slot, BmwRecord *records,
									  int length);

#endif
