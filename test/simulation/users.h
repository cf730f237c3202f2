/*
 * users.h - what everybody but the dispatchers does to the tables: applications that
 * emit, administrators, support, operators, and those who crash and lock things.
 */
#ifndef SIM_USERS_H
#define SIM_USERS_H

extern void users_begin(void);
extern void users_write(int writer);
extern void users_go_on(int xact);
extern void users_administer(void);
extern void users_operate(int argument);
/* The sessions of all are gone. */
extern void users_crash(void);
/* Nobody begins anything any more, and what was locked is free. */
extern void users_calm(void);
extern int users_dispatchers(void); /* how many there shall be */

#endif
