/*
 * pg/server/key_file.c - the file that bm_webhook.secret_key_file names.
 *
 * The hook that checks the setting reads the file, so a reload with a file that
 * cannot be used is refused like any other mistake in the configuration, and the
 * keys stay as they were. At the start of a server there are none yet: then the
 * setting stands with its error, as without it secrets would be written in plain
 * text and nobody would notice.
 */
#include "postgres.h"

#include "pg/server/key_file.h"

#include "access/parallel.h"
#include "pg/server/compat.h"
#include "pg/server/private_file.h"

typedef struct KeyFile
{
	BmwKeyRing ring;
	char error[BMW_PRIVATE_FILE_ERROR_SIZE]; /* '': it can be used */
} KeyFile;

bool bmw_key_file_is_starting = false;

static const KeyFile *current = NULL; /* NULL: none is configured */
static KeyFile known;				  /* the last one, to see whether the next one is another */
static uint32 version = 0;

static bool read_file(const char *path, KeyFile *file);
static bool parse(const char *text, size_t len, KeyFile *file);
static bool fail(KeyFile *file, const char *format, ...) pg_attribute_printf(2, 3);

bool
bmw_key_file_check(char **newval, void **extra, GucSource source)
{
	KeyFile *file;

	if (**newval == '\0')
		return true;
	file = bmw_guc_malloc(LOG, sizeof(*file));
	if (file == NULL)
		return false;
	memset(file, 0, sizeof(*file));
	*extra = file;
	if (read_file(*newval, file))
		return true;
	/* no keys are better than those that nobody has configured: none */
	if (bmw_key_file_is_starting || InitializingParallelWorker)
	{
		ereport(LOG, errmsg("bm_webhook.secret_key_file cannot be used"),
				errdetail("%s", file->error),
				errhint("Secrets are neither read nor written until it can."));
		return true;
	}
	GUC_check_errdetail("%s", file->error);
	bmw_guc_free(file);
	*extra = NULL;
	return false;
}

void
bmw_key_file_assign(const char *newval, void *extra)
{
	const KeyFile *file = extra;

	current = file;
	if (file == NULL ? known.ring.length == 0
					 : memcmp(&file->ring, &known.ring, sizeof(known.ring)) == 0)
		return;
	memset(&known, 0, sizeof(known));
	if (file != NULL)
		known = *file;
	version++;
}

const BmwKeyRing *
bmw_key_file_ring(void)
{
	return current != NULL && current->error[0] == '\0' ? &current->ring : NULL;
}

const char *
bmw_key_file_error(void)
{
	return current != NULL && current->error[0] != '\0' ? current->error : NULL;
}

uint32
bmw_key_file_version(void)
{
	return version;
}

static bool
read_file(const char *path, KeyFile *file)
{
	char text[BMW_KEY_FILE_MAX + 1];
	const ssize_t len = bmw_private_file_read(path, text, BMW_KEY_FILE_MAX, file->error);
	bool is_parsed;

	if (len < 0)
		return false;
	is_parsed = parse(text, (size_t) len, file);
	explicit_bzero(text, sizeof(text));
	return is_parsed;
}

static bool
parse(const char *text, size_t len, KeyFile *file)
{
	int line;
	BmwStatus result = bmw_key_ring_parse(text, len, &file->ring, &line);

	if (result == BMW_OK)
		return true;
	if (line == 0)
		return fail(file, "It has no key.");
	return fail(file, "Line %d: %s", line, bmw_status_text(result));
}

/* The postmaster is no place for memory that an error would leave. */
static bool
fail(KeyFile *file, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(file->error, sizeof(file->error), format, arguments);
	va_end(arguments);
	return false;
}
