/*
 * console/listen.h - "bm_webhook_console listen": events of a shared database on a developer's machine.
 */
#ifndef BMW_CONSOLE_LISTEN_H
#define BMW_CONSOLE_LISTEN_H

/* Until a signal says stop. */
extern void bmw_listen_run(int argc, char **argv);

#endif
