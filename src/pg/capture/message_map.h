/*
 * pg/capture/message_map.h - a row of a watched table of messages becomes a message.
 *
 * The mapping is in the arguments of the capture trigger: message=outbound or
 * inbound, and for each field that has a source <field>={column}, or for some
 * a constant. application, channel, message_id and occurred_at are arguments
 * that every capture trigger may have.
 */
#ifndef BMW_PG_CAPTURE_MESSAGE_MAP_H
#define BMW_PG_CAPTURE_MESSAGE_MAP_H

#include "pg/capture/message.h"

#include "executor/tuptable.h"
#include "pg/sql/insert.h"
#include "utils/rel.h"

typedef struct BmwMessageMap BmwMessageMap;

/*
 * Makes a map for rows of the shape `desc` of `relation`, in the current memory
 * context. mapping: by field, NULL where there is none. Ereports 22023, 42703,
 * 42804 with the name of the field, 39P01 for an unknown direction.
 */
extern BmwMessageMap *bmw_message_map_create(const char *direction, const char *const *mapping,
											 Relation relation, TupleDesc desc);

/*
 * May reading this row raise an error? Not if the columns have types of
 * PostgreSQL, and the json among them is plain.
 */
extern bool bmw_message_map_can_raise(const BmwMessageMap *map, TupleTableSlot *slot);

/* A message that has no status yet. */
extern bool bmw_message_map_is_without_status(const BmwMessageMap *map, TupleTableSlot *slot);

/*
 * Sets type, data and time of an event whose application, channel and
 * message_id are set, from the row in slot, all of whose columns are fetched.
 * Returns what is wrong; the type is then set if it is known what it would be.
 */
extern const BmwEventFault *bmw_message_map_read(BmwMessageMap *map, TupleTableSlot *slot,
												 BmwNewEvent *event);

/* Qualified and quoted, for messages. */
extern const char *bmw_message_map_relation_name(Relation relation);

#endif
