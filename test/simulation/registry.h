/*
 * registry.h - a model of the endpoints: what each is now, and whom an event is for.
 *
 * An endpoint must get an event when it was there, enabled and matching at the
 * event's commit and stayed so until there was a row; it may get it when it was
 * so at any time since. The rule is written down here once more, on purpose.
 */
#ifndef SIM_REGISTRY_H
#define SIM_REGISTRY_H

#include "core/event.h"
#include "tables.h"

#define TYPES 4
#define APPLICATIONS 3
#define SCHEDULES 5
#define ADDRESSES 2
#define MAX_URLS 60

typedef struct Version
{
	bool exists;
	bool is_enabled;
	bool has_secret;
	bool is_ordered;
	int application;
	unsigned types; /* a set */
	int max_in_flight;
	int rate_limit; /* 0: none */
	int schedule;
	bool is_paused;	 /* itself, whatever its application is */
	int64_t created; /* by the wall clock */
	int64_t since;	 /* events captured before are not for it; recover() moves it back */
	int64_t failing_since;
	int64_t secret_until; /* by the wall clock; 0: it does not expire */
	int64_t ttl;		  /* of events; 0: none */
	int url;			  /* its number: another one leads to somebody else */
	int64_t unverified;	  /* has to prove it since, by the wall clock; 0: has not, or has */
} Version;

typedef struct Endpoint
{
	Version now;
	Version before;	 /* the last one that asked for other events */
	int64_t changed; /* by a user, true time */
	int64_t ordered; /* keeps the order since, true time; INT64_MAX: does not */
	int64_t locked_until;
	bool is_proof_locked; /* by a user who asks for a proof */
	uint64_t proved;	  /* the checker's: which of its URLs have, a set */
} Endpoint;

typedef struct Registry
{
	Endpoint endpoints[MAX_ENDPOINTS];
	int length;
	uint64_t generation;
	int changing; /* commits that are on their way */
	int64_t changed;
	int64_t unclear_until; /* dispatchers go through all of them, or have just done so */
	bool is_paused;		   /* everything is */
	bool are_paused[APPLICATIONS];
	bool is_pause_locked; /* by whoever pauses or resumes everything, or an application */
	int64_t pauses_changed;
	int rates[APPLICATIONS]; /* of all endpoints of each; 0: none */
} Registry;

extern Registry registry;

extern void registry_begin(void);
/* Requests in flight that all endpoints of an application may have; 0: any number. */
extern int registry_places(int application);
extern uint32_t registry_match(const Event *event);
/* While the endpoints are locked or all are read, what is known is what they were before. */
extern uint32_t registry_match_before(const Event *event);
/* Does it get events of this kind, whenever? */
extern bool registry_fits(const Version *version, const Event *event, int endpoint);
/* What is committed from now on. */
extern void registry_install(int endpoint, const Version *version);
/* Has it one that has not expired? */
extern bool registry_has_secret(const Version *version);
/* From when on is this not sent any more, by the wall clock? INT64_MAX: never. */
extern int64_t registry_expiry(const Version *version, const Event *event);
/* Is it paused, itself or with its application? */
extern bool registry_is_paused(const Version *version);
/* An application is paused or resumed; NO_APPLICATION: everything is. */
extern void registry_pause(int application, bool is_paused);
/* It is one of many that change at once: for a while it may be known or not, and nothing is promised about order. */
extern void registry_blur(int endpoint);
extern void registry_restore(int endpoint, const Version *version);
/* Nobody must get what has no row yet and would not match now. */
extern void registry_forgive(void);
extern int64_t registry_delay(const Version *version, int attempt); /* -1: none is left */
extern const int64_t *registry_delays(int schedule, int *length);
extern const char *registry_application(int application);
extern const char *registry_type(int type);
/* As the tables would give it; valid for long. */
extern BmwEventSource event_source(int event);
/* Where a URL leads to; never 0. */
extern uint64_t registry_address(int endpoint, int url);
/* So many requests may be open to one. */
extern int registry_address_limit(void);
/* Does nobody there answer for it? */
extern bool registry_is_strangers(int endpoint, int url);
extern int64_t registry_id(int endpoint);
extern int registry_of(int64_t id);

#endif
