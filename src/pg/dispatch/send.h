/*
 * pg/dispatch/send.h - the clerk of a dispatcher who sends: from requests to results.
 */
#ifndef BMW_PG_DISPATCH_SEND_H
#define BMW_PG_DISPATCH_SEND_H

#include "postgres.h"

#include "common/pg_prng.h"
#include "core/http.h"
#include "core/scheduler.h"
#include "core/sign.h"
#include "core/suspects.h"
#include "pg/dispatch/verify.h"
#include "pg/server/shared_memory.h"

typedef struct BmwSender
{
	BmwScheduler *scheduler;
	BmwVerifier *verifier;
	BmwSlot *slot;
	BmwSuspects *suspects;
	BmwAddressPolicy policy;
	BmwEgress egress; /* what libcurl was given */
	BmwHttp *http;
	BmwSigner *signer;
	char *ca_file; /* what libcurl was given */
	int batch;	   /* requests that start at once */
	int cut_to;	   /* what max_in_flight has been cut to; 0: it was not */
	pg_prng_state random;
	int64 sent;
	int64 resent;
} BmwSender;

/* ereports when libcurl or OpenSSL cannot be set up. */
extern void bmw_send_init(BmwSender *sender, BmwScheduler *scheduler, BmwVerifier *verifier,
						  BmwSlot *slot, BmwSuspects *suspects);
/* Settings have changed; false: they need a new process. */
extern bool bmw_send_reload(BmwSender *sender);
/* Starts what may be started. */
extern void bmw_send_start(BmwSender *sender);
/* Lets libcurl do what can be done now. */
extern void bmw_send_drive(BmwSender *sender);
/* Takes results to the scheduler, also of what nobody wants any more. */
extern void bmw_send_collect(BmwSender *sender);
/* Breaks off all. */
extern void bmw_send_end(BmwSender *sender);

#endif
