# shellcheck shell=bash disable=SC2154
# The server: a fresh one for each row, a copy of one that initdb made.

data=$BMW_STAGE/bench_data
export PGHOST=$BMW_STAGE PGPORT=5432 PGUSER=bench PGDATABASE=postgres PGOPTIONS='-c client_min_messages=warning'
helpers=()

sql() { psql -XqAt -v ON_ERROR_STOP=1 -c "$1"; }

prepare_server() {
	initdb -D "$data.new" -U bench -A trust -N --no-locale -E UTF8 >/dev/null
	cat >>"$data.new/postgresql.conf" <<-CONF
		listen_addresses = ''
		unix_socket_directories = '$BMW_STAGE'
		shared_preload_libraries = 'bm_webhook'
		bm_webhook.allowed_networks = '127.0.0.0/8'
		bm_webhook.require_https = off
		shared_buffers = 1GB
		max_wal_size = 16GB
		checkpoint_timeout = 1h
		autovacuum_naptime = 10min
	CONF
}

# start_server [SETTING...]: with nothing but the extension in it
start_server() {
	stop_server
	rm -rf "$data"
	cp -R "$data.new" "$data"
	[ $# = 0 ] || printf '%s\n' "$@" >>"$data/postgresql.conf"
	pg_ctl -D "$data" -l log/postgresql.log -w start >/dev/null
	sql 'CREATE EXTENSION bm_webhook'
	wait_until "SELECT bool_and(state = 'running') FROM bm_webhook_internal.dispatchers()"
}

restart_server() { pg_ctl -D "$data" -l log/postgresql.log -w -m fast restart >/dev/null; }

stop_server() { [ ! -d "$data" ] || pg_ctl -D "$data" -m immediate -w stop >/dev/null 2>&1 || true; }

stop_all() {
	local helper
	trap - EXIT
	for helper in ${helpers[@]+"${helpers[@]}"}; do kill "$helper" 2>/dev/null || true; done
	stop_nginx
	stop_server
	rm -rf "$data"
}

# wait_until SQL [SECONDS]: until it says true, asked so often; in the server, because a new psql each time would take
# processor time
wait_until() {
	sql "DO \$\$ BEGIN
		FOR i IN 1..180 / ${2:-0.005} LOOP
			IF ($1) THEN RETURN; END IF;
			PERFORM pg_sleep(${2:-0.005});
			PERFORM pg_stat_clear_snapshot();
		END LOOP;
		RAISE 'this did not become true within three minutes: %', \$q\$$1\$q\$;
	END \$\$"
}

# set_to NAME VALUE
set_to() { sql "ALTER SYSTEM SET $1 = '$2'" && sql 'SELECT pg_reload_conf()' >/dev/null; }

pause() {
	set_to bm_webhook.enabled off
	wait_until "SELECT bool_and(pid IS NULL OR (reason LIKE '%is off%' AND unrecorded = 0)) FROM bm_webhook_internal.dispatchers()"
}

resume() { set_to bm_webhook.enabled on; }

dispatchers() { sql 'SELECT pid FROM bm_webhook_internal.dispatchers() WHERE pid IS NOT NULL'; }

# microseconds of processor time of processes
processor_us() {
	local pid
	for pid; do cat "/proc/$pid/stat"; done |
		awk -v hz="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); ticks += $12 + $13 } END { print ticks * 1e6 / hz }'
}

# of all dispatchers
memory_kb() {
	local pid
	for pid in $(dispatchers); do cat "/proc/$pid/status"; done | awk '/^RssAnon/ { kb += $2 } END { print kb }'
}
