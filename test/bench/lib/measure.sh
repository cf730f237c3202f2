# shellcheck shell=bash disable=SC2154
# Measurements that several rows take.

# add_endpoints COUNT URL_EXPRESSION TYPE_EXPRESSION [COLUMNS VALUES]: SQL expressions of n, from 1
add_endpoints() {
	sql "INSERT INTO bm_webhook.endpoint (url, event_types${4:+, $4})
		SELECT $2, ARRAY[$3]${5:+, $5} FROM generate_series(1, $1) n"
}

# the SQL of hosts(): a URL of another local address for each n
host_url() {
	echo "format('http://127.%s.%s.%s:$1/${2:-}', 1 + n / 62500, (n / 250) % 250, 1 + n % 250)"
}

# add_events COUNT TYPE_EXPRESSION: events whose requests have a body of about 1 KB
add_events() {
	sql "SELECT count(bm_webhook.emit($2, jsonb_build_object('number', n, 'text', repeat('x', $body_bytes - 155))))
		FROM generate_series(1, $1) n" >/dev/null
}

# mark: the ids of later events are greater
mark() { sql "SELECT bm_webhook.uuid_floor(clock_timestamp())"; }

# drain COUNT MARK: resumes, waits until so many events since the mark are recorded as delivered, prints how many
# that were a second, pauses. They are counted rarely, and not before nginx has had so many requests since
# note_received: counting 100,000 rows takes as long as sending a thousand requests.
drain() {
	local count=$1 since=$2 began ended
	sql 'CHECKPOINT'
	began=$(date +%s%N)
	resume
	wait_received "$count"
	wait_until "SELECT count(*) >= $count FROM bm_webhook.delivery WHERE event_id >= '$since' AND status = 'delivered'" 0.05
	ended=$(date +%s%N)
	pause
	calc %.0f "$count * 1e9 / ($ended - $began)"
}

# drain_events COUNT TYPE_EXPRESSION [FACTOR]: adds them, drains them; each has FACTOR deliveries
drain_events() {
	local since
	pause
	since=$(mark)
	note_received
	add_events "$1" "$2"
	drain $(($1 * ${3:-1})) "$since"
}

# curl_rate ARGUMENT... <URLS: requests a second of libcurl alone
curl_rate() { bench/curl_bench -b $body_bytes "$@" | cut -d' ' -f1; }

# against_curl NAME WHAT TARGET TYPE_EXPRESSION URLS_FILE [ARGUMENT...]: drains in turn with libcurl alone
against_curl() {
	local name=$1 what=$2 target=$3 types=$4 urls=$5 ours=() curls=() ratios=() i
	shift 5
	for ((i = 0; i < runs; i++)); do
		ours+=("$(drain_events "$events" "$types")")
		curls+=("$(curl_rate -n "$events" "$@" <"$urls")")
		ratios+=("$(ratio "${ours[i]}" "${curls[i]}")")
	done
	report "$name" "$what" "$target" "$(middle "${ours[@]}")/s against $(middle "${curls[@]}")/s" "${ratios[@]}"
}

middle() { printf '%s\n' "$@" | median; }

# latency EVENTS RATE: median, 99th, 99.9th percentile and most, from commit to arrival, in microseconds
latency() { bench/latency_bench "" "$1" "$2"; }

# window_rate PORT SECONDS: 2xx a second of the sink during the next seconds
window_rate() {
	local before after
	before=$(sink_stats "$1")
	sleep "$2"
	after=$(sink_stats "$1")
	echo "$before $after" | awk '{ printf "%.0f\n", ($6 - $2) * 1e6 / ($5 - $1) }'
}

# beside NAME WHAT TYPE_EXPRESSION IMPOSE LIFT: drain rate and latency with something, over those without.
# IMPOSE and LIFT are commands; without LIFT all runs without it come first.
beside() {
	local name=$1 what=$2 types=$3 impose=$4 lift=$5 i
	local plain=() burdened=() plain_high=() burdened_high=() rates=() highs=()
	local count
	count=$(small 2000 200)
	for ((i = 0; i < runs; i++)); do
		plain+=("$(drain_events "$events" "$types")")
		plain_high+=("$(busy_latency "$count")")
		[ -n "$lift" ] || continue
		$impose
		burdened+=("$(drain_events "$events" "$types")")
		burdened_high+=("$(busy_latency "$count")")
		$lift
	done
	if [ -z "$lift" ]; then
		$impose
		# what a restart costs once is not what is measured: the plain runs had one before them, too
		drain_events "$(small 20000 200)" "$types" >/dev/null
		for ((i = 0; i < runs; i++)); do
			burdened+=("$(drain_events "$events" "$types")")
			burdened_high+=("$(busy_latency "$count")")
		done
	fi
	for ((i = 0; i < runs; i++)); do
		rates+=("$(ratio "${burdened[i]}" "${plain[i]}")")
		highs+=("$(ratio "${burdened_high[i]}" "${plain_high[i]}")")
	done
	report "$name" "drain $what ÷ without" ">= 0.9" "$(middle "${burdened[@]}")/s against $(middle "${plain[@]}")/s" "${rates[@]}"
	report "$name" "99th percentile of commit to arrival at 200/s, $what ÷ without" "<= 2" \
		"$(middle "${burdened_high[@]}") µs against $(middle "${plain_high[@]}") µs" "${highs[@]}"
}


busy_latency() {
	local high
	resume
	read -r _ high _ < <(latency "$1" 200)
	echo "$high"
}
