/*
 * pg/server/settings.h - the settings bm_webhook.*, and the address policy made of them.
 */
#ifndef BMW_PG_SERVER_SETTINGS_H
#define BMW_PG_SERVER_SETTINGS_H

#include "core/address.h"

#define BMW_MAX_IN_FLIGHT 5000 /* the most that can be set */

extern bool bmw_enabled;		   /* off: dispatchers send nothing, capture goes on */
extern bool bmw_require_https;	   /* endpoints must be https */
extern bool bmw_verify_endpoints;  /* they must prove that their URL is their own */
extern bool bmw_count_days;		   /* for reports; asked by SQL */
extern char *bmw_allowed_networks; /* superuser opens these */
extern char *bmw_denied_networks;  /* denied whatever else says */
extern char *bmw_allowed_ports;
extern int bmw_shards;					  /* dispatchers a database; 0: see shards.h */
extern int bmw_max_in_flight_per_address; /* of all dispatchers of a database; 0: no limit */
extern int bmw_max_in_flight;	   /* requests at the same time for one application, a dispatcher */
extern int bmw_max_payload;		   /* bytes of an event's data */
extern int bmw_idempotency_window; /* s that an idempotency key counts */
extern int bmw_flush_interval;	   /* ms that an outcome may wait to be recorded */
extern int bmw_disable_after;	   /* s of unbroken failure; 0: never */
extern int bmw_retention;		   /* s that the log is kept; 0: for ever */
extern char *bmw_partition_interval; /* day, week or month */
extern char *bmw_archive_command;	 /* '': none; core/archive.h */
extern char *bmw_fence_command;		 /* '': none */
extern char *bmw_archive_format;	 /* jsonl or csv */
extern char *bmw_ca_file;			 /* '': libcurl's default */
extern char *bmw_secret_key_file;	 /* '': secrets are not encrypted; pg/server/key_file.h */

extern void bmw_guc_define(void);

/*
 * The address policy that the settings describe, local interfaces included.
 * Made anew at each call; free with bmw_address_policy_free(). May ereport
 * only when out of memory: the texts were checked when they were set.
 */
extern void bmw_guc_address_policy(BmwAddressPolicy *policy);

#endif
