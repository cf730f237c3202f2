/*
 * pg/server/shared_memory.h - what backends, the launcher and the dispatchers share.
 *
 * One slot for each dispatcher that runs or should run. Plain numbers only:
 * other processes are named by their PGPROC number, whose latch can be set at
 * any time (a wake-up too many does no harm). bmw_shared is NULL when the
 * library was not preloaded.
 */
#ifndef BMW_PG_SERVER_SHARED_MEMORY_H
#define BMW_PG_SERVER_SHARED_MEMORY_H

#include "postgres.h"

#include "core/places.h"
#include "core/tokens.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/lwlock.h"
#include "utils/timestamp.h"

#define BMW_MAX_SLOTS 256
#define BMW_MAX_REQUESTS 64
#define BMW_LAST_ERROR_SIZE 256
#define BMW_TOKEN_SETS 4096	 /* see docs/delivery.md, Pace: how many applications have room */
#define BMW_PLACE_SETS 4096	 /* the same; and how many addresses can have requests at a time */
#define BMW_REPORT_SETS 2048 /* docs/delivery.md says of how many endpoints the pace is shown */
#define BMW_REPORTS_IN_SET 8
#define BMW_MAX_TOLD 8 /* SQLSTATEs */
#define BMW_MAX_DUE 64 /* endpoints in a slot for which SQL has made deliveries due */

typedef enum BmwSlotState
{
	BMW_SLOT_FREE,
	BMW_SLOT_STARTING, /* asked for, or looking for the extension */
	BMW_SLOT_RUNNING,
	BMW_SLOT_HELD,		 /* a command needs the database or the extension alone */
	BMW_SLOT_NO_WORKER,	 /* max_worker_processes is used up */
	BMW_SLOT_FAILED,	 /* ended by an error, starts again */
	BMW_SLOT_OUTDATED,	 /* the extension's version is not the library's */
	BMW_SLOT_FENCED,	 /* bm_webhook.fence_command does not let it send */
	BMW_SLOT_NOT_ADOPTED /* a copy, whose dispatcher has given way to those of other databases */
} BmwSlotState;

typedef struct BmwSlotNumbers
{
	int in_flight;
	int queued;
	int unrecorded;				  /* outcomes that are in memory alone */
	TimestampTz unrecorded_since; /* since when the log cannot be written; 0: it can */
	int64 sent;
	int64 resent;
	int max_in_flight_cut_to; /* for want of descriptors; 0: it is as set */
	int sealed;				  /* endpoints that wait because a secret cannot be decrypted */
	bool is_holding;		  /* it knows that bm_webhook.enabled is off */
} BmwSlotNumbers;

/* What became of the last run of the keeper of the log. */
typedef struct BmwUpkeepReport
{
	int kept;				/* partitions that have expired, and in which something waits */
	int failures;			/* of its last runs, in a row */
	TimestampTz started_at; /* of the last run; 0: there was none */
	TimestampTz ended_at;
	char problem[BMW_LAST_ERROR_SIZE]; /* '': none */
} BmwUpkeepReport;

/* What the server's log was told of that fails, until it is told that nothing does (troubles.h). */
typedef struct BmwTroubles
{
	int length; /* since then; the last of them are below */
	int sqlstates[BMW_MAX_TOLD];
	TimestampTz failed_at; /* the last time, whatever it was */
} BmwTroubles;

typedef struct BmwSlot
{
	/* changed under lock, by the launcher, the dispatcher and the utility hook */
	Oid database; /* InvalidOid: free */
	int shard;
	int shards; /* of the database, when its dispatcher was started */
	BmwSlotState state;
	TimestampTz since;
	pid_t pid;		   /* of the dispatcher; 0: none */
	pid_t holder;	   /* the backend that holds it; 0: none */
	pid_t keeper;	   /* of the database, in its first slot; 0: none */
	bool lacks_worker; /* max_worker_processes is used up, which the log was told */
	bool lacks_keeper; /* there was no worker for the keeper; of the database, in its first slot */
	bool is_resharded; /* its dispatcher is to end: there will be another number of shards */

	/* without lock */
	pg_atomic_uint32 proc;	   /* the dispatcher's PGPROC number + 1; 0: none */
	pg_atomic_uint32 is_awake; /* something was announced that it has not looked for yet */
	pg_atomic_uint32
		changing; /* transactions about to commit a change of endpoints; of shard 0 alone */
	pg_atomic_uint64 generation;	  /* of the endpoints */
	pg_atomic_uint32 has_due;		  /* deliveries were made due by SQL: nobody knows for whom */
	pg_atomic_uint32 due_length;	  /* endpoints for which some were; they are below */
	pg_atomic_uint32 has_operation;	  /* somebody has asked for one */
	pg_atomic_uint32 has_upkeep;	  /* it may be one for the keeper */
	pg_atomic_uint32 failing;		  /* kinds of work of this dispatcher that fail */
	pg_atomic_uint32 waits_for_adopt; /* it is one of a copy, and gives way */

	ConditionVariable flushed; /* broadcast after each flush */

	slock_t mutex; /* for what follows */
	BmwSlotNumbers numbers;
	int64 due[BMW_MAX_DUE];	   /* endpoints */
	TimestampTz last_error_at; /* 0: none */
	char last_error[BMW_LAST_ERROR_SIZE];
	int64
		capture_failures; /* rows that could not be captured; of the database, in its first slot */
	TimestampTz capture_failed_at; /* 0: none */
	char capture_error[BMW_LAST_ERROR_SIZE];
	BmwUpkeepReport upkeep;				   /* of the database, in its first slot */
	BmwTroubles troubles;				   /* the same */
	bool lacks_partitions;				   /* the same: some of the coming days could not be made */
	char not_adopted[BMW_LAST_ERROR_SIZE]; /* why nothing is sent from this copy; '': it may be */
} BmwSlot;

/* The rate limits of some applications, of requests or of events. */
typedef struct BmwSharedTokens
{
	slock_t mutex;
	BmwTokenSet set;
} BmwSharedTokens;

/* What some applications have in flight, or goes to some addresses. */
typedef struct BmwSharedPlaces
{
	slock_t mutex;
	BmwPlaceSet set;
} BmwSharedPlaces;

/* What a dispatcher does with an endpoint (core/report.h). */
typedef struct BmwSharedReport
{
	Oid database; /* InvalidOid: free */
	int shard;
	int64 endpoint_id;
	int64 since_us; /* when this became so; Unix microseconds, as held_until_us */
	int64 held_until_us;
	float4 rate;
	int in_flight;
	int allowed;
	int reason; /* BmwWindowReason */
	bool is_crowded;
	bool is_queueing;
} BmwSharedReport;

typedef struct BmwSharedReports
{
	slock_t mutex;
	BmwSharedReport reports[BMW_REPORTS_IN_SET];
} BmwSharedReports;

typedef struct BmwShared
{
	LWLock *lock;
	pg_atomic_uint32 launcher; /* PGPROC number + 1; 0: not running */
	int requests_length;
	Oid requests[BMW_MAX_REQUESTS]; /* databases to look at now */
	bool look_at_all;				/* the list was full */
	int slots_length;				/* slots beyond were never used */
	BmwSlot slots[BMW_MAX_SLOTS];
	BmwSharedTokens tokens[BMW_TOKEN_SETS];
	BmwSharedTokens emit_tokens[BMW_TOKEN_SETS];
	BmwSharedPlaces places[BMW_PLACE_SETS];
	BmwSharedPlaces destinations[BMW_PLACE_SETS];
	uint64 destination_seed; /* of their hash: who chooses addresses must not choose a set */
	BmwSharedReports reports[BMW_REPORT_SETS];
} BmwShared;

extern BmwShared *bmw_shared;

/* Asks for shared memory; from _PG_init() while preloading. */
extern void bmw_shmem_init(void);

/* Sets the latch of a process; number: PGPROC number + 1, 0 does nothing. */
extern void bmw_shmem_wake(pg_atomic_uint32 *number);
/* Asks the launcher to look at this database soon. */
extern void bmw_shmem_request(Oid database);
/* Calls fn for every slot of the database; without lock, so fn must only touch what needs none. */
extern int bmw_shmem_each(Oid database, void (*fn)(BmwSlot *slot));
/* SQL has made deliveries of this endpoint due; when there are too many of them, nobody knows for whom. */
extern void bmw_shmem_note_due(BmwSlot *slot, int64 endpoint_id);
/* Takes them all; room for BMW_MAX_DUE. Returns how many. */
extern int bmw_shmem_take_due(BmwSlot *slot, int64 *endpoints);
/* What a slot said of another database. */
extern void bmw_shmem_forget(BmwSlot *slot);
/* Records what status() shows as the last error; cut to fit. */
extern void bmw_shmem_error(BmwSlot *slot, const char *message);
/* A run of the keeper ends now; problem: '' for none. Returns whether it is another than before. */
extern bool bmw_shmem_upkeep(BmwSlot *slot, TimestampTz started_at, int kept, int failures,
							 const char *problem);
/* Why nothing is sent from a copy; '': it may be. Returns whether that is new. */
extern bool bmw_shmem_not_adopted(BmwSlot *slot, const char *why_not);
/* Are there partitions that could not be made? Returns whether that is new. */
extern bool bmw_shmem_lacks_partitions(BmwSlot *slot, bool lacks_some);
/* Counts a row that could not be captured; status() shows the count and the last message. */
extern void bmw_shmem_capture_failed(Oid database, const char *message);
/* The slot of shard 0 of a database, which stays when their number changes; NULL: there is none. */
extern BmwSlot *bmw_shmem_first(Oid database);

#endif
