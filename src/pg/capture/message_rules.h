/*
 * pg/capture/message_rules.h - what strings and numbers in a message must look like.
 */
#ifndef BMW_PG_CAPTURE_MESSAGE_RULES_H
#define BMW_PG_CAPTURE_MESSAGE_RULES_H

#include "pg/capture/message.h"

extern const BmwRule bmw_rule_amount;
extern const BmwRule bmw_rule_bytes;
extern const BmwRule bmw_rule_currency;
extern const BmwRule bmw_rule_latitude;
extern const BmwRule bmw_rule_longitude;
extern const BmwRule bmw_rule_media_type;
extern const BmwRule bmw_rule_message_id;
extern const BmwRule bmw_rule_url;

/* U+0000 to U+001F and U+007F to U+009F. */
extern bool bmw_rule_has_control(const char *text, int len);

/*
 * Valid json that jsonb takes without fail: short and flat, without \u and
 * exponents. (\u0000 has no place in it, nor has a number of 131,073 digits.)
 */
extern bool bmw_rule_is_plain_json(const char *text, int len);

#endif
