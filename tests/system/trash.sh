#!/bin/bash
# The trash: what is deleted comes back as it was, or is purged by time, by rmdir, because its project's trash is full or its backend needs
# the room; who may; what no tree walker harms.
# timeout: 180
# sanitize
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh"

# conf DELAY [BACKEND OPTIONS]
conf()
{
	mkdir -p "$T/disk"
	cat >"$T/volfs.conf" <<-END
		database = "$T/volfs.db"; trash_delay = $1; stats_interval = 1;
		backends = ( { name = "disk"; driver = "local"; path = "$T/disk"; ${2:-} } );
	END
	echo "$T/volfs.conf"
}
refused()
{
	expect_errno "$1" "${@:3}"
	match "$2" "$(tail -n 1 .volfs/errors)" "errors"
}
by() # USER GESTURE…
{
	as "$1" /usr/bin/python3 -S "$SRC/tests/system/sys.py" "${@:2}" | sed 's/@.*//'
}
sum()
{
	sha256sum <"$1" | cut -d' ' -f1
}
images()
{
	find "$T/disk" -mindepth 1 | wc -l
}
nothing_left()
{
	[ "$(images)" = 0 ]
}
trash()
{
	ls .volfs/trash
}
trash_is()
{
	[ "$(trash | sort | paste -sd' ')" = "$(printf '%s\n' "$@" | sort | paste -sd' ')" ]
}
of_users() # QUOTA
{
	cat ".volfs/quotas/users/$1"
}

umask 022
chmod 755 "$T"
start_volfs -c "$(conf '"1h"')"
cd "$MNT"

note "what is deleted is kept as it was"
as 1000:100 sh -c 'echo "size=2M metadata.app=web description=mine" >new/db'
eq available "$(timeout 30 cat db/wait)"
dd if=/dev/urandom of=db/data bs=1M count=2 conv=notrunc status=none
id=$(cat db/id) was=$(sum db/data)
wait_for 10 grep -qx available db/status
ok as 1000:100 rmdir db
expect_errno ENOENT stat db
eq "$id" "$(trash)"
there=.volfs/trash/$id
eq "available 2M mine web" "$(cat "$there"/{status,size,description,metadata/app} | paste -sd' ')"
eq "1000:100 $((2 << 20))" "$(stat -c '%u:%g %s' "$there")"
left=$(($(date -d "$(cat "$there/expires")" +%s) - $(date +%s)))
[ "$left" -gt 3500 ] && [ "$left" -le 3600 ] || fail "expires in $left s"
match expires "$(ls "$there")"
not grep -qE '^(data|snapshots)$' <<<"$(ls "$there")"
expect_errno ENOENT stat "$there/data"
expect_errno ENOENT stat "$there/snapshots"
refused EBUSY "in the trash: bring it back first" write "$there/description" other
refused EBUSY "in the trash" write "$there/size" 4M
refused EBUSY "in the trash" create "$there/metadata/new"
refused EBUSY "in the trash" chmod "$there" 700
eq "0 0 $((2 << 20))" "$(of_users volumes.current) $(of_users size.current) $(of_users trash_size.current)"
eq 1 "$(images)"
timeout 1 cat "$there/wait" >"$T/out" && fail "wait has returned: $(cat "$T/out")"
eq "" "$(cat "$T/out")"

note "and comes back, by its owner alone"
eq "EPERM EPERM" "$(by 2000:2000 rename "$there" stolen) $(by 2000:2000 rmdir "$there")"
cat "$there/wait" >"$T/waited" &
waiter=$!
ok as 1000:100 mv "$there" db2
wait_for 10 gone "$waiter"
eq available "$(cat "$T/waited")"
eq "" "$(trash)"
eq "$id available web mine" "$(cat db2/{id,status,metadata/app,description} | paste -sd' ')"
expect_errno ENOENT stat db2/expires
not grep -qx expires <<<"$(ls db2)"
eq "$was" "$(sum db2/data)"
eq "" "$(ls db2/snapshots)"
eq "1 $((2 << 20)) 0" "$(of_users volumes.current) $(of_users size.current) $(of_users trash_size.current)"
eq "../../../db2" "$(readlink ".volfs/by/id/$id")"
match 'restore' "$(cat db2/history)"

note "whoever is in it"
(cd db2 && exec sleep 60) &
inside=$!
at_exit "kill $inside 2>/dev/null"
ok rmdir db2
eq available "$(cat "$there/status")"
(cd "$there" && exec sleep 60) &
inside2=$!
at_exit "kill $inside2 2>/dev/null"
wait_for 10 sh -c "readlink /proc/$inside2/cwd | grep -q trash"
ok mv "$there" db2
eq available "$(cat db2/status)"
eq available "$(cat "/proc/$inside2/cwd/status")"
eq "$was" "$(sum db2/data)"
kill "$inside" "$inside2"

note "what cannot be"
volume other size=1M
ok rmdir db2
refused EEXIST "other" rename "$there" other
expect_errno EEXIST noreplace "$there" other
refused EBADMSG "" rename "$there" 'two words'
refused EPERM "" rename "$there" new/db
refused EPERM "" rename "$there" other/db
refused EPERM "" rename "$there" .volfs/trash/other
refused EPERM "" rename other .volfs/trash/other
refused EPERM "" rename other ".volfs/trash/$(cat other/id)"
refused EPERM "" mkdir .volfs/trash/x
echo 0 >.volfs/quotas/users/volumes.max
refused EDQUOT "volumes" rename "$there" db
echo max >.volfs/quotas/users/volumes.max
echo 1M >.volfs/quotas/users/size.max
refused EDQUOT "" rename "$there" db
echo max >.volfs/quotas/users/size.max
eq "$id" "$(trash)"
ok mv "$there" "$id"
eq "$id" "$(cat "$id/id")"
ok mv "$id" db
echo 1 >db/protected
refused EPERM "protected" rmdir db
echo 0 >db/protected

note "no tree walker harms it"
ok rmdir db
for walker in "rm -rf $there" "rm -rf .volfs/trash" "find .volfs/trash -delete" "python3 -c 'import shutil; shutil.rmtree(\"$there\", True)'"; do
	eval "timeout 60 $walker" >/dev/null 2>&1 || true
	eq "$id" "$(trash)" "after $walker"
	eq web "$(cat "$there/metadata/app")" "after $walker"
done
eq 2 "$(images)"

note "rmdir there purges it now"
cat "$there/wait" >"$T/waited" &
waiter=$!
ok as 1000:100 rmdir "$there"
wait_for 30 gone "$waiter"
eq deleted "$(cat "$T/waited")"
eq "deleted deleted" "$(cat "$there/status") $(timeout 5 cat "$there/wait")"
eq "" "$(trash)"
eq 1 "$(images)"
refused ENOENT "" rename "$there" db
eq 0 "$(of_users trash_size.current)"

note "one that was never placed has nothing to come back for"
echo disabled >.volfs/backends/disk/state
echo size=1M >new/nowhere
eq error "$(timeout 30 cat nowhere/wait 2>/dev/null || true)"
id=$(cat nowhere/id)
ok rmdir nowhere
eq deleted "$(timeout 5 cat ".volfs/trash/$id/wait")"
echo enabled >.volfs/backends/disk/state
wait_for 10 grep -qx up .volfs/backends/disk/state

note "a project's trash that is full: the oldest ones go"
echo 5M >.volfs/quotas/users/trash_size.max
ids=()
for name in a b c; do
	as 1000:100 sh -c "echo size=2M >new/$name"
	eq available "$(timeout 30 cat $name/wait)"
	ids+=("$(cat $name/id)")
	ok rmdir $name
done
wait_for 30 trash_is "${ids[1]}" "${ids[2]}"
eq deleted "$(cat ".volfs/trash/${ids[0]}/status")"
eq $((4 << 20)) "$(of_users trash_size.current)"
match 'trash' "$(sqlite3 "$T/volfs.db" "SELECT line FROM event WHERE line->>'detail' LIKE '%trash%'")"
ok mv ".volfs/trash/${ids[1]}" b

note "time, which a stopped server does not stop"
cd /
stop_volfs
start_volfs -c "$(conf 2)"
cd "$MNT"
eq "${ids[2]}" "$(trash)" "what was deleted before keeps its time"
id=$(cat b/id)
ok rmdir b
left=$(($(date -d "$(cat ".volfs/trash/$id/expires")" +%s) - $(date +%s)))
[ "$left" -ge 0 ] && [ "$left" -le 2 ] || fail "expires in $left s"
eq deleted "$(timeout 20 cat ".volfs/trash/$id/wait")"
eq "${ids[2]}" "$(trash)"
eq 2 "$(images)"
id=$(cat other/id)
ok rmdir other
cd /
kill_volfs
unmount
sleep 2.5 # its time comes meanwhile
start_volfs -c "$(conf 3600)"
eq deleted "$(timeout 20 cat "$MNT/.volfs/trash/$id/wait")"
eq "${ids[2]}" "$(ls "$MNT/.volfs/trash")"
rmdir "$MNT/.volfs/trash/${ids[2]}"
wait_for 30 nothing_left
stop_volfs

note "what is there at once with trash_delay = 0"
start_volfs -c "$(conf 0)"
cd "$MNT"
volume gone size=1M
id=$(cat gone/id)
rmdir gone
eq deleted "$(timeout 20 cat ".volfs/trash/$id/wait")"
wait_for 30 nothing_left
cd /
stop_volfs

note "a backend that needs the room"
start_volfs -c "$(conf 3600 'thin = false; max_over_subscription_ratio = 1.0; reserved_percentage = 0;')"
cd "$MNT"
wait_for 10 grep -qx up .volfs/backends/disk/state
free=$(cat .volfs/backends/disk/free)
half=$((free / (1 << 20) * 2 / 3))
volume large "size=${half}M"
id=$(cat large/id)
rmdir large
eq "$id" "$(trash)"
echo max >.volfs/quotas/root/size.max
echo "size=${half}M" >new/next
eq available "$(timeout 30 cat next/wait)"
wait_for 30 trash_is ""
eq deleted "$(cat ".volfs/trash/$id/status")"
rmdir next
cd /
stop_volfs
