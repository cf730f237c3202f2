/*
 * memory.c - allocations of the core that fail: the linker sends its calls here.
 */
#include <stdlib.h>
#include <string.h>

#include "dispatcher.h"
#include "trace.h"
#include "world.h"

extern void *__real_malloc(size_t size);
extern void *__real_calloc(size_t count, size_t size);
extern void *__real_realloc(void *before, size_t size);
extern void *__wrap_malloc(size_t size);
extern void *__wrap_calloc(size_t count, size_t size);
extern void *__wrap_realloc(void *before, size_t size);
extern char *__wrap_strdup(const char *text);

static bool may_fail;

static bool fails(void);

void
memory_begin(bool may)
{
	may_fail = may && PLAN_HAS(HAS_NO_MEMORY) && !world.is_calm;
}

void
memory_end(void)
{
	may_fail = false;
}

void *
__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *
__wrap_realloc(void *before, size_t size)
{
	return fails() ? NULL : __real_realloc(before, size);
}

char *
__wrap_strdup(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = fails() ? NULL : __real_malloc(size);

	return copy != NULL ? memcpy(copy, text, size) : NULL;
}

static bool
fails(void)
{
	if (!may_fail || !random_chance(2))
		return false;
	MET(MET_NO_MEMORY);
	world_fault(SECOND);
	return true;
}
