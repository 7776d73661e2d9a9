#!/bin/bash
# From a spec to a volume and back to nothing, as the README shows it; and what stays over a restart.
# sanitize
. "$(dirname "$0")/lib.sh"

start_volfs
eq "new
.volfs" "$(ls -A "$MNT" | sort -r)" "an empty tree"
match '^size=|# *size' "$(cat "$MNT/new/spec")" "the template"

echo "size=10 description='my first volume' metadata.owner=me" >"$MNT/new/db"
eq available "$(timeout 30 cat "$MNT/db/wait")"
eq 10G "$(cat "$MNT/db/size")"
eq $((10 << 30)) "$(stat -c %s "$MNT/db")" "the directory's size"
eq local "$(cat "$MNT/db/backend")"
eq 'my first volume' "$(cat "$MNT/db/description")"
eq me "$(cat "$MNT/db/metadata/owner")"
eq '' "$(cat "$MNT/db/error")"
id=$(cat "$MNT/db/id")
eq "$(stat -c %i "$MNT/db")" "$(stat -Lc %i "$MNT/.volfs/by/id/$id")" "by/id leads to it"
eq $((10 << 30)) "$(jq .size "$MNT/db/json")" "size in json"

echo 20G >"$MNT/db/size"
eq available "$(timeout 30 cat "$MNT/db/wait")"
eq 20G "$(cat "$MNT/db/size")"

# The same spec again, its UUID on the same descriptor.
cp "$MNT/db/spec" "$MNT/new/db2"
eq available "$(timeout 30 cat "$MNT/db2/wait")"
exec 3<>"$MNT/new/spec"
echo size=1 >&3
read -r nameless <&3
exec 3>&-
eq available "$(timeout 30 cat "$MNT/$nameless/wait")"
eq "$nameless" "$(cat "$MNT/$nameless/id")"

# Refused, and why.
expect_errno EINVAL@write write "$MNT/new/web" $'sise=10\n'
match "EINVAL.*unknown key 'sise'" "$(tail -n1 "$MNT/.volfs/errors")"
[ ! -e "$MNT/web" ] || fail "a refused spec made a volume"
expect_errno EEXIST write "$MNT/new/spec" 'size=1 name=db'

mv "$MNT/db" "$MNT/orders"
stop_volfs
start_volfs
eq "$id" "$(cat "$MNT/orders/id")" "after a restart"
eq 20G "$(cat "$MNT/orders/size")"
volumes=("$MNT"/*)
eq 4 "${#volumes[@]}" "new and the volumes after a restart"

for name in orders db2 "$nameless"; do
	gone=$(cat "$MNT/$name/id")
	rmdir "$MNT/$name"
	eq deleted "$(timeout 30 cat "$MNT/.volfs/trash/$gone/wait")"
done
eq new "$(ls "$MNT")" "all deleted"
eq '' "$(find "$STATE/disk" -type f)" "files left in the backend"
stop_volfs
