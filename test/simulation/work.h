/*
 * work.h - the transactions of users: what each of them does when it commits.
 */
#ifndef SIM_WORK_H
#define SIM_WORK_H

#include "registry.h"

#define NO_EVENT (-1)

typedef enum WorkKind
{
	WORK_EMIT,
	WORK_CHANGE, /* an endpoint */
	WORK_REDELIVER,
	WORK_CANCEL,
	WORK_RECOVER,
	WORK_PAUSE /* an application, or everything */
} WorkKind;

typedef enum Stage
{
	STAGE_OPEN,
	STAGE_COMING,
	STAGE_VISIBLE,
	STAGE_OVER
} Stage;

typedef struct Work
{
	WorkKind kind;
	Stage stage;
	int session; /* of which life of the server */
	bool commits;
	bool is_heard;
	bool changes; /* what dispatchers know of endpoints */
	bool asks;	  /* for a proof */
	int endpoint;
	Version version;
	int event;	   /* that is sent again or canceled; NO_EVENT: none alone */
	int64_t since; /* of events that were captured then or later, */
	int64_t until; /* and before */
	int application;
	bool is_paused;
} Work;

/* users.c: returns the transaction; -1: there are enough. */
extern int users_begin_work(Work *work, int64_t lasts);
/* support.c */
extern void support_commit(int xact, const Work *work);

#endif
