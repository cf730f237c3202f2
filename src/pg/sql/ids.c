/*
 * pg/sql/ids.c - ids of rows, many at a time.
 */
#include "postgres.h"

#include "pg/sql/ids.h"

static int compare(const void *a, const void *b);

int
bmw_ids_sort_once(int64 *ids, int length)
{
	int kept = 0;

	qsort(ids, length, sizeof(*ids), compare);
	for (int i = 0; i < length; i++)
		if (kept == 0 || ids[kept - 1] != ids[i])
			ids[kept++] = ids[i];
	return kept;
}

static int
compare(const void *a, const void *b)
{
	int64 left = *(const int64 *) a;
	int64 right = *(const int64 *) b;

	return (left > right) - (left < right);
}
