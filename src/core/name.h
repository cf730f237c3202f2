/*
 * core/name.h - what an application, a channel and a message id may be called.
 */
#ifndef BMW_CORE_NAME_H
#define BMW_CORE_NAME_H

#include <stdbool.h>

#define BMW_NAME_MAX_BYTES 128 /* application, message_id */
#define BMW_CHANNEL_MAX_BYTES 32

/* 1 to 128 bytes without control characters. */
extern bool bmw_name_is_valid(const char *name);
/* A lower-case short name: [a-z][a-z0-9_-]{0,31}. */
extern bool bmw_name_is_channel(const char *name);

#endif
