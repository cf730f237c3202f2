/*
 * console/text.c - text that grows.
 */
#include "console/text.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Not by realloc(), which would leave a copy of what may be a password. */
static void
make_room(BmwText *text, size_t len)
{
	size_t size = text->size > 0 ? text->size : 256;
	char *data;

	if (text->data != NULL && text->size - text->len > len)
		return;
	while (size - text->len <= len)
		size *= 2;
	data = malloc(size);
	if (data == NULL)
		errx(1, "out of memory");
	if (text->data != NULL)
	{
		memcpy(data, text->data, text->len);
		explicit_bzero(text->data, text->size);
		free(text->data);
	}
	text->data = data;
	text->size = size;
}

void
bmw_text_append(BmwText *text, const char *data, size_t len)
{
	make_room(text, len);
	if (len > 0)
		memcpy(text->data + text->len, data, len);
	text->len += len;
	text->data[text->len] = '\0';
}

void
bmw_text_add(BmwText *text, const char *string)
{
	bmw_text_append(text, string, strlen(string));
}

static void
add_json_character(BmwText *text, char c)
{
	char escaped[8];

	if (c == '"' || c == '\\')
		snprintf(escaped, sizeof(escaped), "\\%c", c);
	else if ((unsigned char) c < 0x20)
		snprintf(escaped, sizeof(escaped), "\\u%04x", (unsigned) c);
	else
		snprintf(escaped, sizeof(escaped), "%c", c);
	bmw_text_add(text, escaped);
}

void
bmw_text_add_json(BmwText *text, const char *string)
{
	if (string == NULL)
	{
		bmw_text_add(text, "null");
		return;
	}
	bmw_text_add(text, "\"");
	for (; *string != '\0'; string++)
		add_json_character(text, *string);
	bmw_text_add(text, "\"");
}

void
bmw_text_drop(BmwText *text, size_t len)
{
	if (len == 0)
		return;
	text->len -= len;
	memmove(text->data, text->data + len, text->len + 1);
}

void
bmw_text_free(BmwText *text)
{
	if (text->data != NULL)
		explicit_bzero(text->data, text->size);
	free(text->data);
	*text = (BmwText){0};
}
