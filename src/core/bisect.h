/*
 * core/bisect.h - doing something with many items, of which a few cannot be done.
 *
 * All at once is cheapest, but fails when one is bad. What fails is halved until
 * the bad one is alone and can be passed over; then the attempts grow again. A
 * bad one among n costs about 2 log n attempts, n bad ones about n: never more
 * than a few times the work of n.
 *
 *   bmw_bisect_begin(&bisect, n, 0);
 *   while ((length = bmw_bisect_next(&bisect)) > 0)
 *     if (attempt(bisect.position, length))
 *       bmw_bisect_succeeded(&bisect);
 *     else if (bmw_bisect_failed(&bisect))
 *       ... the one before bisect.position is bad
 */
#ifndef BMW_CORE_BISECT_H
#define BMW_CORE_BISECT_H

#include <stdbool.h>

typedef struct BmwBisect
{
	int position; /* what comes before has been dealt with */
	int length;	  /* of all */
	int size;	  /* of the next attempt */
	int bad_end;  /* there is a bad one between position and this; 0: not known */
} BmwBisect;

/* size: with how many to begin, that of an earlier bisection; 0 for all. */
extern void bmw_bisect_begin(BmwBisect *bisect, int length, int size);
/* How many to attempt from position; 0: done. */
extern int bmw_bisect_next(const BmwBisect *bisect);
extern void bmw_bisect_succeeded(BmwBisect *bisect);
/* True when that was a single one: it has been passed over. */
extern bool bmw_bisect_failed(BmwBisect *bisect);

#endif
