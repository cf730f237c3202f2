/*
 * pg/server/key_file.h - the file that bm_webhook.secret_key_file names.
 *
 * It is read when the configuration is, by each process for itself: so all of them
 * go on with the keys that they have when it cannot be used any more.
 */
#ifndef BMW_PG_SERVER_KEY_FILE_H
#define BMW_PG_SERVER_KEY_FILE_H

#include "postgres.h"

#include "core/key_ring.h"
#include "utils/guc.h"

/* While the setting is being defined a file that cannot be used is no reason to fall back to none. */
extern bool bmw_key_file_is_starting;

/* Hooks of the setting. */
extern bool bmw_key_file_check(char **newval, void **extra, GucSource source);
extern void bmw_key_file_assign(const char *newval, void *extra);

/* NULL: secrets are not encrypted, because no file is configured, or (see the error) it cannot be used. */
extern const BmwKeyRing *bmw_key_file_ring(void);
/* Why the file that is configured cannot be used: a sentence. NULL: it can, or there is none. */
extern const char *bmw_key_file_error(void);
/* Another number after the keys have been read again and are others. */
extern uint32 bmw_key_file_version(void);

#endif
