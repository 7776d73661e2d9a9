#!/bin/bash
# Quotas of projects, of the class `default`, and of single types: every limit, what it takes, what it refuses, what counts.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh"

mkdir "$T/disk"
chmod 755 "$T"
cat >"$T/volfs.conf" <<-END
	database = "$T/volfs.db"; trash_delay = 0; admin_group = "disk"; stats_interval = 3600;
	quota = { volumes = 20; size = "500G"; per_volume_size = "100G"; snapshots = 11; backups = 12; backup_size = "13G"; groups = 14;
	          trash_size = "15G"; };
	backends = ( { name = "disk"; driver = "local"; path = "$T/disk"; } );
END
start_volfs -c "$T/volfs.conf"
cd "$MNT/.volfs/quotas"
resources="volumes size per_volume_size snapshots backups backup_size groups trash_size"

refused() # ERRNO REGEX GESTURE…
{
	local want=$1 why=$2
	shift 2
	expect_errno "$want" "$@"
	match "${want%@*} $why" "$(tail -n1 ../errors)" "$*"
}
user()
{
	as 1234:100 "$@"
}
limits() # DIRECTORY
{
	local r
	echo $(for r in $resources; do cat "$1/$r.max"; done)
}
used() # DIRECTORY: volumes, bytes
{
	echo $(cat "$1/volumes.current" "$1/size.current")
}
# over ERRNO REGEX NAME WORDS…: the user's spec is refused
over()
{
	local got
	got=$(user /usr/bin/python3 -S "$SRC/tests/system/sys.py" write "$MNT/new/$3" "${*:4}"$'\n')
	eq "$1@write" "$got" "${*:4}"
	match "${1} new/$3: $2" "$(tail -n1 ../errors)" "${*:4}"
	not test -e "$MNT/$3"
}
fits() # NAME WORDS…
{
	ok user sh -c "echo ${*:2} >'$MNT/new/$1'"
	eq available "$(timeout 30 cat "$MNT/$1/wait")" "$1"
}

note "what there is"
mkdir ../types/fast
eq "$({ for r in $resources; do echo "$r.current" "$r.max"; done | sed s/per_volume_size.current//; echo type; } | tr ' ' '\n' | grep . | sort)" \
	"$(ls users | sort)"
eq "$(ls users | grep -v type)" "$(ls users/type/fast)"
eq fast "$(ls users/type)"
eq '20 500G 100G 11 12 13G 14 15G' "$(limits users)"
eq 'max max max max max max max max' "$(limits users/type/fast)"
eq 'max max max max max max max max' "$(limits root)"
eq '0 0 0 0 0 0 0' "$(echo $(cat users/*.current))"
eq '0 0 0 0 0 0 0' "$(echo $(cat users/type/fast/*.current))"
eq '-rw-rw-r-- root disk' "$(stat -c '%A %U %G' users/*.max users/type/fast/*.max | sort -u)"
eq '-r--r--r--' "$(stat -c '%A' users/*.current users/type/fast/*.current | sort -u)"
for f in users/* users/type/fast/*; do
	[ ! -f "$f" ] || eq "$(wc -c <"$f")" "$(stat -c %s "$f")" "size of $f"
done
for path in nosuchgroup users/type/nosuch; do
	not test -e "$path"
done
expect_errno EPERM mkdir users/x
expect_errno EPERM rmdir users
expect_errno EPERM rmdir users/type/fast
expect_errno EPERM unlink users/volumes.max
refused EACCES '.volfs/quotas/users/size.current: .*only be read' write users/size.current 0

note "what a limit takes"
for d in users users/type/fast default default/type/fast; do
	for r in $resources; do
		inherits=$(cat "$d/$r.max")
		case $r in
		*size)
			good='5:5G 512M:512M 1536M:1536M 1048577B:1048577B 1G:1G 1024M:1G'
			bad='1.5 -2 -1G x 1e9 99999999P'
			;;
		*)
			good='5:5 2147483647:2147483647'
			bad='1K 1.5 -2 x 5G 2147483648 0x5 99999999999999999999'
			;;
		esac
		for value in $good 0:0 max:max -1:max; do
			echo "${value%:*}" >"$d/$r.max"
			eq "${value#*:}" "$(cat "$d/$r.max")" "$d/$r.max"
		done
		echo 7 >"$d/$r.max"
		seven=$(cat "$d/$r.max")
		for value in $bad ''; do
			refused EINVAL@write "\.volfs/quotas/$d/$r.max: " write "$d/$r.max" "$value"$'\n'
		done
		eq "$seven" "$(cat "$d/$r.max")" "$d/$r.max"
		echo default >"$d/$r.max"
		eq "$inherits" "$(cat "$d/$r.max")" "$d/$r.max by default"
	done
done

note "the class is everybody's, but for root and for who has limits of his own"
echo 30 >default/volumes.max
echo 40 >daemon/volumes.max
echo 3 >default/type/fast/volumes.max
echo 4 >daemon/type/fast/volumes.max
eq '30 40 max 3 4 max' "$(echo $(cat {users,daemon,root}/volumes.max {users,daemon,root}/type/fast/volumes.max))"
echo default >daemon/volumes.max
echo default >daemon/type/fast/volumes.max
eq '30 3' "$(echo $(cat daemon/volumes.max daemon/type/fast/volumes.max))"
echo default >default/volumes.max
eq '20 20' "$(echo $(cat {users,daemon}/volumes.max))"

note "who may write them"
for gesture in 'write users/volumes.max 100' 'write users/type/fast/volumes.max 100' 'write default/type/fast/volumes.max 100'; do
	# shellcheck disable=SC2086
	eq EACCES@open "$(user /usr/bin/python3 -S "$SRC/tests/system/sys.py" $gesture)"
done
ok as 1:1,6 sh -c 'echo 19 >users/volumes.max; echo 2 >users/type/fast/volumes.max'
eq '19 2' "$(echo $(cat users/volumes.max users/type/fast/volumes.max))"

note "so many of a type"
fits one size=1 type=fast
fits two size=2 type=fast
over EDQUOT "quota of type 'fast' in project 'users': 1 more wanted, 2 of 2 volumes in use" three size=1 type=fast
fits plain size=1
eq "2 $((3 << 30))" "$(used users/type/fast)"
eq "3 $((4 << 30))" "$(used users)"
echo default >users/type/fast/volumes.max
fits three size=1 type=fast
over EDQUOT "quota of type 'fast' in project 'users': 1 more wanted, 3 of 3 volumes" four size=1 type=fast
ok sh -c "echo size=1 type=fast >'$MNT/new/roots'"
echo 0 >users/type/fast/volumes.max
echo 1M >"$MNT/roots/size" 2>"$T/err" && fail "shrunk"
rmdir "$MNT/three" "$MNT/roots"
eq "2 $((3 << 30))" "$(used users/type/fast)"
over EDQUOT "quota of type 'fast' in project 'users': 1 more wanted, 2 of 0 volumes" four size=1 type=fast
echo max >users/type/fast/volumes.max

note "so large, together and each; growing, too"
echo 5G >users/type/fast/size.max
over EDQUOT "quota of type 'fast' in project 'users': 3G wanted, 3G of 5G in use" four size=3 type=fast
fits four size=2 type=fast
refused EDQUOT@write "one/size: quota of type 'fast' in project 'users': 1G wanted, 5G of 5G in use" write "$MNT/one/size" 2G
eq 1G "$(cat "$MNT/one/size")"
echo 6G >users/type/fast/size.max
echo 2G >"$MNT/one/size"
eq available "$(timeout 30 cat "$MNT/one/wait")"
eq "3 $((6 << 30))" "$(used users/type/fast)"
echo 2G >users/type/fast/per_volume_size.max
echo max >users/type/fast/size.max
over EFBIG "a volume of 3G is larger than type 'fast' in project 'users' may have: 2G each" big size=3 type=fast
refused EFBIG@write "two/size: a volume of 3G is larger than type 'fast'" write "$MNT/two/size" 3G
fits big size=3
over EFBIG "a volume of 101G is larger than project 'users' may have: 100G each" bigger size=101
echo 0 >users/size.max
echo 0 >users/volumes.max
echo 0 >users/type/fast/volumes.max
over EDQUOT "quota of project 'users': 1G wanted, 10G of 0B? in use" order size=1 type=fast
echo default >users/size.max
over EDQUOT "quota of project 'users': 1 more wanted, 5 of 0 volumes in use" order size=1 type=fast
echo default >users/volumes.max
over EDQUOT "quota of type 'fast' in project 'users': 1 more wanted" order size=1 type=fast

note "another project, another name"
echo 0 >daemon/type/fast/volumes.max
refused EDQUOT "two: quota of type 'fast' in project 'daemon'" chown "$MNT/two" -1 1
eq users "$(cat "$MNT/two/project")"
echo 1 >daemon/type/fast/volumes.max
chgrp daemon "$MNT/two"
eq "1 $((2 << 30)) 2 $((4 << 30))" "$(used daemon/type/fast) $(used users/type/fast)"
mv ../types/fast ../types/quick
eq "1 2 1 0" "$(echo $(cat {daemon,users}/type/quick/volumes.current {daemon,users}/type/quick/volumes.max))"
not test -e users/type/fast

note "df"
size_of()
{
	echo $(df -B1 --output=size,used,avail "$1" | tail -n1)
}
echo 8G >users/type/quick/size.max
eq "$((8 << 30)) $((4 << 30)) $((4 << 30))" "$(size_of users/type/quick)"
echo 3G >users/type/quick/size.max
eq "$((3 << 30)) $((3 << 30)) 0" "$(size_of users/type/quick)"
echo max >users/type/quick/size.max
eq "$(size_of "$MNT" | cut -d' ' -f1)" "$(size_of users/type/quick | cut -d' ' -f1)"
eq "$((500 << 30))" "$(size_of users | cut -d' ' -f1)"

note "a race for the last places"
echo 5 >users/type/quick/volumes.max
writers=
for i in $(seq 20); do
	user /usr/bin/python3 -S "$SRC/tests/system/sys.py" write "$MNT/new/race$i" $'size=1M type=quick\n' >"$T/race.$i" &
	writers+=" $!"
done
# shellcheck disable=SC2086
wait $writers
eq '3 17' "$(echo $(grep -l '^OK' "$T"/race.* | wc -l) $(grep -l '^EDQUOT' "$T"/race.* | wc -l))"
eq 5 "$(cat users/type/quick/volumes.current)"

note "they stay"
echo 17 >default/type/quick/snapshots.max
state()
{
	local d
	for d in users daemon default root; do
		echo "$(limits $d) $(used $d); $(limits $d/type/quick) $(used $d/type/quick)"
	done
}
before=$(state)
kill -9 "$(server_pid)"
eq "$before" "$(state)"
cd /
stop_volfs
start_volfs -c "$T/volfs.conf"
cd "$MNT/.volfs/quotas"
eq "$before" "$(state)"

note "with the type its limits go"
rmdir "$MNT"/{one,two,four} $(ls -d "$MNT"/race*)
wait_for 20 rmdir ../types/quick
not test -e users/type/quick
mkdir ../types/quick
eq 'max max max max max max max max' "$(limits users/type/quick)"
eq '0 0' "$(used users/type/quick)"
cd /
stop_volfs
