/*
 * core/delays.c - the retry delays of very many endpoints, most of which have the same.
 */
#include "core/delays.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef struct Delays
{
	int users;
	int length;
	int64_t us[];
} Delays;

static bool is_of(const int64_t *delays, const BmwSchedule *schedule);
static Delays *create(const BmwSchedule *schedule);
static Delays *list_of(const int64_t *delays);

const int64_t *
bmw_delays_share(const int64_t **latest, const BmwSchedule *schedule)
{
	if (!is_of(*latest, schedule))
	{
		Delays *made = create(schedule);

		if (made == NULL)
			return NULL;
		bmw_delays_release(*latest);
		*latest = made->us;
	}
	list_of(*latest)->users++;
	return *latest;
}

void
bmw_delays_release(const int64_t *delays)
{
	if (delays != NULL && --list_of(delays)->users == 0)
		free(list_of(delays));
}

static bool
is_of(const int64_t *delays, const BmwSchedule *schedule)
{
	const size_t length = (size_t) schedule->length;

	return delays != NULL && list_of(delays)->length == schedule->length &&
		   (length == 0 || memcmp(delays, schedule->delays_us, sizeof(*delays) * length) == 0);
}

/* With one user. */
static Delays *
create(const BmwSchedule *schedule)
{
	const size_t size = sizeof(int64_t) * (size_t) schedule->length;
	Delays *made = malloc(sizeof(*made) + size);

	if (made == NULL)
		return NULL;
	*made = (Delays){.users = 1, .length = schedule->length};
	if (size > 0)
		memcpy(made->us, schedule->delays_us, size);
	return made;
}

static Delays *
list_of(const int64_t *delays)
{
	return (Delays *) ((char *) (uintptr_t) delays - offsetof(Delays, us));
}
