/*
 * operations.h - what operators do, and what goes wrong around the server.
 */
#ifndef SIM_OPERATIONS_H
#define SIM_OPERATIONS_H

extern void operations_begin(void);

#endif
