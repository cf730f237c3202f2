/*
 * fuzz.h - what the fuzz drivers share.
 *
 * A driver feeds arbitrary bytes to one parser of src/core and requires what
 * must hold of any answer: "does not crash" alone finds little. Inputs are text,
 * split into lines where a driver needs several, so that the corpus can be read.
 */
#ifndef BMW_FUZZ_H
#define BMW_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(claim) ((claim) ? (void) 0 : fuzz_fail(#claim, __FILE__, __LINE__))

static inline void
fuzz_fail(const char *claim, const char *file, int line)
{
	fprintf(stderr, "%s:%d: %s is false\n", file, line, claim);
	abort();
}

/* malloc'd, 0-terminated, as long as the input: a read beyond its end is seen. */
static inline char *
fuzz_text(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	REQUIRE(text != NULL);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

/* The next line, malloc'd, without its end; what follows is left in data and size. */
static inline char *
fuzz_line(const uint8_t **data, size_t *size)
{
	const uint8_t *end = *size > 0 ? memchr(*data, '\n', *size) : NULL;
	const size_t len = end != NULL ? (size_t) (end - *data) : *size;
	char *line = fuzz_text(*data, len);
	const size_t taken = end != NULL ? len + 1 : len;

	*data += taken;
	*size -= taken;
	return line;
}

#endif
