#!/bin/bash
# Attachments by ordinary tools: made and removed, by whom they are, what they do to the status and keep others from, what is refused and
# why; the flags readonly and bootable; what a killed server leaves.
# timeout: 60
# sanitize
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh"

# refused ERRNO REGEX GESTURE…: by its errno, and by its sentence in `errors`
refused()
{
	expect_errno "$1" "${@:3}"
	match "$2" "$(tail -n 1 .volfs/errors)" "errors"
}

mkdir "$T/disk"
cat >"$T/volfs.conf" <<-END
	database = "$T/volfs.db"; trash_delay = 0; stats_interval = 1;
	backends = ( { name = "disk"; driver = "local"; path = "$T/disk"; capabilities = { multiattach = true; }; } );
END
start_volfs -c "$T/volfs.conf"
cd "$MNT"
here=$(hostname)

note "an attachment is a directory, and the volume is in use"
volume db size=1M
eq "" "$(ls db/attachments)"
eq 755 "$(stat -c %a db/attachments)"
mkdir db/attachments/vm1
eq in-use "$(cat db/status)"
eq in-use "$(timeout 5 cat db/wait)"
eq "vm1" "$(ls db/attachments)"
eq "host mode since who" "$(cd db/attachments/vm1 && echo ./* | sed 's,\./,,g')"
eq "$here" "$(cat db/attachments/vm1/host)"
eq rw "$(cat db/attachments/vm1/mode)"
match '^20[0-9-]+T[0-9:]+Z$' "$(cat db/attachments/vm1/since)"
eq "uid 0" "$(cat db/attachments/vm1/who)"
eq "644 644 444 444" "$(cd db/attachments/vm1 && echo $(stat -c %a host mode since who))"
match "volume.attach.end.*attached as 'vm1' to host $here by uid 0" "$(cat db/history)"
eq "vm1 $here rw" "$(jq -r '.attachments[] | "\(.name) \(.host) \(.mode)"' db/json)"
wait_for 5 has_its_size db/json

note "one only; what is in use stays"
expect_errno EEXIST mkdir db/attachments/vm1
refused EBUSY "volume 'db' is attached as 'vm1' to host $here by uid 0" mkdir db/attachments/vm2
refused EBUSY "volume 'db' is attached as 'vm1'" rmdir db
refused EINVAL "no ':'" mkdir db/attachments/open:1
refused EPERM "" mkdir db/attachments/vm1/more
expect_errno ENOENT rmdir db/attachments/none

note "its fields"
echo other.example >db/attachments/vm1/host
echo ro >db/attachments/vm1/mode
eq "other.example ro" "$(cat db/attachments/vm1/{host,mode} | paste -sd' ')"
eq 14 "$(stat -c %s db/attachments/vm1/host)"
refused EINVAL "takes rw or ro" write db/attachments/vm1/mode wr
refused EINVAL "one word" write db/attachments/vm1/host 'a b'
expect_errno EACCES write db/attachments/vm1/since now

note "extension works meanwhile, and ends in-use"
echo 2M >db/size
eq in-use "$(timeout 10 cat db/wait)"
eq 2M "$(cat db/size)"
rmdir db/attachments/vm1
eq available "$(cat db/status)"
match "volume.detach.end" "$(cat db/history)"
echo 3M >db/size
eq available "$(timeout 10 cat db/wait)"

note "whose they are"
as 1000:100 sh -c 'echo size=1M >new/mine'
eq available "$(timeout 10 cat mine/wait)"
as 1000:100 mkdir mine/attachments/vm
eq 1000 "$(stat -c %u mine/attachments/vm/host)"
eq "uid 1000" "$(cat mine/attachments/vm/who)"
not as 1001:100 sh -c 'echo far >mine/attachments/vm/host' 2>/dev/null
not as 1001:100 rmdir mine/attachments/vm 2>/dev/null
not as 1001:100 mkdir db/attachments/vm 2>/dev/null
as 1000:100 sh -c 'echo far >mine/attachments/vm/host'
eq far "$(cat mine/attachments/vm/host)"

note "tree walkers harm nothing"
not rm -rf mine 2>/dev/null
not rm -rf mine/attachments/vm 2>/dev/null
not find mine -delete 2>/dev/null
python3 -c 'import shutil; shutil.rmtree("mine/attachments", ignore_errors=True)'
eq "vm in-use" "$(ls mine/attachments) $(cat mine/status)"
rmdir mine/attachments/vm
rmdir mine

note "read-only and bootable volumes"
eq "0 0" "$(cat db/{readonly,bootable} | paste -sd' ')"
echo 1 >db/bootable
echo 1 >db/readonly
eq "1 1" "$(cat db/{readonly,bootable} | paste -sd' ')"
eq "true true" "$(jq -r '"\(.readonly) \(.bootable)"' db/json)"
refused EINVAL "0 or 1" write db/readonly yes
mkdir db/attachments/vm
eq ro "$(cat db/attachments/vm/mode)"
refused EROFS "read-only" write db/attachments/vm/mode rw
refused EBUSY "in-use" write db/readonly 0
rmdir db/attachments/vm
echo 0 >db/readonly

note "by type there may be many"
mkdir .volfs/types/shared
echo '<is> True' >.volfs/types/shared/extra_specs/multiattach
volume many type=shared size=1M
mkdir many/attachments/{a,b,c}
eq "a b c" "$(ls many/attachments | paste -sd' ')"
refused EBUSY "attached as 'a'" rmdir many
rmdir many/attachments/{a,b}
eq in-use "$(cat many/status)"
rmdir many/attachments/c
eq available "$(cat many/status)"
rmdir many

note "a killed server leaves what was attached"
mkdir db/attachments/vm1
kill -9 "$(server_pid)"
eq "vm1 in-use" "$(ls db/attachments) $(cat db/status)"
echo elsewhere >db/attachments/vm1/host
eq elsewhere "$(cat db/attachments/vm1/host)"
rmdir db/attachments/vm1
rmdir db
cd /
allow_log 'server.*(killed|ended|signal)'
stop_volfs
