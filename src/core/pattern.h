/*
 * core/pattern.h - event types and the patterns that subscribe to them.
 *
 * Type: [a-z0-9_]+(\.[a-z0-9_]+)+, at most 128 bytes. Pattern: a type; a type
 * prefix followed by ".*" (message.* matches message.sent and message.a.b, not
 * message); or "*", which matches everything but operational types: those about
 * webhooks themselves (webhook.*, endpoint.*, delivery.*) go to whoever asks for
 * them. A pattern has at most 128 bytes too.
 */
#ifndef BMW_CORE_PATTERN_H
#define BMW_CORE_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#define BMW_EVENT_TYPE_MAX_BYTES 128
#define BMW_MAX_PATTERNS 100 /* of an endpoint, and of what an application mutes */

extern bool bmw_event_type_is_valid(const char *type, size_t len);
/* 0-terminated and valid. */
extern bool bmw_event_type_is_operational(const char *type);
extern bool bmw_pattern_is_valid(const char *pattern, size_t len);
/* Both 0-terminated and valid. */
extern bool bmw_pattern_matches(const char *pattern, const char *type);

#endif
