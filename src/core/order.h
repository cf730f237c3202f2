/*
 * core/order.h - for endpoints that want the events of a message in order.
 *
 * For each endpoint and message: the deliveries that have not ended, ascending
 * by event id. Only the first, the head, may be sent; when it has ended and
 * that has been recorded, the next becomes the head. Holds ids only, so that
 * millions may wait: bodies are with the deliveries or in the tables. A head
 * whose row must be fetched is wanted: once, however often that is said.
 */
#ifndef BMW_CORE_ORDER_H
#define BMW_CORE_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"
#include "core/uuid.h"

/* Names a message of an endpoint; two messages that share a hash wait for each other. */
typedef struct BmwOrderKey
{
	int64_t endpoint_id;
	uint64_t message[2]; /* a 128-bit hash of application and message id */
} BmwOrderKey;

typedef struct BmwOrderHead
{
	BmwOrderKey key;
	BmwUuid id;
} BmwOrderHead;

typedef struct BmwOrder BmwOrder;

extern BmwOrder *bmw_order_create(void); /* NULL when out of memory */
extern void bmw_order_destroy(BmwOrder *order);

/* Texts are 0-terminated; application may be NULL. */
extern BmwOrderKey bmw_order_key(int64_t endpoint_id, const char *application,
								 const char *message_id);

/* Adds a delivery; nothing happens when it is known already. BMW_ERROR_MEMORY. */
extern BmwStatus bmw_order_add(BmwOrder *order, const BmwOrderKey *key, const BmwUuid *id);
/* Is it the first? True also for a delivery that is not known. */
extern bool bmw_order_is_head(const BmwOrder *order, const BmwOrderKey *key, const BmwUuid *id);
/* Is there another delivery of its message? */
extern bool bmw_order_has_others(const BmwOrder *order, const BmwOrderKey *key, const BmwUuid *id);
/* It has ended. Writes the new head into next; false: there is none, or the head has not changed. */
extern bool bmw_order_remove(BmwOrder *order, const BmwOrderKey *key, const BmwUuid *id,
							 BmwUuid *next);
/* Forgets all of an endpoint's deliveries. */
extern void bmw_order_forget(BmwOrder *order, int64_t endpoint_id);
/* Deliveries held. */
extern int64_t bmw_order_count(const BmwOrder *order);

/* The head of this message (if it has one) is wanted from now on. */
extern void bmw_order_want(BmwOrder *order, const BmwOrderKey *key);
extern void bmw_order_want_all(BmwOrder *order, int64_t endpoint_id);
/* Goes on where it ended the last time, over all endpoints, for so many messages; in a round of all. */
extern void bmw_order_want_some(BmwOrder *order, int messages);
extern void bmw_order_unwant_all(BmwOrder *order, int64_t endpoint_id);
extern bool bmw_order_is_wanting(const BmwOrder *order);
/* An endpoint with wanted heads, another one at each call while there are several; false: none. */
extern bool bmw_order_next_wanting(BmwOrder *order, int64_t *endpoint_id);
/* Takes wanted heads of the endpoint, the oldest first: they are wanted no longer. Returns how many. */
extern int bmw_order_take_wanted(BmwOrder *order, int64_t endpoint_id, BmwOrderHead *heads,
								 int length);

#endif
