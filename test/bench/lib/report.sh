# shellcheck shell=bash disable=SC2154
# The table: report NAME WHAT TARGET UNIT NOTE VALUE...

results=$PWD/results.tsv

say() { echo "$*" >&2; }
calc() { awk "BEGIN { printf \"$1\", ($2) }"; }
median() { sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
ratio() { calc %.3f "($2) > 0 ? ($1) / ($2) : 0"; }

report_begin() {
	: >"$results"
	machine=$(describe_machine)
	echo "$machine"
	echo
	echo "| row | what | median | least..most | target | | absolute |"
	echo "|---|---|---|---|---|---|---|"
}

describe_machine() {
	echo "$(nproc) x $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)," \
		"$(awk '/MemTotal/ { printf "%.0f GB", $2 / 1048576 }' /proc/meminfo), Linux $(uname -r);" \
		"$(postgres --version), libcurl $(curl-config --version | cut -d' ' -f2), $(nginx -v 2>&1 | cut -d' ' -f3);" \
		"everything on this machine, fsync on, $runs runs of $events events${QUICK:+, the quick form}"
}

# report NAME WHAT TARGET NOTE VALUE...: TARGET is ">= x", "<= x" or "-"
report() {
	local name=$1 what=$2 target=$3 note=$4 line
	shift 4
	line=$(printf '%s\n' "$@" | sort -g | awk -v name="$name" -v what="$what" -v target="$target" -v note="$note" '
		function shown(x) { return x >= 1000 ? sprintf("%.0f", x) : x >= 10 ? sprintf("%.1f", x) : sprintf("%.2f", x) }
		{ v[NR] = $1 + 0 }
		END {
			middle = v[int((NR + 1) / 2)]
			split(target, t, " ")
			verdict = target == "-" ? "" : (t[1] == ">=" ? middle >= t[2] : middle <= t[2]) ? "reached" : "missed"
			printf "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d", name, what, shown(middle), shown(v[1]), shown(v[NR]), target, verdict, note, NR
		}')
	echo "$line" >>"$results"
	awk -F'\t' '{ gsub(/\|/, "/"); printf "| %s | %s | **%s** | %s..%s | %s | %s | %s |\n", $1, $2, $3, $4, $5, ($6 == "-" ? "" : $6), $7, $8 }' <<<"$line"
}

report_json() {
	awk -F'\t' -v machine="$machine" -v quick="${QUICK:+true}" '
		function text(s) { gsub(/\\/, "\\\\", s); gsub(/"/, "\\\"", s); return "\"" s "\"" }
		BEGIN { printf "{\n\t\"machine\": %s,\n\t\"quick\": %s,\n\t\"rows\": [", text(machine), (quick == "" ? "false" : quick) }
		{
			printf "%s\n\t\t{\"row\": %s, \"what\": %s, \"median\": %s, \"least\": %s, \"most\": %s, \"runs\": %s, ",
				(NR > 1 ? "," : ""), text($1), text($2), $3, $4, $5, $9
			printf "\"target\": %s, \"reached\": %s, \"note\": %s}",
				($6 == "-" ? "null" : text($6)), ($7 == "" ? "null" : $7 == "reached" ? "true" : "false"), text($8)
		}
		END { print "\n\t]\n}" }' "$results"
}
