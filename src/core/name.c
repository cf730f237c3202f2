/*
 * core/name.c - what an application, a channel and a message id may be called.
 */
#include "core/name.h"

#include <string.h>

bool
bmw_name_is_valid(const char *name)
{
	size_t len = strnlen(name, BMW_NAME_MAX_BYTES + 1);

	for (size_t i = 0; i < len; i++)
		if ((unsigned char) name[i] < 0x20 || name[i] == 0x7F)
			return false;
	return len > 0 && len <= BMW_NAME_MAX_BYTES;
}

bool
bmw_name_is_channel(const char *name)
{
	size_t len = strnlen(name, BMW_CHANNEL_MAX_BYTES + 1);

	return name[0] >= 'a' && name[0] <= 'z' && len <= BMW_CHANNEL_MAX_BYTES &&
		   strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == len;
}
