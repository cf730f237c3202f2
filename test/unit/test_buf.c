/*
 * test_buf.c - growth, the ceiling, and that a failure is remembered.
 */
#include "core/buf.h"

#include "unit.h"

static void
test_ceiling(void)
{
	BmwBuf buf;

	bmw_buf_init(&buf, 8);
	CHECK(buf.data == NULL);
	CHECK_INT(bmw_buf_append_text(&buf, "12345678"), BMW_OK);
	CHECK_TEXT(buf.data, "12345678");
	CHECK_INT(bmw_buf_append(&buf, NULL, 0), BMW_OK);
	CHECK_INT(bmw_buf_append_text(&buf, "9"), BMW_ERROR_TOO_LARGE);
	CHECK_TEXT(buf.data, "12345678");
	CHECK_INT(buf.len, 8);

	/* Sticky, so that no text gets a hole. */
	CHECK_INT(bmw_buf_append(&buf, "", 0), BMW_ERROR_TOO_LARGE);
	CHECK_INT(buf.status, BMW_ERROR_TOO_LARGE);

	bmw_buf_reset(&buf);
	CHECK_INT(buf.status, BMW_OK);
	CHECK_INT(buf.len, 0);
	CHECK_TEXT(buf.data, "");
	CHECK_INT(bmw_buf_append_text(&buf, "again"), BMW_OK);
	CHECK_TEXT(buf.data, "again");
	CHECK_INT(bmw_buf_append(&buf, buf.data, SIZE_MAX), BMW_ERROR_TOO_LARGE);
	bmw_buf_free(&buf);
	CHECK(buf.data == NULL);
	CHECK_INT(buf.status, BMW_OK);
	CHECK_INT(buf.max_bytes, 8);
	bmw_buf_free(&buf);
}

static void
test_growth(void)
{
	BmwBuf buf;
	bool is_equal = true;

	bmw_buf_init(&buf, SIZE_MAX);
	CHECK_INT(bmw_buf_append(&buf, NULL, 0), BMW_OK);
	CHECK_TEXT(buf.data, "");
	for (int i = 0; i < 100000; i++)
	{
		const char byte = (char) i; /* 0 included: bytes, not a C string */

		bmw_buf_append(&buf, &byte, 1);
	}
	CHECK_INT(buf.status, BMW_OK);
	CHECK_INT(buf.len, 100000);
	for (int i = 0; i < 100000; i++)
		is_equal = is_equal && buf.data[i] == (char) i;
	CHECK(is_equal);
	CHECK_INT(buf.data[buf.len], 0);
	bmw_buf_free(&buf);

	bmw_buf_init(&buf, 0);
	CHECK_INT(bmw_buf_append(&buf, "", 0), BMW_OK);
	CHECK_INT(bmw_buf_append(&buf, "x", 1), BMW_ERROR_TOO_LARGE);
	bmw_buf_free(&buf);
}

int
main(void)
{
	test_ceiling();
	test_growth();
	return unit_finish("buf");
}
