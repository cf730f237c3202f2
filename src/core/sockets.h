/*
 * core/sockets.h - what an epoll set watches, changed as late as possible.
 *
 * A connection that has answered is mostly used again at once. So interest is
 * only noted when it changes and told to the kernel before the next wait; and
 * a socket of ours that nobody wants at the moment stays in the set until it
 * is heard of.
 */
#ifndef BMW_CORE_SOCKETS_H
#define BMW_CORE_SOCKETS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

typedef struct BmwSocket
{
	void *owner;
	uint8_t wanted;	 /* EPOLLIN, EPOLLOUT or both; 0: nothing */
	uint8_t applied; /* what the kernel watches */
	bool is_ours;	 /* opened and closed through us, so never closed unseen */
	bool is_dirty;	 /* listed to be applied */
} BmwSocket;

typedef struct BmwSockets
{
	int epoll_fd;
	BmwSocket *table; /* by descriptor */
	int table_length;
	int *dirty; /* room for table_length */
	int dirty_length;
	bool is_full; /* the kernel had no room for all: some are not heard of before the next time */
} BmwSockets;

extern bool bmw_sockets_init(BmwSockets *sockets);
extern void bmw_sockets_free(BmwSockets *sockets);
/* A socket that we opened, and are going to connect; false: no memory, also of the kernel. */
extern bool bmw_sockets_opened(BmwSockets *sockets, int fd, void *owner);
/* It is about to be closed by us. */
extern void bmw_sockets_closing(BmwSockets *sockets, int fd);
/* Notes the interest; false: no memory. */
extern bool bmw_sockets_want(BmwSockets *sockets, int fd, uint8_t events, void *owner);
/* Of a descriptor that was opened or wanted. */
extern void *bmw_sockets_owner(const BmwSockets *sockets, int fd);
/* Tells the kernel what has changed; is_full then says whether it took all. */
extern void bmw_sockets_apply(BmwSockets *sockets);
/* Fills events with what is ready and wanted, without waiting; returns how many. */
extern int bmw_sockets_ready(BmwSockets *sockets, struct epoll_event *events, int capacity);
/* Could a few more descriptors be opened, as many as libcurl needs to resolve a name? */
extern bool bmw_sockets_have_room(void);

#endif
