/*
 * operations.h - what operators do, and what goes wrong around the server.
 */
#ifndef SIM_OPERATIONS_H
#define SIM_OPERATIONS_H

#include <stdint.h>

extern void operations_begin(void);
extern void operations_lock_endpoints(int64_t until);

#endif
