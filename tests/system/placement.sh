#!/bin/bash
# Where volumes go on three backends, and why not elsewhere: hints, also after a failure; queries, functions,
# capabilities; backends that an administrator has disabled.
# timeout: 120
# sanitize
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh"

# as big as they are named: without a hint it is `a`, then `b`, then `c`
for b in a:512 b:256 c:128; do
	mkdir "$T/${b%:*}"
	mount -t tmpfs -o "size=${b#*:}m" volfs-test "$T/${b%:*}"
	mkdir "$T/${b%:*}/disk"
done
mkdir "$T/db"

# conf FILTERS [MORE [A [B [C]]]]: options of the configuration, and of each backend
conf()
{
	cat >"$T/volfs.conf" <<-END
		database = "$T/db/volfs.db"; trash_delay = 0;
		admin_group = "disk";
		quota = { volumes = -1; size = -1; };
		stats_interval = 3600;
		scheduler = { filters = [ "availability_zone", "capacity"$1 ]; ${2:-} };
		backends = (
		  { name = "a"; driver = "local"; path = "$T/a/disk"; ${3:-} },
		  { name = "b"; driver = "local"; path = "$T/b/disk"; ${4:-} },
		  { name = "c"; driver = "local"; path = "$T/c/disk"; ${5:-} } );
	END
}

start()
{
	start_volfs -c "$T/volfs.conf"
	wait_for 10 grep -qx ready "$MNT/.volfs/status"
}

# put BACKEND NAME WORDS…: that is where such a volume (of $SIZE, or 1M) goes
put()
{
	local want=$1 name=$2
	shift 2
	volume "$name" "size=${SIZE:-1M}" "$@"
	eq "$want" "$(cat "$MNT/$name/backend")" "backend of $name ($*)"
}

# nowhere NAME REGEX WORDS…: it is accepted, and fails for this reason
nowhere()
{
	local name=$1 why=$2
	shift 2
	echo "size=${SIZE:-1M}" "$@" >"$MNT/new/$name" || fail "refused: $name ($*)"
	eq error "$(timeout 30 cat "$MNT/$name/wait" 2>/dev/null || true)" "$name/wait"
	match "$why" "$(cat "$MNT/$name/error")" "$name/error"
}

hints=', "same_backend", "different_backend", "json"'
conf "$hints"
start

note "hints are followed, by name and by id"
put a on-a
put b on-b hint.different_backend=on-a
put c on-c hint.different_backend=on-a,on-b
put b same-b hint.same_backend=on-b
put b same-b-by-id "hint.same_backend=$(cat "$MNT/on-b/id")"
put b same-b-or-c hint.same_backend=on-c,on-b
put c both hint.same_backend=on-c,on-b "hint.different_backend=$(cat "$MNT/on-b/id")"

note "where none fits, each backend has its reason"
nowhere all 'no backend fits: a: holds one of the volumes on-a,on-b,on-c; b: holds one .*; c: holds one ' \
	hint.different_backend=on-a,on-b,on-c
nowhere neither 'a: holds none of the volumes on-c; b: holds none of the volumes on-c; c: holds one of the volumes both' \
	hint.same_backend=on-c hint.different_backend=both
expect_errno ENOENT write "$MNT/new/x" $'size=1M hint.same_backend=on-a,nobody\n'

note "only volumes that the project sees count"
ok as 1:1 sh -c "echo size=1M hint.different_backend=on-a >'$MNT/new/daemons'"
eq available "$(timeout 30 cat "$MNT/daemons/wait")"
eq a "$(cat "$MNT/daemons/backend")"
ok as 1:1 sh -c "echo size=1M hint.same_backend=on-b,on-c >'$MNT/new/alone'"
eq error "$(timeout 30 cat "$MNT/alone/wait" 2>/dev/null || true)"
match 'b: holds none of the volumes on-b,on-c \(only those of project daemon count\)' "$(cat "$MNT/alone/error")"
put a beside-daemons hint.same_backend=daemons

note "queries"
put c query "hint.query='[\"<\", \"\$total_capacity_gb\", 0.2]'"
put b query-and "hint.query='[\"and\", [\"<\", \"\$total_capacity_gb\", 0.3], [\"not\", [\"=\", \"\$host\", \"c\"]]]'"
nowhere no-query "a: .*total_capacity_gb is 0.5" "hint.query='[\">\", \"\$total_capacity_gb\", 1000]'"
expect_errno EINVAL write "$MNT/new/x" $'size=1M hint.query=\'["near", 1]\'\n'
match "hint.query: there is no operator 'near'" "$(tail -n1 "$MNT/.volfs/errors")"
expect_errno EINVAL write "$MNT/new/x" $'size=1M hint.query=\'[\'\n'
ok test ! -e "$MNT/x"

note "the same in JSON, where a query and names are lists"
echo '{"size": "1M", "hint.query": ["and", ["<", "$total_capacity_gb", 0.3], ["not", ["=", "$host", "c"]]]}' >"$MNT/new/json-query"
echo '{"hint.different_backend": ["on-a", "on-b"], "size": "1M"}' >"$MNT/new/json-names"
eq 'available b available c' \
	"$(echo $(timeout 30 cat "$MNT"/json-query/{wait,backend} "$MNT"/json-names/{wait,backend}))"
expect_errno EINVAL write "$MNT/new/x" '{"size": "1M", "hint.query": ["near", 1]}'
match "hint.query: there is no operator 'near'" "$(tail -n1 "$MNT/.volfs/errors")"
expect_errno ENOENT write "$MNT/new/x" '{"size": "1M", "hint.same_backend": ["on-a", "nobody"]}'

note "after a failure the next attempt follows them, too"
mount -o remount,ro "$T/a"
put b without
put c away-from-b hint.different_backend=on-b
match 'a: .*[Rr]ead-only.*attempt 2 on c' "$(cat "$MNT/away-from-b/history")"
put c by-query "hint.query='[\"not\", [\"=\", \"\$host\", \"b\"]]'"
nowhere only-a 'a: has failed this volume already; b: holds none of the volumes on-a; c: holds none .*tried a: ' \
	hint.same_backend=on-a
mount -o remount,rw "$T/a"
ok rmdir "$MNT/on-a"
stop_volfs

note "filters that are not configured look at no hint"
conf ''
start
put a free-1 hint.different_backend=beside-daemons,daemons
put a free-2 "hint.query='[\"=\", 1, 2]'"
expect_errno EINVAL write "$MNT/new/x" $'size=1M hint.query=\'["near", 1]\'\n'
stop_volfs

note "functions: what must be true, and what is best"
conf ', "driver"' 'weighers = ( { name = "goodness"; } );' \
	'filter_function = "volume.size < 0.02";' \
	'goodness_function = "volume.name == '"'for-b'"' ? 90 : 10";' \
	'goodness_function = "capabilities.rack * 10"; capabilities = { rack = 5; nested = { deep = [ 1, 2 ]; }; };'
start
put c by-goodness
put b for-b
SIZE=64M put c by-goodness-too
eq 'volume.size < 0.02' "$(cat "$MNT/.volfs/backends/a/filter_function")"
eq '' "$(cat "$MNT/.volfs/backends/a/goodness_function")"
eq 'capabilities.rack * 10' "$(cat "$MNT/.volfs/backends/c/goodness_function")"
stop_volfs
conf ', "driver"' '' 'filter_function = "volume.size < 0.02";' 'filter_function = "stats.host == '"'a'"'";' \
	'filter_function = "capabilities.nothing > 3";'
start
put a small
SIZE=64M nowhere large "a: its filter function 'volume.size < 0.02' is false \(volume.size is 0.0625\); b: .*'stats.host == 'a'' is false.*; c: .* has no value: "
stop_volfs

# refused_conf REGEX: volfs does not start
refused_conf()
{
	not "$VOLFS" -f -c "$T/volfs.conf" "$MNT" >"$T/refused" 2>&1
	match "$1" "$(cat "$T/refused")"
}

note "what is malformed is refused by file and line"
conf '' '' 'filter_function = "volume.size <";'
refused_conf 'volfs.conf:7: filter_function: .*column '
conf '' '' '' '' 'goodness_function = "(1";'
refused_conf 'volfs.conf:9: goodness_function: .*column '
conf '' '' '' 'capabilities = "ssd";'
refused_conf 'volfs.conf:8: capabilities: must be a group'

# capability BACKEND KEY: of its report
capability()
{
	jq -c ".$2" "$MNT/.volfs/backends/$1/capabilities"
}

note "capabilities"
conf ', "json"' '' 'capabilities = { disk = "ssd"; multiattach = true; };' 'thin = false; reserved_percentage = 12.5;' \
	'capabilities = { disk = "hdd"; rack = { row = 7; names = [ "x", "y" ]; }; }; max_over_subscription_ratio = "auto";'
start
eq 1 "$(wc -l <"$MNT/.volfs/backends/a/capabilities")"
eq '["a","local","Open Source",true,true,0,20,"ssd"]' "$(capability a \
	'|[.volume_backend_name, .storage_protocol, .vendor_name, .thin_provisioning_support, .multiattach, .reserved_percentage,
	   .max_over_subscription_ratio, .disk]' | sed 's/20.0/20/')"
eq "\"$(cat "$MNT/.volfs/version")\"" "$(capability a driver_version)"
eq '[0.5,true]' "$(capability a '|[.total_capacity_gb, .free_capacity_gb > 0.4]')"
eq '[false,true,12.5,false]' "$(capability b \
	'|[.thin_provisioning_support, .thick_provisioning_support, .reserved_percentage, .multiattach]')"
eq '["auto",{"row":7,"names":["x","y"]},null]' "$(capability c '|[.max_over_subscription_ratio, .rack, .filter_function]')"
put c by-capability "hint.query='[\"=\", \"\$capabilities.rack.row\", 7]'"
put a by-disk "hint.query='[\"=\", \"\$capabilities.disk\", \"ssd\"]'"
put b thick "hint.query='[\"=\", \"\$thick_provisioning_support\", true]'"

note "a disabled backend gets nothing new and keeps what it has"
state=$MNT/.volfs/backends/a/state
eq '664 root disk' "$(stat -c '%a %U %G' "$state")"
expect_errno EINVAL write "$state" off
not as 1:1 sh -c "echo disabled >'$state'" 2>/dev/null
eq up "$(cat "$state")"
ok as 1:1,6 sh -c "echo disabled >'$state'"
eq disabled "$(cat "$state")"
eq 'disabled by an administrator' "$(cat "$MNT/.volfs/backends/a/error")"
put b elsewhere
nowhere asked-for-a 'a: disabled by an administrator; b: .*; c: ' "hint.query='[\"=\", \"\$host\", \"a\"]'"
ok sh -c "echo 2M >'$MNT/by-disk/size'"
eq available "$(timeout 30 cat "$MNT/by-disk/wait")"
eq 2M "$(cat "$MNT/by-disk/size")"
stop_volfs
start
eq disabled "$(cat "$state")"
put b still-elsewhere
ok sh -c "echo 3M >'$MNT/by-disk/size'"
eq available "$(timeout 30 cat "$MNT/by-disk/wait")"
ok rmdir "$MNT/by-disk"
kill_volfs
unmount
start
eq disabled "$(cat "$state")"
ok sh -c "echo enabled >'$state'"
eq up "$(cat "$state")"
eq '' "$(cat "$MNT/.volfs/backends/a/error")"
put a here-again
stop_volfs
