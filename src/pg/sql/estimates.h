/*
 * pg/sql/estimates.h - what the planner may know of what others have written.
 */
#ifndef BMW_PG_ESTIMATES_H
#define BMW_PG_ESTIMATES_H

/* When the library is loaded. */
extern void bmw_estimates_init(void);

#endif
