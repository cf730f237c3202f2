/*
 * registry.c - a model of the endpoints: what each is now, and whom an event is for.
 */
#include "registry.h"

#include <stdio.h>
#include <string.h>

#include "operations.h"
#include "trace.h"
#include "world.h"

Registry registry;

static const char *const applications[APPLICATIONS] = {"bank", "shop", "clinic"};
static const char *const types[TYPES] = {"order.made", "order.paid", "message.sent",
										 "message.failed"};
static const int64_t schedules[SCHEDULES][5] = {{1 * SECOND, 5 * SECOND, -1},
												{SECOND / 10, SECOND, 10 * SECOND, -1},
												{-1},
												{2 * SECOND, 20 * SECOND, 60 * SECOND, -1},
												{5 * SECOND, 300 * SECOND, -1}};

static bool matches(const Version *version, const Event *event, int endpoint);
static void note_order(Endpoint *endpoint, const Version *version);

void
registry_begin(void)
{
	memset(&registry, 0, sizeof(registry));
	for (int i = 0; i < MAX_ENDPOINTS; i++)
		registry.endpoints[i].ordered = INT64_MAX;
}

/* Of some of those with a rate limit. */
int
registry_places(int application)
{
	const int rate = registry.rates[application];

	return rate % 2 == 1 ? 1 + rate % 7 : 0;
}

uint32_t
registry_match(const Event *event)
{
	uint32_t set = 0;

	for (int i = 0; i < registry.length; i++)
		if (matches(&registry.endpoints[i].now, event, i))
			set |= UINT32_C(1) << i;
	return set;
}

uint32_t
registry_match_before(const Event *event)
{
	uint32_t set = 0;

	if (tables.endpoints_locked_until + 10 * SECOND <= world.now &&
		registry.unclear_until <= world.now)
		return 0;
	for (int i = 0; i < registry.length; i++)
		if (matches(&registry.endpoints[i].before, event, i))
			set |= UINT32_C(1) << i;
	return set;
}

bool
registry_fits(const Version *version, const Event *event, int endpoint)
{
	return event->created >= version->since &&
		   (event->endpoint == endpoint || version->application == NO_APPLICATION ||
			version->application == event->application);
}

void
registry_install(int number, const Version *version)
{
	Endpoint *endpoint = &registry.endpoints[number];

	note_order(endpoint, version);
	if (version->types != endpoint->now.types ||
		version->application != endpoint->now.application ||
		version->is_enabled != endpoint->now.is_enabled ||
		version->exists != endpoint->now.exists || version->since != endpoint->now.since)
		endpoint->before = endpoint->now;
	endpoint->now = *version;
	endpoint->changed = registry.changed = world.now;
	if (number >= registry.length)
		registry.length = number + 1;
	for (int i = 0; i < tables.events_length; i++)
		if (tables.events[i].is_committed && matches(version, &tables.events[i], number))
			tables.events[i].may |= UINT32_C(1) << number;
	operations_note_change(number);
	registry_forgive();
}

bool
registry_has_secret(const Version *version)
{
	return version->has_secret &&
		   (version->secret_until == 0 || version->secret_until > world_wall());
}

int64_t
registry_expiry(const Version *version, const Event *event)
{
	int64_t old = version->ttl > 0 ? bmw_uuid_unix_us(&event->id) + version->ttl : INT64_MAX;
	int64_t expires = event->expires != 0 ? event->expires : INT64_MAX;

	return old < expires ? old : expires;
}

bool
registry_is_paused(const Version *version)
{
	return version->is_paused ||
		   (version->application != NO_APPLICATION && registry.are_paused[version->application]);
}

void
registry_pause(int application, bool is_paused)
{
	if (application == NO_APPLICATION)
		registry.is_paused = is_paused;
	else
		registry.are_paused[application] = is_paused;
	registry.pauses_changed = world.now;
}

void
registry_blur(int number)
{
	registry.unclear_until = world.now + 10 * SECOND;
	if (registry.endpoints[number].ordered != INT64_MAX)
		registry.endpoints[number].ordered = registry.unclear_until;
}

void
registry_restore(int number, const Version *version)
{
	registry.endpoints[number].now = *version;
	registry.endpoints[number].changed = registry.changed = world.now;
}

void
registry_forgive(void)
{
	for (int i = 0; i < tables.events_length; i++)
		for (int e = 0; tables.events[i].must >> e != 0; e++)
			if ((tables.events[i].must >> e & 1) != 0 && pair_of(i, e)->row.status == ROW_NONE &&
				pair_of(i, e)->row.aside == ROW_NONE &&
				!matches(&registry.endpoints[e].now, &tables.events[i], e))
			{
				tables.events[i].must &= ~(UINT32_C(1) << e);
				pair_of(i, e)->canceled_by = 0;
			}
}

const int64_t *
registry_delays(int schedule, int *length)
{
	for (*length = 0; schedules[schedule][*length] > 0;)
		++*length;
	return schedules[schedule];
}

int64_t
registry_delay(const Version *version, int attempt)
{
	int length;
	const int64_t *delays = registry_delays(version->schedule, &length);

	return attempt >= 1 && attempt <= length ? delays[attempt - 1] : -1;
}

const char *
registry_application(int application)
{
	return application >= 0 ? applications[application] : NULL;
}

const char *
registry_type(int type)
{
	return types[type];
}

BmwEventSource
event_source(int number)
{
	static char names[MAX_MESSAGES][12];
	static char data[100000];
	const Event *event = &tables.events[number];
	char *name = event->message != NO_MESSAGE ? names[event->message] : NULL;

	if (name != NULL && name[0] == '\0')
		snprintf(name, sizeof(names[0]), "m%d", event->message);
	if (data[0] == '\0')
		memset(data, '1', sizeof(data));
	return (BmwEventSource){.id = event->id,
							.type = registry_type(event->type),
							.application = registry_application(event->application),
							.message_id = name,
							.timestamp_us = event->created,
							.expires_us = event->expires,
							.data = data,
							.data_len = (size_t) event->size};
}

uint64_t
registry_address(int endpoint, int url)
{
	return (uint64_t) ((endpoint + url) % ADDRESSES + 1);
}

int
registry_address_limit(void)
{
	const int most = world.plan.seed % 2 == 0 ? 9 : 60;

	return PLAN_HAS(HAS_ADDRESSES) ? 1 + (int) (world.plan.seed % (uint64_t) most) : 0;
}

bool
registry_is_strangers(int endpoint, int url)
{
	return (endpoint * 3 + url * 5) % 8 == 7;
}

int64_t
registry_id(int endpoint)
{
	return endpoint + 1;
}

int
registry_of(int64_t id)
{
	return (int) id - 1;
}

static bool
matches(const Version *version, const Event *event, int endpoint)
{
	if (!version->exists || !version->is_enabled || event->created < version->since)
		return false;
	if (event->endpoint != NOBODY)
		return event->endpoint == endpoint;
	return (version->application == NO_APPLICATION || version->application == event->application) &&
		   (version->types >> event->type & 1) != 0;
}

/* Only from here on the order is promised. */
static void
note_order(Endpoint *endpoint, const Version *version)
{
	const Version *now = &endpoint->now;

	if (!version->is_ordered)
		endpoint->ordered = INT64_MAX;
	else if (!now->is_ordered || !now->exists || now->application != version->application)
		endpoint->ordered = world.now;
}
