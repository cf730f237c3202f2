/*
 * core/sockets.c - what an epoll set watches, changed as late as possible.
 *
 * The kernel forgets a descriptor by itself when it is closed. A descriptor
 * that is closed without our knowledge (the name resolver's) could come back
 * under the same number while the table still believes it watched: those are
 * removed as soon as nobody wants them, only ours may linger.
 */
#include "core/sockets.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM 8 /* the resolver's pair, then sockets and files of the C library */

static BmwSocket *entry(BmwSockets *sockets, int fd);
static bool apply_one(BmwSockets *sockets, int fd);
static void watch(BmwSockets *sockets, int fd, uint8_t events);

bool
bmw_sockets_init(BmwSockets *sockets)
{
	*sockets = (BmwSockets){.epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
	return sockets->epoll_fd >= 0;
}

void
bmw_sockets_free(BmwSockets *sockets)
{
	if (sockets->epoll_fd >= 0)
		close(sockets->epoll_fd);
	free(sockets->table);
	free(sockets->dirty);
	*sockets = (BmwSockets){.epoll_fd = -1};
}

bool
bmw_sockets_opened(BmwSockets *sockets, int fd, void *owner)
{
	BmwSocket *socket = entry(sockets, fd);

	if (socket == NULL)
		return false;
	socket->owner = owner;
	socket->wanted = socket->applied = 0;
	/* whoever opens one waits until it is connected; a change needs no room in the kernel any more */
	watch(sockets, fd, EPOLLOUT);
	socket->is_ours = socket->applied != 0;
	return socket->is_ours;
}

void
bmw_sockets_closing(BmwSockets *sockets, int fd)
{
	if (fd >= sockets->table_length)
		return;
	sockets->table[fd].is_ours = false;
	sockets->table[fd].wanted = sockets->table[fd].applied = 0;
}

bool
bmw_sockets_want(BmwSockets *sockets, int fd, uint8_t events, void *owner)
{
	BmwSocket *socket = entry(sockets, fd);

	if (socket == NULL)
		return false;
	socket->owner = owner;
	socket->wanted = events;
	if (events == 0 && !socket->is_ours && socket->applied != 0)
		watch(sockets, fd, 0);
	if (socket->wanted != socket->applied && !socket->is_dirty)
	{
		socket->is_dirty = true;
		sockets->dirty[sockets->dirty_length++] = fd;
	}
	return true;
}

void *
bmw_sockets_owner(const BmwSockets *sockets, int fd)
{
	return sockets->table[fd].owner;
}

void
bmw_sockets_apply(BmwSockets *sockets)
{
	int left = 0;

	for (int i = 0; i < sockets->dirty_length; i++)
		if (!apply_one(sockets, sockets->dirty[i]))
			sockets->dirty[left++] = sockets->dirty[i];
	sockets->dirty_length = left;
	sockets->is_full = left > 0;
}

int
bmw_sockets_ready(BmwSockets *sockets, struct epoll_event *events, int capacity)
{
	int ready = epoll_wait(sockets->epoll_fd, events, capacity, 0);
	int kept = 0;

	for (int i = 0; i < ready; i++)
	{
		int fd = events[i].data.fd;

		if (sockets->table[fd].wanted == 0)
			watch(sockets, fd, 0); /* an idle connection was closed by its peer */
		else
			events[kept++] = events[i];
	}
	return kept;
}

/* False: it is still to be done. */
static bool
apply_one(BmwSockets *sockets, int fd)
{
	BmwSocket *socket = &sockets->table[fd];

	if (socket->wanted != socket->applied && (socket->wanted != 0 || !socket->is_ours))
		watch(sockets, fd, socket->wanted);
	socket->is_dirty = socket->wanted != socket->applied && socket->wanted != 0;
	return !socket->is_dirty;
}

bool
bmw_sockets_have_room(void)
{
	int opened[ROOM];
	int length = 0;
	bool has_room;

	while (length < ROOM && (opened[length] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) >= 0)
		length++;
	has_room = length == ROOM;
	while (length > 0)
		close(opened[--length]);
	return has_room;
}

/* What fails because the kernel has no room, or does not know it any more, is not watched then. */
static void
watch(BmwSockets *sockets, int fd, uint8_t events)
{
	BmwSocket *socket = &sockets->table[fd];
	struct epoll_event event = {.events = events, .data.fd = fd};
	int operation = events == 0			   ? EPOLL_CTL_DEL
					: socket->applied == 0 ? EPOLL_CTL_ADD
										   : EPOLL_CTL_MOD;

	socket->applied = epoll_ctl(sockets->epoll_fd, operation, fd, &event) == 0 ? events : 0;
}

static BmwSocket *
entry(BmwSockets *sockets, int fd)
{
	if (fd >= sockets->table_length)
	{
		int wanted = (fd + 1) * 2 < 64 ? 64 : (fd + 1) * 2;
		BmwSocket *table = realloc(sockets->table, (size_t) wanted * sizeof(*table));

		if (table == NULL)
			return NULL;
		memset(table + sockets->table_length, 0,
			   (size_t) (wanted - sockets->table_length) * sizeof(*table));
		sockets->table = table;

		int *dirty = realloc(sockets->dirty, (size_t) wanted * sizeof(*dirty));

		if (dirty == NULL)
			return NULL;
		sockets->dirty = dirty;
		sockets->table_length = wanted;
	}
	return &sockets->table[fd];
}
