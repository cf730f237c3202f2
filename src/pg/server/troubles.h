/*
 * pg/server/troubles.h - what keeps the dispatchers of a database from working, and what the server's log was told of it.
 *
 * Each dispatcher has many kinds of work, and a database many dispatchers, all of which meet the same full disk: the
 * log gets a line for each SQLSTATE, and one when nothing fails any more.
 */
#ifndef BMW_PG_SERVER_TROUBLES_H
#define BMW_PG_SERVER_TROUBLES_H

#include "pg/server/shared_memory.h"

/* A kind of work fails, is_first: for the first time in a row. Returns whether the log is to be told. */
extern bool bmw_troubles_note(BmwSlot *slot, bool is_first, int sqlstate);
/* A kind of work was done, has_failed: which was noted before. Returns whether the log is to be told that all is well. */
extern bool bmw_troubles_done(BmwSlot *slot, bool has_failed);
/* The dispatcher ends. Another one will say whether that has helped. */
extern void bmw_troubles_leave(BmwSlot *slot);

#endif
