/*
 * console/listen_source.h - where events come from: the log, as the login may see it.
 *
 * One page of rows at a time, in no transaction; whatever lasts, ends when bmw_wait_is_over().
 */
#ifndef BMW_CONSOLE_LISTEN_SOURCE_H
#define BMW_CONSOLE_LISTEN_SOURCE_H

#include <libpq-fe.h>

#include "console/listen_options.h"

typedef struct BmwSource
{
	const BmwListenOptions *options;
	PGconn *db;
	char *password; /* that was asked for; NULL: libpq has found one, or needed none */
	BmwText cursor;
} BmwSource;

/* The columns of a row; the first is the cursor to ask with after it. */
typedef enum BmwColumn
{
	BMW_COLUMN_CURSOR,
	BMW_COLUMN_ID, /* NULL: it has no event, and there is none after it by now */
	BMW_COLUMN_TYPE,
	BMW_COLUMN_APPLICATION,
	BMW_COLUMN_CHANNEL,
	BMW_COLUMN_MESSAGE_ID,
	BMW_COLUMN_OCCURRED_US,
	BMW_COLUMN_IS_THIN,
	BMW_COLUMN_DATA
} BmwColumn;

/* Signs in, and ends the program when it cannot. */
extern void bmw_source_open(BmwSource *source, const BmwListenOptions *options);
/*
 * The next rows, which are to be cleared; NULL: it is over. Waits for a server that is away, and ends
 * the program with the server's words when it refuses.
 */
extern PGresult *bmw_source_next(BmwSource *source);
/* The row has been forwarded. */
extern void bmw_source_advance(BmwSource *source, const PGresult *rows, int row);
extern void bmw_source_close(BmwSource *source);

#endif
