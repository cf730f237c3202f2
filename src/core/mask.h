/*
 * core/mask.h - what a receiver gives back of what it was sent to know us by.
 *
 * Receivers that are being written answer with the headers that they got, or with a page that has their
 * configuration. What is overwritten is so in place, by asterisks.
 */
#ifndef BMW_CORE_MASK_H
#define BMW_CORE_MASK_H

#include <stddef.h>

/*
 * The value of a header, and what follows its last blank, such as a token; also as a string of JSON, and where
 * the end of the text has cut it off. Of less than eight bytes: neither.
 */
extern void bmw_mask_value(char *text, size_t len, const char *value);
/* What looks like a secret of ours (secret.h). */
extern void bmw_mask_secrets(char *text, size_t len);

#endif
