/*
 * pg/capture/message_object.h - is this a valid object of a message?
 */
#ifndef BMW_PG_CAPTURE_MESSAGE_OBJECT_H
#define BMW_PG_CAPTURE_MESSAGE_OBJECT_H

#include "pg/capture/message.h"

/* The value of a field of kind BMW_KIND_OBJECT: its members, or its short form. NULL: nothing is wrong. */
extern const BmwEventFault *bmw_message_object_check(const BmwMessage *message,
													 const BmwMessageField *field);

#endif
