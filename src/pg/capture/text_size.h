/*
 * pg/capture/text_size.h - how long would the text of a value be?
 *
 * A value may be small and its text huge: the number 1e130000 has ten bytes, and
 * an array of it in jsonb a gigabyte of text. What is too long is found out
 * before it is written, without the text and within a few times the limit.
 */
#ifndef BMW_PG_CAPTURE_TEXT_SIZE_H
#define BMW_PG_CAPTURE_TEXT_SIZE_H

#include "postgres.h"

#include "utils/jsonb.h"

/*
 * At least the length of the value's text, as far as it is known without
 * writing it, or any number over the limit as soon as it is longer than that.
 * Quotes and escapes are not counted. type: may be a domain.
 */
extern int64 bmw_text_size(Datum value, Oid type, int64 limit);
extern int64 bmw_text_size_jsonb(Jsonb *value, int64 limit);

#endif
