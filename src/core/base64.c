/*
 * core/base64.c - base64 (RFC 4648), strictly.
 *
 * Written here because OpenSSL's decoder skips blanks and forgives.
 */
#include "core/base64.h"

static int value_of(char c);

size_t
bmw_base64_encode(const uint8_t *bytes, size_t len, char *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *end = out;

	for (size_t i = 0; i < len; i += 3)
	{
		const size_t rest = len - i;
		const uint32_t group = (uint32_t) bytes[i] << 16 |
							   (rest > 1 ? (uint32_t) bytes[i + 1] << 8 : 0) |
							   (rest > 2 ? (uint32_t) bytes[i + 2] : 0);

		*end++ = digits[group >> 18];
		*end++ = digits[group >> 12 & 63];
		*end++ = rest > 1 ? digits[group >> 6 & 63] : '=';
		*end++ = rest > 2 ? digits[group & 63] : '=';
	}
	*end = '\0';
	return (size_t) (end - out);
}

bool
bmw_base64_decode(const char *text, size_t len, uint8_t *out, size_t *out_len)
{
	const size_t padding = len >= 4 && text[len - 1] == '=' ? (text[len - 2] == '=' ? 2 : 1) : 0;

	*out_len = 0;
	if (len % 4 != 0)
		return false;
	for (size_t i = 0; i < len; i += 4)
	{
		uint32_t group = 0;
		const size_t skipped = i + 4 == len ? padding : 0;

		for (size_t j = 0; j < 4; j++)
		{
			const int value = j < 4 - skipped ? value_of(text[i + j]) : 0;

			if (value < 0)
				return false;
			group = group << 6 | (uint32_t) value;
		}
		if ((group & ((UINT32_C(1) << (8 * skipped)) - 1)) != 0)
			return false;
		for (size_t j = 0; j < 3 - skipped; j++)
			out[(*out_len)++] = (uint8_t) (group >> (16 - 8 * j));
	}
	return true;
}

static int
value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}
