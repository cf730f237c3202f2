/*
 * test_batch.c - a batch takes about two milliseconds, within its bounds.
 */
#include "core/batch.h"

#include "unit.h"

int
main(void)
{
	int rows = 500;

	CHECK_INT(bmw_batch_next(100, 100, 2000, 1, 500), 100);
	CHECK_INT(bmw_batch_next(100, 100, 3000, 1, 500), 50);
	CHECK_INT(bmw_batch_next(100, 100, 900, 1, 500), 200);
	CHECK_INT(bmw_batch_next(300, 300, 900, 1, 500), 500);
	CHECK_INT(bmw_batch_next(500, 500, 100, 1, 500), 500);
	CHECK_INT(bmw_batch_next(1, 1, 3000, 1, 500), 1);
	CHECK_INT(bmw_batch_next(50, 50, 3000, 30, 500), 30);
	CHECK_INT(bmw_batch_next(100, 99, 10, 1, 500), 100); /* who knows how long all had taken */
	CHECK_INT(bmw_batch_next(100, 1, 3000, 1, 500), 50);
	for (int i = 0; i < 20; i++)
		rows = bmw_batch_next(rows, rows, rows * INT64_C(20), 1, 500);
	CHECK_INT(rows, 125); /* of 20 us each */
	return unit_finish("batch");
}
