/*
 * core/batch.c - how many rows one piece of work takes.
 */
#include "core/batch.h"

#define LONG_US INT64_C(2500)  /* half as many rows are next */
#define SHORT_US INT64_C(1000) /* twice as many */

int
bmw_batch_next(int rows, int done, int64_t took_us, int least, int most)
{
	if (took_us > LONG_US)
		rows /= 2;
	else if (took_us < SHORT_US && done >= rows)
		rows *= 2;
	if (rows < least)
		return least;
	return rows < most ? rows : most;
}
