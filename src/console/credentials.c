/*
 * console/credentials.c - what a sign-in sends: {"user": "...", "password": "..."}.
 */
#include "console/credentials.h"

#include <stdint.h>
#include <string.h>

typedef struct Input
{
	const char *at;
	const char *end;
} Input;

typedef struct Output
{
	char *data;
	size_t len;
	size_t size;
} Output;

static void
skip_space(Input *in)
{
	while (in->at < in->end && *in->at != '\0' && strchr(" \t\r\n", *in->at) != NULL)
		in->at++;
}

static bool
accept(Input *in, char c)
{
	skip_space(in);
	if (in->at == in->end || *in->at != c)
		return false;
	in->at++;
	return true;
}

static bool
put(Output *out, char c)
{
	if (c == '\0' || out->len + 1 >= out->size)
		return false;
	out->data[out->len++] = c;
	out->data[out->len] = '\0';
	return true;
}

static bool
put_code_point(Output *out, uint32_t c)
{
	if (c < 0x80)
		return put(out, (char) c);
	if (c < 0x800)
		return put(out, (char) (0xC0 | c >> 6)) && put(out, (char) (0x80 | (c & 0x3F)));
	if (c < 0x10000)
		return put(out, (char) (0xE0 | c >> 12)) && put(out, (char) (0x80 | (c >> 6 & 0x3F))) &&
			   put(out, (char) (0x80 | (c & 0x3F)));
	return put(out, (char) (0xF0 | c >> 18)) && put(out, (char) (0x80 | (c >> 12 & 0x3F))) &&
		   put(out, (char) (0x80 | (c >> 6 & 0x3F))) && put(out, (char) (0x80 | (c & 0x3F)));
}

static int
digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool
read_hex(Input *in, uint32_t *value)
{
	*value = 0;
	for (int i = 0; i < 4; i++, in->at++)
	{
		const int digit = in->at < in->end ? digit_value(*in->at) : -1;

		if (digit < 0)
			return false;
		*value = *value << 4 | (uint32_t) digit;
	}
	return true;
}

/* After "\u": one unit, or the two of a pair. */
static bool
read_unicode(Input *in, Output *out)
{
	uint32_t high, low;

	if (!read_hex(in, &high) || (high >= 0xDC00 && high < 0xE000))
		return false;
	if (high < 0xD800 || high >= 0xE000)
		return put_code_point(out, high);
	if (in->end - in->at < 2 || in->at[0] != '\\' || in->at[1] != 'u')
		return false;
	in->at += 2;
	if (!read_hex(in, &low) || low < 0xDC00 || low >= 0xE000)
		return false;
	return put_code_point(out, 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00));
}

static bool
read_escape(Input *in, Output *out)
{
	static const char names[] = "\"\\/bfnrt";
	static const char values[] = "\"\\/\b\f\n\r\t";
	const char *name;

	if (in->at == in->end || *in->at == '\0')
		return false;
	if (*in->at == 'u')
	{
		in->at++;
		return read_unicode(in, out);
	}
	name = strchr(names, *in->at++);
	return name != NULL && put(out, values[name - names]);
}

static bool
read_string(Input *in, char *data, size_t size)
{
	Output out = {.data = data, .size = size};

	data[0] = '\0';
	if (!accept(in, '"'))
		return false;
	while (in->at < in->end && *in->at != '"')
	{
		const char c = *in->at++;

		if ((unsigned char) c < 0x20)
			return false;
		if (!(c == '\\' ? read_escape(in, &out) : put(&out, c)))
			return false;
	}
	return in->at < in->end && *in->at++ == '"';
}

/* It is written to the log, where a line of its own would look like ours. */
static bool
is_printable(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char) *text < 0x20 || *text == 0x7F)
			return false;
	return true;
}

static bool
read_member(Input *in, BmwCredentials *out)
{
	char name[16];

	if (!read_string(in, name, sizeof(name)) || !accept(in, ':'))
		return false;
	if (strcmp(name, "user") == 0)
		return read_string(in, out->user, sizeof(out->user)) && is_printable(out->user);
	if (strcmp(name, "password") == 0)
		return read_string(in, out->password, sizeof(out->password));
	return false;
}

static bool
read_object(Input *in, BmwCredentials *out)
{
	if (!accept(in, '{'))
		return false;
	do
	{
		if (!read_member(in, out))
			return false;
	} while (accept(in, ','));
	if (!accept(in, '}'))
		return false;
	skip_space(in);
	return in->at == in->end && out->user[0] != '\0' && out->password[0] != '\0';
}

bool
bmw_credentials_parse(const char *json, size_t len, BmwCredentials *out)
{
	Input in = {.at = json, .end = json};

	*out = (BmwCredentials){0};
	/* nothing may be NULL, to which nothing can be added */
	if (len > 0)
		in.end += len;
	if (read_object(&in, out))
		return true;
	explicit_bzero(out, sizeof(*out));
	return false;
}
