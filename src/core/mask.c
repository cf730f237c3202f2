/*
 * core/mask.c - what a receiver gives back of what it was sent to know us by.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem() */
#endif

#include "core/mask.h"

#include <stdbool.h>
#include <string.h>

#include "core/header.h"

#define LEAST 8		   /* what is shorter stands in any text */
#define LEAST_AT_END 4 /* of what is cut off */
#define BASE64 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\\"

static void hide_forms(char *text, size_t len, const char *value);
static void hide(char *text, size_t len, const char *value);
static bool escape(const char *value, char *out, const char *special);
static void hide_after(char *text, size_t len, const char *prefix);

void
bmw_mask_value(char *text, size_t len, const char *value)
{
	const char *blank = strrchr(value, ' ');

	hide_forms(text, len, value);
	if (blank != NULL)
		hide_forms(text, len, blank + 1);
}

void
bmw_mask_secrets(char *text, size_t len)
{
	hide_after(text, len, "whsec_");
	hide_after(text, len, "whsk_");
}

/* PHP escapes slashes, too. */
static void
hide_forms(char *text, size_t len, const char *value)
{
	char escaped[2 * BMW_HEADER_LINE_SIZE];

	hide(text, len, value);
	if (escape(value, escaped, "\"\\"))
		hide(text, len, escaped);
	if (escape(value, escaped, "\"\\/"))
		hide(text, len, escaped);
}

/* memmem() takes as long as both are long together, whatever they are. */
static void
hide(char *text, size_t len, const char *value)
{
	const size_t value_len = strlen(value);
	const char *const end = text + len;
	char *found = text;

	if (value_len < LEAST)
		return;
	while ((found = memmem(found, (size_t) (end - found), value, value_len)) != NULL)
		memset(found, '*', value_len);
	for (size_t part = value_len < len ? value_len : len; part >= LEAST_AT_END; part--)
		if (memcmp(end - part, value, part) == 0)
			memset(text + len - part, '*', part);
}

/* False: it is the same. */
static bool
escape(const char *value, char *out, const char *special)
{
	bool is_other = false;

	for (; *value != '\0'; value++)
	{
		if (strchr(special, *value) != NULL)
		{
			*out++ = '\\';
			is_other = true;
		}
		*out++ = *value;
	}
	*out = '\0';
	return is_other;
}

static void
hide_after(char *text, size_t len, const char *prefix)
{
	const size_t prefix_len = strlen(prefix);
	char *const end = text + len;

	while ((text = memmem(text, (size_t) (end - text), prefix, prefix_len)) != NULL)
		for (text += prefix_len; text < end && *text != '\0' && strchr(BASE64, *text) != NULL;
			 text++)
			*text = '*';
}
