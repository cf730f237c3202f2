/*
 * pg/server/shared_tokens.h - the rate limits of applications, counted for all processes of the server.
 */
#ifndef BMW_PG_SERVER_SHARED_TOKENS_H
#define BMW_PG_SERVER_SHARED_TOKENS_H

#include "core/lane.h"
#include "pg/server/shared_memory.h"

/* For the scheduler of the dispatcher that has this slot. */
extern BmwTokenPort bmw_shared_tokens(BmwSlot *slot);

/* Of the bucket of an application, of a role. */
extern uint64 bmw_shared_tokens_key(Oid database, const char *application);
extern uint64 bmw_shared_tokens_key_of_role(Oid database, Oid role);
/*
 * For an event that is emitted: was there one left? So many a second, and as many at once;
 * when more applications emit than there are buckets, it is not counted.
 */
extern bool bmw_shared_tokens_take_emit(uint64 key, int rate);

#endif
