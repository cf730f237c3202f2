/*
 * pg/server/private_file.h - a file that only the server may read.
 */
#ifndef BMW_PG_SERVER_PRIVATE_FILE_H
#define BMW_PG_SERVER_PRIVATE_FILE_H

#include "postgres.h"

#define BMW_PRIVATE_FILE_ERROR_SIZE 256

/*
 * Reads a regular file of at most max bytes (text has room for one more) that belongs to the user
 * of the server and is readable by nobody else, or to root and is readable by the server's group.
 * -1: error says why, as a sentence. The caller wipes the text.
 */
extern ssize_t bmw_private_file_read(const char *path, char *text, size_t max,
									 char error[BMW_PRIVATE_FILE_ERROR_SIZE]);

#endif
