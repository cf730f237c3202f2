/*
 * fuzz_archive.c - what is put into a command is one word of the shell, whatever is in it.
 *
 * The first line is the command, the second the file, the rest the database.
 */
#include "core/archive.h"

#include "fuzz.h"

/* Reads a word as a shell does: from quote to quote, and \' between two of them. Returns what is behind it. */
static const char *
require_word(const char *text, const char *word)
{
	REQUIRE(*text++ == '\'');
	for (; *word != '\0'; word++)
		if (*word == '\'')
		{
			REQUIRE(strncmp(text, "'\\''", 4) == 0);
			text += 4;
		}
		else
			REQUIRE(*text++ == *word);
	REQUIRE(*text++ == '\'');
	return text;
}

static void
require_expanded(const char *command, const char *text, const char *file, const char *database)
{
	for (; *command != '\0'; command++)
		if (*command != '%')
			REQUIRE(*text++ == *command);
		else if (*++command == '%')
			REQUIRE(*text++ == '%');
		else
			text = require_word(text, *command == 'f' ? file : database);
	REQUIRE(*text == '\0');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *command = fuzz_line(&data, &size);
	char *file = fuzz_line(&data, &size);
	char *database = fuzz_text(data, size);

	if (bmw_archive_is_valid(command))
	{
		char *text = bmw_archive_expand(command, file, database);

		REQUIRE(text != NULL);
		require_expanded(command, text, file, database);
		free(text);
	}
	free(command);
	free(file);
	free(database);
	return 0;
}
