/*
 * pg/server/utility.h - commands that our dispatchers must know of.
 */
#ifndef BMW_PG_SERVER_UTILITY_H
#define BMW_PG_SERVER_UTILITY_H

/* Installs the ProcessUtility hook; from _PG_init() while preloading. */
extern void bmw_utility_init(void);

#endif
