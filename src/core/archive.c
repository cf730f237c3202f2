/*
 * core/archive.c - the shell command that is given a partition before it is dropped.
 */
#include "core/archive.h"

#include <stdlib.h>
#include <string.h>

#define QUOTE "'\\''" /* a quote within quotes, for a shell */

/* Writes, or only counts while text is NULL. */
typedef struct Output
{
	char *text;
	size_t length;
} Output;

static void expand(Output *output, const char *command, const char *file, const char *database);
static void put_word(Output *output, const char *word);
static void put(Output *output, const char *text, size_t length);

bool
bmw_archive_is_valid(const char *command)
{
	for (const char *at = strchr(command, '%'); at != NULL; at = strchr(at + 2, '%'))
		if (at[1] != 'f' && at[1] != 'd' && at[1] != '%')
			return false;
	return true;
}

char *
bmw_archive_expand(const char *command, const char *file, const char *database)
{
	Output output = {0};
	char *text;

	expand(&output, command, file, database);
	text = malloc(output.length + 1);
	if (text == NULL)
		return NULL;
	output = (Output){.text = text};
	expand(&output, command, file, database);
	text[output.length] = '\0';
	return text;
}

static void
expand(Output *output, const char *command, const char *file, const char *database)
{
	for (const char *at = command; *at != '\0'; at++)
	{
		if (*at != '%')
		{
			put(output, at, 1);
			continue;
		}
		at++;
		if (*at == 'f')
			put_word(output, file);
		else if (*at == 'd')
			put_word(output, database);
		else
			put(output, at, 1);
	}
}

static void
put_word(Output *output, const char *word)
{
	put(output, "'", 1);
	for (; *word != '\0'; word++)
		if (*word == '\'')
			put(output, QUOTE, strlen(QUOTE));
		else
			put(output, word, 1);
	put(output, "'", 1);
}

static void
put(Output *output, const char *text, size_t length)
{
	if (output->text != NULL)
		memcpy(output->text + output->length, text, length);
	output->length += length;
}
