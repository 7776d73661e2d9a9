#!/bin/bash
# .volfs/by and .volfs/summary: every view follows what happens to a volume, its links lead to it, and a private type is there for nobody
# else; the table fits a terminal, whatever the names, and shows a user the own projects' volumes only.
# sanitize
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh"

mkdir "$T"/{a,b,c}
chmod 755 "$T"
cat >"$T/volfs.conf" <<-END
	database = "$T/volfs.db"; admin_group = "disk"; quota = { volumes = -1; size = -1; };
	backends = (
	  { name = "a"; driver = "local"; path = "$T/a"; },
	  { name = "b"; driver = "local"; path = "$T/b"; zone = "far away"; },
	  { name = "c"; driver = "local"; path = "$T/c"; zone = "no/name"; } );
END
start_volfs --restarts 0 -c "$T/volfs.conf"
cd "$MNT/.volfs/by"
wait_for 10 grep -qx ready ../status

user()
{
	as 1000:100 "$@"
}

# within NAME VIEW/KEY…: NAME is there, and leads to the volume; without: it is not
within()
{
	local name=$1 id key
	shift
	id=$(stat -c %i "$MNT/$name")
	for key; do
		eq "../../../../$name" "$(readlink "$key/$name")" "$key"
		eq "$id" "$(stat -Lc %i "$key/$name")" "$key/$name leads to it"
		ok grep -qxF "$name" <(ls "$key")
	done
}
without()
{
	local name=$1 key
	shift
	for key; do
		expect_errno ENOENT stat "$key/$name"
		not grep -qxF "$name" <(ls "$key")
	done
}

# --- what is there

eq "$(printf '%s\n' backend id project status type zone)" "$(ls)"
eq 25 "$(ls status | wc -l)"
eq "" "$(find . -type l; ls type)" "nothing, though every status is there"
eq "a b c" "$(echo $(ls backend))"
eq "$(printf '%s\n' default 'far away')" "$(ls zone)" "zones are there while a backend is, if they can be names"
for path in nosuch status/nosuch status/deleted type/nosuch backend/d project/nosuch zone/far zone/nosuch/x status/error/x; do
	expect_errno ENOENT stat "$path"
done
expect_errno EPERM mkdir status/mine
expect_errno EPERM mkdir status/error/x
expect_errno EPERM rmdir status/error

# --- they follow

mkdir ../types/{fast,secret}
echo 0 >../types/secret/public
volume db size=1 type=fast
volume far size=1 zone="'far away'"
user sh -c "echo size=2 >$MNT/new/mine" && eq available "$(cat "$MNT/mine/wait")"
within db status/available type/fast backend/a project/root zone/default
within far status/available backend/b zone/'far away'
within mine project/users status/available
without far type/fast backend/a project/users zone/default
without mine project/root
eq "../../../db" "$(readlink "id/$(cat "$MNT/db/id")")"
eq 3 "$(ls -U id | wc -l)"
eq "$(stat -c %s status/available/db)" "$(readlink status/available/db | tr -d '\n' | wc -c)"
eq 6 "$(stat -c %i {status/available,type/fast,backend/a,project/root,zone/default}/db "id/$(cat "$MNT/db/id")" | sort -u | wc -l)" \
	"each link has a number of its own"
eq available "$(cat status/available/db/status)"
echo error >"$MNT/db/reset"
within db status/error
without db status/available
grep -qx error status/error/db/status
exec 8>"$MNT/far/data"
wait_for 5 test -L status/in-use/far
without far status/available
exec 8>&-
wait_for 5 test -L status/available/far
mv "$MNT/db" "$MNT/größe-1"
within größe-1 status/error type/fast
without db status/error type/fast backend/a
mv ../types/fast ../types/quick
within größe-1 type/quick
expect_errno ENOENT stat type/fast
chgrp daemon "$MNT/mine"
within mine project/daemon
without mine project/users
id=$(cat "$MNT/mine/id")
rmdir "$MNT/mine"
without mine project/daemon status/available backend/a
expect_errno ENOENT stat "id/$id"
mv "../trash/$id" "$MNT/back"
within back project/daemon status/available backend/a
eq "" "$(find . -xtype l)" "no link dangles"
eq "3 3 3" "$(for v in status backend project; do find -L $v -maxdepth 3 -name status -type f | wc -l; done | xargs)"

# --- a private type

echo size=1 type=secret >"$MNT/new/hidden" && eq available "$(cat "$MNT/hidden/wait")"
within hidden type/secret
eq "quick secret" "$(echo $(ls type))"
eq quick "$(user ls type)"
not user ls type/secret/ 2>"$T/out"
not user stat type/secret/hidden 2>"$T/out"
touch ../types/secret/access/users
eq "quick secret" "$(echo $(user ls type))"
eq hidden "$(user ls type/secret)"

# --- the table

long=$(printf 'volume-%.0s' {1..36})
wide=$(printf '数据%.0s' {1..40})
echo size=100M >"$MNT/new/${long:0:255}"
echo size=1536M >"$MNT/new/$wide"
eq available "$(cat "$MNT/$wide/wait")"
eq available "$(cat "$MNT/${long:0:255}/wait")"

# Lines of the widths that a terminal gives them, and the columns of a word in them.
widths()
{
	python3 -c '
import sys, unicodedata
for line in sys.stdin:
    print(sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line.rstrip("\n")))'
}
table=$(cat ../summary)
rows=$(sed -n '/^NAME/,$p' <<<"$table")
eq 7 "$(wc -l <<<"$rows")"
eq 79 "$(widths <<<"$rows" | sort -u)" "columns stay aligned"
eq 79 "$(sed '/^$/,$d' <<<"$table" | widths | sort -u)"
[ "$(widths <<<"$table" | sort -n | tail -n1)" -le 80 ] || fail "wider than 80: $table"
match '^BACKEND +STATE +USED +TOTAL +PROMISED +VOLUMES$' "$(head -n1 <<<"$table")"
match '^a +up +\[#*-*\] +[0-9]+% +[0-9.]+[BKMGT] +[0-9.]+[KMGTP] +[0-9.]+G +5$' "$(sed -n 2p <<<"$table")"
match '^total +\[[#-]{10}\] +[0-9]+% .* 6$' "$(sed -n 5p <<<"$table")"
match '^available +5 +5\.6G$' "$table"
match '^error +1 +1\.0G$' "$table"
match '^total +6 +6\.6G$' "$table"
match '^größe-1 +error +1\.0G +0B quick +a +[0-9]+[smh]$' "$rows"
match '^volume-volume-volume-vol… available +100M +0B - +a +[0-9]+[smh]$' "$rows"
match '^数据数据数据数据数据数据… available +1\.5G' "$rows"
rmdir "$MNT/far"
match '^in the trash +1 +1\.0G$' "$(cat ../summary)"
eq 0 "$(stat -c %s ../summary)"

# The lines of volumes, but for their ages.
still()
{
	sed -n '/^STATUS/,$s/ *[0-9]*[smh]$//p'
}

# By whatever reads: bytes, lines and seeks back, a second time, but no leaps.
table=$(still <../summary)
eq "$table" "$(dd if=../summary bs=7 2>"$T/out" | still)"
eq "$table" "$(while IFS= read -r line; do printf '%s\n' "$line"; done <../summary | still)"
eq "$(tail -n 3 <<<"$table")" "$(tail -n 3 ../summary | sed 's/ *[0-9]*[smh]$//')"
python3 - ../summary <<-'END'
	import os, sys
	fd = os.open(sys.argv[1], os.O_RDONLY)
	first = os.read(fd, 1000)
	rest = b"".join(iter(lambda: os.read(fd, 100), b""))
	os.lseek(fd, 0, 0)
	assert os.read(fd, 1 << 20).split()[:9] == (first + rest).split()[:9]
	assert os.read(fd, 1) == b""
	try:
	    os.pread(fd, 10, 5000)
	    sys.exit("a leap went well")
	except OSError as e:
	    assert e.strerror == "Invalid argument", e
END

# --- for others

names()
{
	sed -n '/^NAME/,$s/ .*//p' ../summary | sed 1d | sort | xargs
}
eq back "$(as 1:1 sed -n '/^NAME/,$s/ .*//p' ../summary | sed 1d | xargs)" "a project's own volumes"
eq "" "$(user sed -n '/^NAME/,$s/ .*//p' ../summary | sed 1d)" "a user without volumes"
user sh -c "echo size=1 >$MNT/new/new" 2>"$T/out" || true
user sh -c "echo size=1 >$MNT/new/own; echo size=1 >$MNT/new/own2"
eq "back own own2" "$(as 1000:100,1 sed -n '/^NAME/,$s/ .*//p' ../summary | sed 1d | xargs)" "of each project"
eq "$(names)" "$(as 1000:100,6 sed -n '/^NAME/,$s/ .*//p' ../summary | sed 1d | sort | xargs)" "an administrator sees all"
eq "$(sed '/^$/,$d' ../summary | cut -c1-27)" "$(user sed '/^$/,$d' ../summary | cut -c1-27)" "backends are everybody's"

# --- a reader goes on after its server was killed

table=$(still <../summary)
exec 9<../summary
dd bs=500 count=1 <&9 >"$T/begin" 2>"$T/out"
kill_server
eq "$table" "$( (cat "$T/begin" - <&9) | still)"
exec 9<&-
within back project/daemon
cd /
stop_volfs
