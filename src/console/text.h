/*
 * console/text.h - text that grows.
 *
 * Out of memory ends the program: a service manager starts it again, and no answer is cut short.
 */
#ifndef BMW_CONSOLE_TEXT_H
#define BMW_CONSOLE_TEXT_H

#include <stddef.h>

typedef struct BmwText
{
	char *data; /* 0-terminated; NULL while empty */
	size_t len;
	size_t size;
} BmwText;

extern void bmw_text_append(BmwText *text, const char *data, size_t len);
extern void bmw_text_add(BmwText *text, const char *string);
/* As a JSON string in quotes; NULL becomes null. The bytes are UTF-8 already. */
extern void bmw_text_add_json(BmwText *text, const char *string);
/* Takes this many bytes off its beginning. */
extern void bmw_text_drop(BmwText *text, size_t len);
/* Overwritten, as it may be what a secret was read from. */
extern void bmw_text_free(BmwText *text);

#endif
