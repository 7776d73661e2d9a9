#!/bin/bash
# The tree: what is there, what it says, what can be written, who owns it, and what no tree walker may harm.
. "$(dirname "$0")/../system/lib.sh"
start_volfs
cd "$MNT"

eq new "$(ls)"
eq "$(printf '%s\n' README backends by errors history json metrics quotas status summary trash types unmanaged version | sort)" "$(ls .volfs | sort)"
eq 1777 "$(stat -c %a .)"
eq 1777 "$(stat -c %a new)"
eq 1777 "$(stat -c %a .volfs/trash)"
match '^[0-9]+\.[0-9]+' "$(cat .volfs/version)"
wait_for 10 grep -qx ready .volfs/status
match 'by/id' "$(cat .volfs/README)"
match '# ?size' "$(cat new/spec)"

umask 022
as 1000:100 sh -c 'echo "size=10 description=\"my data\" metadata.app=web metadata.tier=1" >new/db'
eq available "$(cat db/wait)"
eq "$(printf '%s\n' attachments backend bootable connection created data description error history id json metadata progress project \
	protected readonly reset revert size snapshots spec status type updated used zone | sort)" "$(ls db | sort)"
eq "" "$(ls db/snapshots)$(cat db/progress db/revert)"
expect_errno ENOENT stat db/expires
eq available "$(cat db/status)"
eq "" "$(cat db/error)"
eq 10G "$(cat db/size)"
eq users "$(cat db/project)"
eq default "$(cat db/zone)"
eq "my data" "$(cat db/description)"
match '^[0-9]+$' "$(cat db/used)"
match '^20[0-9-]+T[0-9:]+Z$' "$(cat db/created)"
eq web "$(cat db/metadata/app)"
eq "$(printf 'app\ntier')" "$(ls db/metadata)"
eq 0 "$(cat db/protected)"
match 'volume.create' "$(cat db/history)"
eq 1000:100:755 "$(stat -c %u:%g:%a db)"
eq 10737418240 "$(stat -c %s db)"
eq 0:"$(getent group disk | cut -d: -f3)" "$(stat -c %u:%g db/backend)"
eq 440 "$(stat -c %a db/spec)"
eq 750 "$(stat -c %a db/metadata)"
for f in $(ls -p db | grep -v / | grep -vx reset); do
	eq "$(wc -c <"db/$f")" "$(stat -c %s "db/$f")" "true size of $f"
done
jq -e '.name == "db" and .size == 10737418240 and .status == "available" and .metadata.app == "web"' db/json >/dev/null
id=$(cat db/id)
eq "../../../db" "$(readlink ".volfs/by/id/$id")"
eq "$id" "$(cat ".volfs/by/id/$id/id")"
eq "$id" "$(ls .volfs/by/id)"
not ls db/nosuch 2>/dev/null
not ls nosuch 2>/dev/null
echo blank >"db/metadata/two words"
cp db/spec new/db2
eq available "$(cat db2/wait)"
eq blank "$(cat "db2/metadata/two words")"
rm "db/metadata/two words" "db2/metadata/two words"
eq 600 "$(stat -c %a "$STATE/volfs.db")" "mode of the catalogue, which tells of everybody's volumes"
eq "0 0" "$(stat -f -c '%c %d' db)" "inodes: there is no number of them that could run out"

# What the kernel was told of a file is so after a change of another: each shows the volume's time, history grows.
size=$(stat -c %s db/history)
echo again >db/metadata/app
not test "$size" = "$(stat -c %s db/history)"
eq "$(wc -c <db/history)" "$(stat -c %s db/history)"
eq "$(stat -c %y db)" "$(stat -c %y db/id)"
owners()
{
	stat -c %u:%g db/size db/wait db/metadata db/metadata/app | uniq
}
eq 1000:100 "$(owners)"
eq 0:0 "$(chown 0:0 db && owners)"
eq 1000:100 "$(chown 1000:100 db && owners)"
echo web >db/metadata/app

as 1000:100 sh -c 'echo size=1 >new/waited'
eq available "$(cat waited/wait)"
eq 1000 "$(stat -c %u waited/wait)"
eq 1001 "$(chown 1001 waited && stat -c %u waited/wait)" "the one file of it that was looked at"
rmdir waited

# A renamed volume takes its spec's name along: the old one is free again.
mv db2 moved
match 'two words' "$(cat new/moved)"
not test -e new/db2
echo size=1 >new/db2
eq available "$(cat db2/wait)"
rmdir db2
mv moved db2
eq "my data" "$(cat db2/description)"
eq web "$(cat db2/metadata/app)"

# writing
echo hello >db/description
eq hello "$(cat db/description)"
: >db/description
eq "" "$(cat db/description)"
expect_errno EINVAL write db/description "$(printf 'x%.0s' {1..300})"
echo hello >db/description
{ echo more; echo yet more; } >>db/description
eq "hello more yet more" "$(cat db/description)"
echo >>db/description
eq "hello more yet more" "$(cat db/description)"
expect_errno EINVAL@write write db/description "$(printf 'x%.0s' {1..240})" APPEND NOTRUNC
match 'EINVAL db/description: with what is there' "$(tail -n1 .volfs/errors)"
: >db/description
echo first >>db/description
eq first "$(cat db/description)"
for i in 1 2 3; do
	echo "$i" >>db/metadata/grows
done
eq "1 2 3" "$(cat db/metadata/grows)"
rm db/metadata/grows
echo 20G >db/size
eq available "$(cat db/wait)"
eq 20G "$(cat db/size)"
eq 21474836480 "$(stat -c %s db)"
echo 20 >db/size
expect_errno EINVAL write db/size 19G
expect_errno EINVAL write db/size nonsense
expect_errno EACCES write db/status available
expect_errno EACCES write db/id "$id"
expect_errno ENOTSUP write db/type fast
echo x >db/metadata/new-key
eq x "$(cat db/metadata/new-key)"
echo y >db/metadata/new-key
eq y "$(cat db/metadata/new-key)"
expect_errno EEXIST create db/metadata/new-key
rm db/metadata/new-key
not ls db/metadata/new-key 2>/dev/null
expect_errno OK create db/metadata/.new-key.swp
eq "$(printf 'app\ntier')" "$(ls -A db/metadata)"
ok rm db/metadata/.new-key.swp
expect_errno ENOENT unlink db/metadata/.new-key.swp
expect_errno EPERM create db/metadata/4913
expect_errno EINVAL truncate db/size 21474836480
eq "" "$(cat db/reset)"
ok tar cSf "$T/db.tar" db
expect_errno EPERM create db/nosuch
expect_errno EPERM create nosuch
expect_errno EPERM mkdir nosuch
expect_errno EPERM mkdir db/nosuch
expect_errno EPERM link db/status db/x
expect_errno EPERM symlink x y
expect_errno EPERM rename db new/db9
expect_errno EPERM rename db .volfs/db9
expect_errno EPERM rename new/spec db3

# what is really used, measured when somebody looks
dd if=/dev/urandom of="$(ls "$STATE"/disk/volume-"$id")" bs=1M count=3 conv=notrunc status=none
used() { [ "$(cat db/used)" -ge 3145728 ] && [ "$(jq .used db/json)" -ge 3145728 ]; }
wait_for 30 used
eq "$(cat db/updated)" "$(jq -r .updated db/json)"

# names
mv db data
eq "$id" "$(cat data/id)"
eq "../../../data" "$(readlink ".volfs/by/id/$id")"
not ls db 2>/dev/null
expect_errno EEXIST rename data db2
expect_errno EBADMSG rename data "a b"
match "EBADMSG data: name 'a b' has white space" "$(tail -n1 .volfs/errors)"
expect_errno EBADMSG rename data 'a@b'
expect_errno EBADMSG rename data "$(cat db2/id)"
expect_errno ENAMETOOLONG rename data "$(printf 'a%.0s' {1..256})"
ok mv data db

# owners, by the kernel
as 2000:2000 cat db/status >/dev/null
not as 2000:2000 cat db/metadata/app 2>/dev/null
not as 2000:2000 sh -c 'echo 30G >db/size' 2>/dev/null
not as 2000:2000 rmdir db 2>/dev/null
not as 2000:2000 mv db stolen 2>/dev/null
not as 2000:2000 chmod 777 db 2>/dev/null
not as 1000:100 sh -c 'echo error >db/reset' 2>/dev/null
ok as 1000:100 mv db db9
ok as 1000:100 mv db9 db
as 1000:100 chmod 700 db
eq 700 "$(stat -c %a db)"
not as 2000:2000 cat db/status 2>/dev/null
as 1000:100 chmod 755 db
as 1000:100 chmod 7755 db
eq 755 "$(stat -c %a db)"
chown 1001 db
eq 1001 "$(stat -c %u db)"
eq 1001 "$(stat -c %u db/size)"
chgrp daemon db
eq daemon "$(cat db/project)"
eq 1 "$(cat .volfs/quotas/daemon/volumes.current)"
expect_errno EPERM chmod db/size 777

# df
eq "$(df --output=size -B1 "$STATE" | tail -n1 | awk '{print int($1 / 4096)}')" \
	"$(df --output=size -B1 db | tail -n1 | awk '{print int($1 / 4096)}')"
b=$(ls .volfs/backends)
eq up "$(cat ".volfs/backends/$b/state")"
eq 2 "$(cat ".volfs/backends/$b/volumes")"
eq $((30 << 30)) "$(cat ".volfs/backends/$b/allocated")"
eq "$(printf '%s\n' allocated capabilities driver error filter_function free goodness_function state total volumes zone)" "$(ls ".volfs/backends/$b" | sort)"
# the system is asked once who a group is
strace -f -qq -e trace=openat -o "$T/strace" -p "$(server_pid)" &
tracer=$!
wait_for 10 grep -q 'TracerPid:.[1-9]' "/proc/$(server_pid)/status"
for _ in 1 2 3 4 5; do
	ls .volfs/quotas/games >/dev/null
	not ls .volfs/quotas/nosuchgroup 2>/dev/null
	expect_errno ENOENT@write write new/x $'size=1 project=nosuchgroup\n'
done
kill "$tracer"
wait "$tracer" || true
eq 2 "$(grep -c /etc/group "$T/strace")" "questions for two groups"
echo 100G >.volfs/quotas/daemon/size.max
eq $((100 << 30)) "$(df --output=size -B1 .volfs/quotas/daemon | tail -n1 | tr -d ' ')"
eq $((80 << 30)) "$(df --output=avail -B1 .volfs/quotas/daemon | tail -n1 | tr -d ' ')"
echo disabled >".volfs/backends/$b/state"
echo size=1 >new/nowhere
eq error "$(cat nowhere/wait 2>/dev/null || true)"
match "$b" "$(cat nowhere/error)"
echo up >".volfs/backends/$b/state"
wait_for 10 grep -qx up ".volfs/backends/$b/state"
rmdir nowhere

# deletion, and what must not delete
echo 1 >db2/protected
expect_errno EPERM rmdir db2
echo 0 >db2/protected
for walker in 'rm -rf db2' 'find db2 -delete' 'python3 -c "import shutil; shutil.rmtree(\"db2\", True)"' 'rm -rf ./*' \
	'rm -rf .volfs' 'find . -delete'; do
	sh -c "$walker" >/dev/null 2>&1 || true
	eq web "$(cat db2/metadata/app)" "after $walker"
	eq available "$(cat db/status)" "after $walker"
done
# walkers that read: nothing hangs
timeout 60 grep -rs --exclude=data nosuchtext . || true
timeout 60 cp -a . "$T/copy" 2>/dev/null || true
timeout 60 tar cSf "$T/all.tar" . 2>/dev/null || true
timeout 60 find . -type f ! -name data -exec cat {} + >/dev/null 2>&1 || true
timeout 60 du -s . >/dev/null
timeout 60 rsync -a --exclude="/*/data" . "$T/rsync" 2>/dev/null || true
eq available "$(cat db/status)"
id2=$(cat db2/id)
ok rmdir db2
not ls db2 2>/dev/null
eq deleted "$(timeout 30 cat ".volfs/trash/$id2/wait")"
eq deleted "$(cat ".volfs/trash/$id2/status")"
eq "" "$(ls .volfs/trash)"
eq 1 "$(find "$STATE" -name 'volume-*' | wc -l)" "images"
echo size=1 >new/db2
eq available "$(cat db2/wait)"
cd /
stop_volfs
