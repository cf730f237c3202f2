# shellcheck shell=bash disable=SC2034,SC2154
# Receivers: nginx for what is fast, bench/sink (sink.c) for what is slow, fails or hangs.

nginx_dir=$BMW_STAGE/bench_nginx
tls_dir=$BMW_STAGE/bench_tls

# start_nginx: $port answers HTTP, $tls_port HTTPS, both at every local address; $status_port tells how many requests it had
start_nginx() {
	local temp
	mkdir -p "$nginx_dir"
	make_certificates
	temp=$(printf '%s_temp_path temp; ' client_body proxy fastcgi uwsgi scgi)
	for _ in {1..20}; do
		port=$((20000 + RANDOM % 4000))
		tls_port=$((port + 4000))
		status_port=$((port + 8000))
		cat >"$nginx_dir/nginx.conf" <<-CONF
			worker_processes 1;
			worker_rlimit_nofile 20000;
			pid nginx.pid;
			error_log error.log crit;
			events { worker_connections 19000; }
			http {
				access_log off;
				keepalive_requests 1000000000;
				keepalive_timeout 1h;
				$temp
				server { listen $port backlog=8192; return 204; }
				server {
					listen 127.0.0.1:$tls_port ssl;
					ssl_certificate $tls_dir/server.pem;
					ssl_certificate_key $tls_dir/server.key;
					return 204;
				}
				server { listen 127.0.0.1:$status_port; location / { stub_status; } }
			}
		CONF
		if nginx -p "$nginx_dir" -e error.log -c nginx.conf 2>>log/nginx.log; then return; fi
	done
	say "bench: nginx does not start: $(tail -n 3 log/nginx.log)"
	return 1
}

stop_nginx() {
	[ ! -e "$nginx_dir/nginx.pid" ] || nginx -p "$nginx_dir" -e error.log -c nginx.conf -s stop >/dev/null 2>&1 || true
}

# ask_nginx: sets $received, the requests that it has had, of which this is one
ask_nginx() {
	local line
	exec 9<>"/dev/tcp/127.0.0.1/$status_port"
	printf 'GET / HTTP/1.0\r\n\r\n' >&9
	while IFS= read -r line <&9; do
		if [[ $line =~ ^\ [0-9]+\ [0-9]+\ ([0-9]+) ]]; then received=${BASH_REMATCH[1]}; fi
	done
	exec 9>&-
}

# note_received, then wait_received COUNT: until nginx has had so many since. Asked by the shell itself, every five
# milliseconds: a process for each question would take processor time.
note_received() {
	ask_nginx
	echo "$received" >log/received
}

wait_received() {
	local end=$((SECONDS + 180)) asked=0 before nap
	before=$(cat log/received)
	exec {nap}<> <(:)
	while ask_nginx && [ $((received - ++asked - before)) -lt "$1" ]; do
		[ "$SECONDS" -lt "$end" ] || { say "bench: nginx got $((received - asked - before)) of $1 requests within three minutes"; return 1; }
		read -rt 0.005 -u "$nap" || true
	done
	exec {nap}>&-
}

make_certificates() {
	[ ! -e "$tls_dir/ca.pem" ] || return 0
	mkdir -p "$tls_dir"
	(
		cd "$tls_dir" || exit
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 30 -subj /CN=bench-ca
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr -subj /CN=bench
		openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out server.pem \
			-extfile <(echo subjectAltName=IP:127.0.0.1)
	) >/dev/null 2>&1
}

# start_sink [DELAY_MS [WORKERS [FAIL_PERCENT]]]: sets $sink, its port
start_sink() {
	: >log/sink.port
	bench/sink "$@" >log/sink.port 2>>log/sink.log &
	helpers+=($!)
	until [ -s log/sink.port ]; do sleep 0.01; done
	sink=$(cat log/sink.port)
}

# sink_stats PORT: microseconds, answered 2xx, others, most in flight
sink_stats() {
	local line
	exec 9<>"/dev/tcp/127.0.0.1/$1"
	printf 'GET /stats HTTP/1.1\r\n\r\n' >&9
	while IFS= read -r line <&9 && [ "$line" != $'\r' ]; do :; done
	IFS= read -r line <&9
	exec 9>&-
	echo "$line"
}

# hosts PORT FIRST LAST: a URL of another local address for each number
hosts() { seq "$2" "$3" | awk -v port="$1" '{ printf "http://127.%d.%d.%d:%d/\n", 1 + $1 / 62500, ($1 / 250) % 250, 1 + $1 % 250, port }'; }
