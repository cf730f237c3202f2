/*
 * core/buf.h - a growable byte buffer that always has a ceiling.
 *
 * The bytes are not a C string until bmw_buf_append() is followed by reading
 * data[len], which is always 0. A failed append leaves the content as it was
 * and is remembered in `status`: every later append fails with it too, until
 * reset, so that a series of appends is checked once and never leaves a hole.
 */
#ifndef BMW_CORE_BUF_H
#define BMW_CORE_BUF_H

#include <stddef.h>

#include "core/status.h"

typedef struct BmwBuf
{
	char *data; /* malloc'd, NULL until the first append */
	size_t len; /* bytes in use, without the final 0 */
	size_t capacity;
	size_t max_bytes; /* ceiling for len */
	BmwStatus status; /* first failure since init or reset */
} BmwBuf;

extern void bmw_buf_init(BmwBuf *buf, size_t max_bytes);
extern BmwStatus bmw_buf_append(BmwBuf *buf, const void *bytes, size_t len);
/* Appends a 0-terminated string of ours (never a payload). */
extern BmwStatus bmw_buf_append_text(BmwBuf *buf, const char *text);
/* Empties it, keeps the memory, forgets the failure. */
extern void bmw_buf_reset(BmwBuf *buf);
extern void bmw_buf_free(BmwBuf *buf);

#endif
