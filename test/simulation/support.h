/*
 * support.h - what people ask for who look after deliveries.
 */
#ifndef SIM_SUPPORT_H
#define SIM_SUPPORT_H

extern void support_ask(int argument);
/* Nobody pauses anything any more. */
extern void support_resume_all(void);

#endif
