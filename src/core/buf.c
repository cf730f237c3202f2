/*
 * core/buf.c - a growable byte buffer that always has a ceiling.
 *
 * The ceiling counts content only; one byte more is allocated for the final 0.
 * After a failure every later append is refused too: a series of appends is
 * checked once at its end, so it must never leave a text with a hole in it.
 */
#include "core/buf.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 256

static BmwStatus reserve(BmwBuf *buf, size_t len);

void
bmw_buf_init(BmwBuf *buf, size_t max_bytes)
{
	/* Half the address space, so that doubling and the final 0 cannot overflow. */
	const size_t ceiling = SIZE_MAX / 2 - 1;

	*buf = (BmwBuf){.max_bytes = max_bytes < ceiling ? max_bytes : ceiling};
}

BmwStatus
bmw_buf_append(BmwBuf *buf, const void *bytes, size_t len)
{
	if (buf->status != BMW_OK)
		return buf->status;

	buf->status = reserve(buf, len);
	if (buf->status != BMW_OK)
		return buf->status;

	/* memcpy from NULL is undefined even for no bytes. */
	if (len > 0)
		memcpy(buf->data + buf->len, bytes, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
	return BMW_OK;
}

BmwStatus
bmw_buf_append_text(BmwBuf *buf, const char *text)
{
	return bmw_buf_append(buf, text, strlen(text));
}

void
bmw_buf_reset(BmwBuf *buf)
{
	buf->len = 0;
	buf->status = BMW_OK;
	if (buf->data != NULL)
		buf->data[0] = '\0';
}

void
bmw_buf_free(BmwBuf *buf)
{
	free(buf->data);
	bmw_buf_init(buf, buf->max_bytes);
}

/* Makes room for len more bytes and the final 0. */
static BmwStatus
reserve(BmwBuf *buf, size_t len)
{
	if (len > buf->max_bytes - buf->len)
		return BMW_ERROR_TOO_LARGE;

	const size_t needed = buf->len + len + 1;

	if (needed <= buf->capacity)
		return BMW_OK;

	size_t capacity = buf->capacity > 0 ? buf->capacity * 2 : FIRST_CAPACITY;

	if (capacity < needed)
		capacity = needed;
	if (capacity > buf->max_bytes + 1)
		capacity = buf->max_bytes + 1;

	char *data = realloc(buf->data, capacity);

	if (data == NULL)
		return BMW_ERROR_MEMORY;
	buf->data = data;
	buf->capacity = capacity;
	return BMW_OK;
}
