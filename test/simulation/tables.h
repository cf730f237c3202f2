/*
 * tables.h - a model of the tables: transactions, snapshots, events, deliveries, WAL.
 *
 * Transactions get their id when they write first, and end in any order. The
 * commits of users are durable at once, those of dispatchers when the WAL has
 * been flushed: until then a crash of the server takes them back, the newest
 * first. Whatever is written by a dispatcher is applied at its commit, at once.
 */
#ifndef SIM_TABLES_H
#define SIM_TABLES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/record.h"
#include "core/snapshot.h"
#include "core/uuid.h"

#define MAX_XACTS 8192
#define MAX_EVENTS 6000
#define MAX_ENDPOINTS 24
#define MAX_MESSAGES 6000
#define MAX_OF_MESSAGE 12
#define MAX_SHARDS 3
#define FIRST_XID 1000
#define NO_APPLICATION (-1)
#define NO_MESSAGE (-1)
#define NO_CHANGE (-1)
#define CHANGE_OF_ANY (-2) /* of so many that it does not say which */
#define CHANGE_OF_APPLICATION(number) (-3 - (number))
#define NOBODY (-1) /* an event that is for no endpoint by name */

typedef enum XactState
{
	XACT_RUNNING,
	XACT_COMMITTED,
	XACT_ROLLED_BACK
} XactState;

typedef struct Xact
{
	XactState state;
	bool is_prepared; /* outlives a crash */
	int first_event;  /* -1: none; by id from there on */
	int change;		  /* what it notes: an endpoint, or one of these */
	int events;
} Xact;

typedef struct Event
{
	BmwUuid id;
	int xact;
	int next; /* of its transaction; -1: none */
	int application;
	int type;
	int message;
	int endpoint; /* by name, or NOBODY */
	int size;
	bool is_committed;
	int64_t created;   /* by the wall clock */
	int64_t expires;   /* likewise; 0: never */
	int64_t committed; /* true time */
	uint32_t must;	   /* endpoints that must get it */
	uint32_t may;	   /* and those that may */
} Event;

typedef struct Message
{
	int events[MAX_OF_MESSAGE];
	int length;
	int busy_xact; /* and one: its last event is not committed */
} Message;

typedef enum RowStatus
{
	ROW_NONE,
	ROW_PENDING,
	ROW_DELIVERED,
	ROW_FAILED,
	ROW_CANCELED
} RowStatus;

typedef struct Row
{
	int8_t status;
	int8_t aside; /* the status that was set aside; ROW_NONE: none was */
	int16_t attempts;
	int64_t first;
	int64_t last; /* attempt */
	int64_t due;
	uint64_t lsn; /* of the commit that wrote it */
} Row;

/* An event and an endpoint. What is not in the row is the checker's, and is never lost. */
typedef struct Pair
{
	Row row;
	int place; /* among the pending ones of its endpoint, from 1; 0: it is not */
	int16_t redeliveries;
	int16_t open;		  /* requests */
	int64_t again;		  /* when it was last redelivered, true time */
	int64_t locked_until; /* by a user */
	int64_t not_before;	  /* a receiver has asked for that, by world_planned() */
	bool is_refused;	  /* the log does not take it */
	int recovering_by;	  /* an operation, from 1, must make a row, or somebody else; 0: none */
	bool was_in_flight;	  /* when it was to be canceled: not called back */
	int canceled_by;	  /* an operation, from 1; 0: none */
	int64_t canceled;	  /* when that was asked for, true time */
} Pair;

typedef struct Cursor
{
	uint64_t xmin;
	uint64_t xmax;
	uint64_t xip[64];
	int xip_length;
	int64_t since;
	int shards;
} Cursor;

typedef struct Tables
{
	Xact xacts[MAX_XACTS];
	int xacts_length;
	int running[64]; /* ascending */
	int running_length;
	int last_ended; /* the highest that has */
	Event events[MAX_EVENTS];
	int events_length;
	Message messages[MAX_MESSAGES];
	int messages_length;
	Cursor cursors[MAX_SHARDS];
	int64_t log_locked_until;
	int64_t endpoints_locked_until;
	int64_t cursor_locked_until;
	int64_t full_until; /* nothing can be written */
} Tables;

extern Tables tables;

extern void tables_begin(void);

/* xacts.c */
extern int xact_begin(void); /* -1: there are enough */
extern void xact_end(int xact, bool is_committed);
extern void xact_snapshot(BmwSnapshot *snapshot);
/* A new event of a running transaction; -1: there are enough. */
extern int event_insert(int xact, const Event *event);
extern int event_of(const BmwUuid *id);
/* A restart: what ran has been rolled back. */
extern void xact_crash(void);

/* rows.c */
extern Pair *pair_of(int event, int endpoint);
/* By a dispatcher; may be lost. */
extern void row_write(int event, int endpoint, const Row *row);
/* Pending ones that are due between the two, by their due times; returns how many. */
extern int rows_due(int endpoint, int64_t from, int64_t to, int limit, int *events);
extern int64_t rows_next_due(int endpoint, int64_t after);
extern bool rows_are_held(int endpoint); /* any of them */
extern int rows_pending(int endpoint, const int **events);

/* wal.c */
extern uint64_t wal_end(void);
extern uint64_t wal_flushed(void);
extern void wal_flush(uint64_t position);
/* The commit of a dispatcher: what was written since the last. */
extern uint64_t wal_commit(void);
/* That of a user, with all before it. */
extern void wal_commit_durably(void);
/* A crash of the server. */
extern void wal_lose(void);
extern void cursor_write(int shard, const BmwSnapshot *snapshot, int64_t since);
/* Before an endpoint is changed by a dispatcher. */
extern void wal_note_endpoint(int endpoint);
extern void wal_begin(void);
extern void wal_note_row(int event, int endpoint);
extern void wal_note_operation(int number);
extern void rows_begin(void);
extern void row_restore(int event, int endpoint, const Row *row);

#endif
