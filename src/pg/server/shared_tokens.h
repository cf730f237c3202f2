/*
 * pg/server/shared_tokens.h - the rate limits of applications, counted for all dispatchers of the server.
 */
#ifndef BMW_PG_SERVER_SHARED_TOKENS_H
#define BMW_PG_SERVER_SHARED_TOKENS_H

#include "core/lane.h"
#include "pg/server/shared_memory.h"

/* For the scheduler of the dispatcher that has this slot. */
extern BmwTokenPort bmw_shared_tokens(BmwSlot *slot);

#endif
