/*
 * core/key_ring.c - the keys of a key file: the first one encrypts, all decrypt.
 */
#include "core/key_ring.h"

#include <openssl/crypto.h>
#include <stdbool.h>
#include <string.h>

#include "core/base64.h"

static BmwStatus add_line(BmwKeyRing *ring, const char *line, size_t len);
static bool is_id(const char *text, size_t len);
static bool is_id_byte(char c);
static bool is_blank(char c);

BmwStatus
bmw_key_ring_parse(const char *text, size_t len, BmwKeyRing *out, int *line)
{
	BmwStatus status = BMW_OK;

	*out = (BmwKeyRing){0};
	*line = 0;
	for (size_t at = 0; at < len && status == BMW_OK;)
	{
		const char *end = memchr(text + at, '\n', len - at);
		const size_t line_len = end != NULL ? (size_t) (end - text) - at : len - at;

		++*line;
		status = add_line(out, text + at, line_len);
		at += line_len + 1;
	}
	if (status == BMW_OK && out->length == 0)
	{
		*line = 0;
		status = BMW_ERROR_EMPTY;
	}
	if (status != BMW_OK)
		OPENSSL_cleanse(out, sizeof(*out));
	return status;
}

const BmwSealKey *
bmw_key_ring_find(const BmwKeyRing *ring, const char *id)
{
	for (int i = 0; i < ring->length; i++)
		if (strcmp(ring->keys[i].id, id) == 0)
			return &ring->keys[i];
	return NULL;
}

static BmwStatus
add_line(BmwKeyRing *ring, const char *line, size_t len)
{
	BmwSealKey *added = &ring->keys[ring->length];
	uint8_t key[BMW_KEY_FILE_MAX / 4 * 3 + 3];
	const char *colon;
	size_t key_len = 0;
	bool is_key;

	while (len > 0 && is_blank(line[len - 1]))
		len--;
	for (; len > 0 && is_blank(*line); len--)
		line++;
	if (len == 0 || *line == '#')
		return BMW_OK;
	if (ring->length == BMW_KEY_RING_MAX || len > BMW_KEY_FILE_MAX)
		return BMW_ERROR_TOO_LARGE;
	colon = memchr(line, ':', len);
	if (colon == NULL || !is_id(line, (size_t) (colon - line)))
		return BMW_ERROR_KEY_ID;
	memcpy(added->id, line, (size_t) (colon - line));
	if (bmw_key_ring_find(ring, added->id) != NULL)
		return BMW_ERROR_KEY_ID_TWICE;
	is_key = bmw_base64_decode(colon + 1, len - (size_t) (colon + 1 - line), key, &key_len) &&
			 key_len == sizeof(added->key);
	if (is_key)
		memcpy(added->key, key, sizeof(added->key));
	OPENSSL_cleanse(key, key_len);
	ring->length += is_key;
	return is_key ? BMW_OK : BMW_ERROR_KEY;
}

static bool
is_id(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!is_id_byte(text[i]))
			return false;
	return len > 0 && len <= BMW_KEY_ID_MAX;
}

static bool
is_id_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
		   c == '-' || c == '.';
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}
