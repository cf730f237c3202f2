/*
 * core/archive.h - the shell command that is given a partition before it is dropped.
 *
 * %f in it stands for the name of a file, %d for the database, %% for a percent sign.
 */
#ifndef BMW_CORE_ARCHIVE_H
#define BMW_CORE_ARCHIVE_H

#include <stdbool.h>

extern bool bmw_archive_is_valid(const char *command);

/*
 * The command with both put in, each as one word of the shell whatever is in it; to be
 * freed. NULL: out of memory. The command must be valid.
 */
extern char *bmw_archive_expand(const char *command, const char *file, const char *database);

#endif
