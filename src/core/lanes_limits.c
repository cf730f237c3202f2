/*
 * core/lanes_limits.c - what limits lanes together: those of an application, and those that send to one address.
 *
 * Who keeps to it is in share.c and destination.c.
 */
#include "core/lane_internal.h"

bool
bmw_lane_set_application(BmwLane *lane, const char *application)
{
	/* its place is that of its share */
	bmw_destination_withdraw(&lane->lanes->destinations, lane);
	bmw_lane_refresh(lane);
	return bmw_share_join(&lane->lanes->shares, lane, application);
}

const char *
bmw_lane_application(const BmwLane *lane)
{
	return bmw_share_application(lane);
}

void
bmw_lanes_set_tokens(BmwLanes *lanes, const BmwTokenPort *tokens)
{
	lanes->shares.tokens = *tokens;
}

void
bmw_lanes_set_places(BmwLanes *lanes, const BmwPlacePort *places)
{
	lanes->shares.places = *places;
}

void
bmw_lanes_set_destinations(BmwLanes *lanes, const BmwDestinationPort *port)
{
	lanes->destinations.port = *port;
}

void
bmw_lanes_limit_destinations(BmwLanes *lanes, int limit)
{
	bmw_destinations_set_limit(&lanes->destinations, limit);
}

bool
bmw_lane_enter(BmwLane *lane, BmwParty **held, uint64_t destination, int64_t now_us)
{
	return bmw_destination_enter(&lane->lanes->destinations, lane, held, destination, now_us);
}

void
bmw_lanes_leave(BmwLanes *lanes, BmwParty *held)
{
	bmw_destination_end(&lanes->destinations, held);
}

void
bmw_lane_set_application_rate(BmwLane *lane, int rate, int burst)
{
	bmw_share_set_rate(&lane->lanes->shares, lane, rate, burst);
}

void
bmw_lane_set_application_limit(BmwLane *lane, int max_in_flight)
{
	bmw_share_set_limit(&lane->lanes->shares, lane, max_in_flight);
}
