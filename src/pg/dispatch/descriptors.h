/*
 * pg/dispatch/descriptors.h - how many sockets a dispatcher may have.
 */
#ifndef BMW_PG_DISPATCH_DESCRIPTORS_H
#define BMW_PG_DISPATCH_DESCRIPTORS_H

#include "postgres.h"

#include "pg/server/shared_memory.h"

/* Raises the limit of this process as far as it may: once, before libcurl starts. */
extern void bmw_descriptors_init(void);
/* What bm_webhook.max_in_flight comes to: as much of it as there are descriptors for. */
extern int bmw_descriptors_max_in_flight(void);
/* Connections in use and idle together. */
extern int bmw_descriptors_connections(void);
/* Of these, idle ones that are kept. */
extern int bmw_descriptors_idle(void);
/* Over how many pools the hosts may be divided, none of which knows what the others have open. */
extern int bmw_descriptors_pools(void);
/* Is there one for another socket? Then it is taken; each is given back when the socket is closed. */
extern bool bmw_descriptors_take(void);
extern void bmw_descriptors_give_back(void);
/* No connection could be opened, through no fault of a receiver: status() shows why, and the server's log, once as long as it lasts. */
extern void bmw_descriptors_tell_lack(BmwSlot *slot, const char *what);

#endif
