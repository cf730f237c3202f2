/*
 * core/bisect.c - doing something with many items, of which a few cannot be done.
 */
#include "core/bisect.h"

#include <limits.h>

static int half(int length);

void
bmw_bisect_begin(BmwBisect *bisect, int length, int size)
{
	*bisect = (BmwBisect){.length = length, .size = size > 0 ? size : INT_MAX};
}

int
bmw_bisect_next(const BmwBisect *bisect)
{
	int left = bisect->length - bisect->position;

	return bisect->size < left ? bisect->size : left;
}

void
bmw_bisect_succeeded(BmwBisect *bisect)
{
	bisect->position += bmw_bisect_next(bisect);
	if (bisect->position < bisect->bad_end)
		bisect->size = half(bisect->bad_end - bisect->position);
	else
		bisect->size = bisect->size > INT_MAX / 2 ? INT_MAX : bisect->size * 2;
}

bool
bmw_bisect_failed(BmwBisect *bisect)
{
	int length = bmw_bisect_next(bisect);

	if (length > 1)
	{
		bisect->bad_end = bisect->position + length;
		bisect->size = half(length);
		return false;
	}
	bisect->position++;
	bisect->bad_end = 0;
	bisect->size = 1;
	return true;
}

static int
half(int length)
{
	return length > 1 ? length / 2 : 1;
}
