/*
 * pg/dispatch/keeper.h - the process that keeps the log in order, and ends when that is done.
 */
#ifndef BMW_PG_DISPATCH_KEEPER_H
#define BMW_PG_DISPATCH_KEEPER_H

#include "postgres.h"

extern PGDLLEXPORT void bmw_keeper_main(Datum arg);

#endif
