/*
 * core/endpoint_rules.h - what the scheduler knows of an endpoint.
 */
#ifndef BMW_CORE_ENDPOINT_RULES_H
#define BMW_CORE_ENDPOINT_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/backoff.h"

typedef struct BmwEndpointRules
{
	int64_t id;
	uint64_t identity;		 /* another one when the id means another endpoint now */
	const char *application; /* NULL: none */
	int max_in_flight;
	int rate_limit; /* a second; 0: none */
	int rate_burst;
	int application_rate_limit; /* of all endpoints of the application, wherever they are served */
	int application_rate_burst;
	int application_max_in_flight; /* likewise; 0: no limit */
	bool is_enabled;
	bool has_secret;		 /* without one everything waits */
	int64_t secret_until_us; /* when the last of them expires; 0: never */
	bool is_paused;			 /* so does it then; what is in flight ends as it would have */
	int64_t
		unverified_us; /* since when it is to prove that its URL is its own; 0: it is not. Likewise */
	bool is_ordered;   /* by message */
	BmwSchedule schedule;
	int64_t failing_since_us; /* as its row says; 0: not failing */
	int64_t ttl_us;			  /* events older than that are not sent; 0: however old */
	void *tag;				  /* the send clerk's; handed out with each request */
} BmwEndpointRules;

#endif
