/*
 * core/retry_after.h - how long a response asks us to wait.
 *
 * RFC 9110 section 10.2.3: a number of seconds, or an HTTP date. What is in
 * the past, and what cannot be read, counts as absent: a receiver may ask for
 * later, never for sooner.
 */
#ifndef BMW_CORE_RETRY_AFTER_H
#define BMW_CORE_RETRY_AFTER_H

#include <stdint.h>

/* In microseconds, at most BMW_RETRY_AFTER_MAX_US; or BMW_RETRY_AFTER_NONE (core/outcome.h). */
extern int64_t bmw_retry_after_parse(const char *value, int64_t now_s);

#endif
