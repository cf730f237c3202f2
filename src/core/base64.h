/*
 * core/base64.h - base64 (RFC 4648), strictly.
 */
#ifndef BMW_CORE_BASE64_H
#define BMW_CORE_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Characters that so many bytes become, without the final 0. */
#define BMW_BASE64_LEN(bytes) (((bytes) + 2) / 3 * 4)

/* Padded, followed by a 0; returns the length without it. */
extern size_t bmw_base64_encode(const uint8_t *bytes, size_t len, char *out);
/*
 * Whole groups, padding only at the end, no stray bits before it. out has room
 * for 3 bytes for every 4 characters. False: it is no such text.
 */
extern bool bmw_base64_decode(const char *text, size_t len, uint8_t *out, size_t *out_len);

#endif
