/*
 * core/suspects.c - the requests under way when a process crashed, and which of them it crashes of.
 *
 * The marks are found by a hash table beside them, which only this process has. A mark is
 * complete before it says that it is in flight: the process may end between any two stores.
 */
#include "core/suspects.h"

#include <stdlib.h>
#include <string.h>

#define FORMAT 1
#define NONE (-1)
#define TOGETHER 32				  /* suspects of one crash in flight */
#define QUIET_US INT64_C(1000000) /* for others to end, before one is sent alone */
#define ALONE_US INT64_C(2000000) /* after that it hangs: others may start */

struct BmwSuspects
{
	BmwMarks *marks;
	int buckets[BMW_MARKS]; /* by the hash of their key */
	int next[BMW_MARKS];	/* in the bucket, or free */
	int free;
	int length;	   /* suspects */
	int in_flight; /* of all */
	int doubted;   /* in flight, of one crash */
	int alone;	   /* the one of more crashes that is in flight; NONE */
	int64_t alone_until_us;
	int64_t quiet_until_us; /* 0: nobody waits to be alone */
};

static bool is_ours(const BmwMarks *marks);
static void take_over(BmwSuspects *suspects, bool is_excused);
static int find(BmwSuspects *suspects, const BmwSuspectKey *key);
static int add(BmwSuspects *suspects, const BmwSuspectKey *key);
static void insert(BmwSuspects *suspects, int index);
static void drop(BmwSuspects *suspects, int index);
static int *bucket_of(BmwSuspects *suspects, const BmwSuspectKey *key);
static bool may_be_alone(BmwSuspects *suspects, int64_t now_us);
static void land(BmwSuspects *suspects, int index);

BmwSuspects *
bmw_suspects_create(BmwMarks *marks)
{
	BmwSuspects *suspects = calloc(1, sizeof(*suspects));
	bool is_excused;

	if (suspects == NULL)
		return NULL;
	if (!is_ours(marks))
		memset(marks, 0, sizeof(*marks));
	is_excused = marks->is_excused != 0;
	marks->is_excused = 0;
	marks->format = FORMAT;
	suspects->marks = marks;
	suspects->free = suspects->alone = NONE;
	memset(suspects->buckets, 0xff, sizeof(suspects->buckets));
	take_over(suspects, is_excused);
	return suspects;
}

void
bmw_suspects_destroy(BmwSuspects *suspects)
{
	free(suspects);
}

int
bmw_suspects_length(const BmwSuspects *suspects)
{
	return suspects->length;
}

const BmwMark *
bmw_suspects_culprit(const BmwSuspects *suspects)
{
	for (int i = 0; suspects->length > 0 && i < BMW_MARKS; i++)
		if (suspects->marks->items[i].crashes >= BMW_CRASHES_MAX)
			return &suspects->marks->items[i];
	return NULL;
}

void
bmw_suspects_forget(BmwSuspects *suspects, const BmwMark *mark)
{
	drop(suspects, (int) (mark - suspects->marks->items));
}

bool
bmw_suspects_may_start(BmwSuspects *suspects, const BmwSuspectKey *key, int64_t now_us)
{
	int index;
	uint32_t crashes;

	/* as always, but after a crash */
	if (suspects->length == 0)
		return true;
	index = find(suspects, key);
	crashes = index == NONE ? 0 : suspects->marks->items[index].crashes;
	if (suspects->alone != NONE && (crashes > 1 || now_us < suspects->alone_until_us))
		return false;
	if (crashes > 1)
		return may_be_alone(suspects, now_us);
	return now_us >= suspects->quiet_until_us && (crashes == 0 || suspects->doubted < TOGETHER);
}

void
bmw_suspects_started(BmwSuspects *suspects, const BmwSuspectKey *key, int64_t now_us)
{
	int index = find(suspects, key);
	BmwMark *mark;

	if (index == NONE)
		index = add(suspects, key);
	if (index == NONE)
		return;
	mark = &suspects->marks->items[index];
	mark->is_in_flight = 1;
	suspects->in_flight++;
	if (mark->crashes == 1)
		suspects->doubted++;
	if (mark->crashes <= 1)
		return;
	suspects->alone = index;
	suspects->alone_until_us = now_us + ALONE_US;
	suspects->quiet_until_us = 0;
}

void
bmw_suspects_ended(BmwSuspects *suspects, const BmwSuspectKey *key)
{
	int index = find(suspects, key);

	if (index == NONE)
		return;
	land(suspects, index);
	drop(suspects, index);
}

void
bmw_suspects_withdrawn(BmwSuspects *suspects, const BmwSuspectKey *key)
{
	int index = find(suspects, key);

	if (index == NONE)
		return;
	land(suspects, index);
	if (suspects->marks->items[index].crashes == 0)
		drop(suspects, index);
}

void
bmw_suspects_excuse(BmwMarks *marks)
{
	marks->is_excused = 1;
}

static bool
is_ours(const BmwMarks *marks)
{
	return marks->format == FORMAT;
}

/* Free places are taken from the first on, so that few pages are ever touched. */
static void
take_over(BmwSuspects *suspects, bool is_excused)
{
	for (int i = BMW_MARKS - 1; i >= 0; i--)
	{
		BmwMark *mark = &suspects->marks->items[i];

		if (mark->is_in_flight != 0 && !is_excused)
			mark->crashes++;
		mark->is_in_flight = 0;
		suspects->next[i] = suspects->free;
		if (mark->crashes == 0)
			suspects->free = i;
		else
			insert(suspects, i);
	}
}

static int
find(BmwSuspects *suspects, const BmwSuspectKey *key)
{
	int index = *bucket_of(suspects, key);

	while (index != NONE && memcmp(&suspects->marks->items[index].key, key, sizeof(*key)) != 0)
		index = suspects->next[index];
	return index;
}

/* NONE: there is no place. */
static int
add(BmwSuspects *suspects, const BmwSuspectKey *key)
{
	int index = suspects->free;

	if (index == NONE)
		return NONE;
	suspects->free = suspects->next[index];
	suspects->marks->items[index] = (BmwMark){.key = *key};
	insert(suspects, index);
	return index;
}

static void
insert(BmwSuspects *suspects, int index)
{
	const BmwMark *mark = &suspects->marks->items[index];
	int *bucket = bucket_of(suspects, &mark->key);

	suspects->next[index] = *bucket;
	*bucket = index;
	suspects->length += mark->crashes > 0;
}

static void
drop(BmwSuspects *suspects, int index)
{
	BmwMark *mark = &suspects->marks->items[index];
	int *link = bucket_of(suspects, &mark->key);

	while (*link != index)
		link = &suspects->next[*link];
	*link = suspects->next[index];
	suspects->length -= mark->crashes > 0;
	mark->is_in_flight = 0;
	mark->crashes = 0;
	suspects->next[index] = suspects->free;
	suspects->free = index;
}

/* The last bytes of an id are random. */
static int *
bucket_of(BmwSuspects *suspects, const BmwSuspectKey *key)
{
	uint64_t hash;

	memcpy(&hash, key->event_id.bytes + 8, sizeof(hash));
	hash = (hash ^ (uint64_t) key->endpoint_id) * UINT64_C(0x9e3779b97f4a7c15);
	return &suspects->buckets[hash >> 32 & (BMW_MARKS - 1)];
}

/* Others that hang are not waited for. */
static bool
may_be_alone(BmwSuspects *suspects, int64_t now_us)
{
	if (suspects->in_flight == 0)
		return true;
	if (suspects->quiet_until_us == 0)
		suspects->quiet_until_us = now_us + QUIET_US;
	return now_us >= suspects->quiet_until_us;
}

static void
land(BmwSuspects *suspects, int index)
{
	BmwMark *mark = &suspects->marks->items[index];

	mark->is_in_flight = 0;
	suspects->in_flight--;
	if (mark->crashes == 1)
		suspects->doubted--;
	if (suspects->alone != index)
		return;
	suspects->alone = NONE;
	suspects->alone_until_us = 0;
}
