/*
 * pg/capture/status_map.h - what the statuses of a provider are called here.
 *
 * The table bm_webhook.status_map, kept in memory until somebody changes it:
 * a message of a provider is looked up for each row that changes. Read whoever
 * asks, because who changes a watched table need not be able to read it.
 */
#ifndef BMW_PG_CAPTURE_STATUS_MAP_H
#define BMW_PG_CAPTURE_STATUS_MAP_H

#include "pg/capture/message.h"

/*
 * Finds the type of an outbound message from its status; provider NULL: the
 * status is one of ours. Returns what is wrong with it (23502, 22023) and then
 * leaves *type alone. Raises what reading a table can.
 */
extern const BmwEventFault *bmw_status_map_find(const char *provider, const char *status,
												const BmwMessageType **type);

/* A fault if there is no such provider. */
extern const BmwEventFault *bmw_status_map_check_provider(const char *provider);

#endif
