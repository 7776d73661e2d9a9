#!/bin/bash
# Bad input: the errno that a user would guess, from write(2) wherever it can be known there, and one line in `errors`.
. "$(dirname "$0")/../system/lib.sh"
cat >"$T/volfs.conf" <<END
database = "$T/volfs.db"; trash_delay = 0;
quota = { volumes = 1000; size = "100G"; per_volume_size = "50G"; };
backends = ( { name = "disk"; driver = "local"; path = "$T/disk"; } );
END
mkdir "$T/disk"
start_volfs -c "$T/volfs.conf"
cd "$MNT"

# refused ERRNO@CALL REGEX FILE TEXT
refused()
{
	expect_errno "$1" write "new/$3" "$4" CREAT
	match "${1%@*} new/.*$2" "$(tail -n1 .volfs/errors)" "$4"
	eq new "$(ls)" "volumes after '$4'"
}

refused EINVAL@write 'line 1, column 1:.*sise' x $'sise=1\n'
refused EINVAL@write 'line 2' x $'size=1\nsize=2\n'
refused EINVAL@write 'size' x $'size=0\n'
refused EINVAL@write 'size' x $'size=-1\n'
refused EINVAL@write 'size' x $'size=1e3\n'
refused EINVAL@write 'size' x $'size=1.5\n'
refused EINVAL@write 'size' x $'size=99999999T\n'
refused EINVAL@write 'size' x $'size=1K\n'
refused EINVAL@write 'size' x $'size=1048577B\n'
refused EINVAL@write 'line 2' x $'size=1\n=\nname=y\n'
refused EINVAL@close 'size' x 'description=only'
refused EINVAL@close 'size' x $'# nothing but a comment\n'
refused EINVAL@write 'name' x $'size=1 name=y\n'
expect_errno OK write new/x.spec $'size=1 name=x\n'
printf 'size=1 name=y\n' >new/.x
expect_errno EBADMSG rename new/.x new/z
match "EBADMSG new/z: .*'z' is the volume's" "$(tail -n1 .volfs/errors)"
ok mv new/.x new/y
eq available "$(cat x/wait)"
eq available "$(cat y/wait)"
not truncate -s 30G x/size 2>/dev/null
match 'EINVAL x/size: .*written, not cut' "$(tail -n1 .volfs/errors)"
not bash -c 'echo word >x/status' 2>/dev/null
match 'EACCES x/status: .*only be read' "$(tail -n1 .volfs/errors)"
not bash -c "printf 'a\\nb\\n' >x/description" 2>/dev/null
match 'EINVAL x/description: .*one write' "$(tail -n1 .volfs/errors)"
not chmod 600 x/size 2>/dev/null
match 'EPERM x/size: ' "$(tail -n1 .volfs/errors)"
not mv new/x new/w 2>/dev/null
match 'EPERM x: .*only a draft' "$(tail -n1 .volfs/errors)"
rmdir x y
refused EINVAL@write 'name' spec $'size=1 name=a/b\n'
for name in . .. a@b -dash 'a b' new '"q"' 'a,b' 'a#b'; do
	refused EINVAL@write 'name' spec "size=1 name='$name'"$'\n'
done
refused EINVAL@write '' spec $'size=1 name="a\nb"\n'
refused ENAMETOOLONG@write 'name' spec "size=1 name=$(printf 'a%.0s' {1..256})"$'\n'
refused EINVAL@write '' spec $'size=1 name=\xff\xfe\n'
refused EINVAL@write '' spec $'size=1 description=a\x01b\n'
refused ENOENT@write 'type' x $'size=1 type=nosuch\n'
refused ENOENT@write 'zone' x $'size=1 zone=nosuch\n'
refused ENOENT@write 'no such volume' x $'size=1 source=nosuch\n'
refused ENOENT@write 'no such volume' x $'size=1 snapshot=a@b\n'
refused ENOENT@write 'image' x $'size=1 image=nosuch\n'
refused ENOENT@write 'group' x $'size=1 group=nosuch\n'
refused EINVAL@write 'source' x $'size=1 source=a image=b\n'
refused EINVAL@close '' x '{"size": 1,'
refused EINVAL@close '' x '{"size": 1, "sise": 2}'
refused EINVAL@close '' x '{"size": 1, "size": 2}'
head -c 4096 /dev/urandom >"$T/noise"
printf '\n' >>"$T/noise"
expect_errno EINVAL@write write new/noise - CREAT <"$T/noise"
head -c 65537 /dev/zero | tr '\0' '#' >"$T/long"
expect_errno EFBIG@write write new/long - CREAT <"$T/long"
{ echo size=1; head -c 65500 /dev/zero | tr '\0' '#'; } >"$T/fits"
expect_errno OK write new/fits - CREAT <"$T/fits"
eq available "$(cat fits/wait)"
rmdir fits
for name in a@b -dash 'a b' 'a,b'; do
	expect_errno EINVAL create "new/$name"
done
expect_errno ENAMETOOLONG create "new/$(printf 'a%.0s' {1..256})"
expect_errno EINVAL create "new/new"
expect_errno EINVAL create $'new/\xff'
expect_errno EINVAL create $'new/a\nb'

# Quota: as root there is none unless a limit is written; another project has the defaults.
as 1234:100 bash -c 'echo size=1 >new/mine'
eq available "$(cat mine/wait)"
expect_errno EEXIST create new/mine
expect_errno EEXIST@write write new/spec $'size=1 name=mine\n'
id=$(cat mine/id)
expect_errno EINVAL@write write new/spec "size=1 name=$id"$'\n'
echo 3 >.volfs/quotas/users/volumes.max
ok as 1234:100 bash -c 'echo size=1 >new/two'
ok as 1234:100 bash -c 'echo size=1 >new/three'
not as 1234:100 bash -c 'echo size=1 >new/four' 2>"$T/err"
match 'quota' "$(cat "$T/err")"
echo 3 >.volfs/quotas/users/volumes.max
eq 3 "$(cat .volfs/quotas/users/volumes.current)"
echo max >.volfs/quotas/users/volumes.max
echo 10G >.volfs/quotas/users/size.max
not as 1234:100 bash -c 'echo size=8 >new/four' 2>"$T/err"
match 'quota' "$(cat "$T/err")"
ok as 1234:100 bash -c 'echo size=7 >new/four'
eq 10737418240 "$(cat .volfs/quotas/users/size.current)"
not as 1234:100 bash -c 'echo size=1 >new/five' 2>"$T/err"
echo 5G >.volfs/quotas/users/per_volume_size.max
echo max >.volfs/quotas/users/size.max
not as 1234:100 bash -c 'echo size=6 >new/five' 2>"$T/err"
match 'too large' "$(cat "$T/err")"
# another project: only one that the caller is in
not as 1234:100 bash -c 'echo size=1 project=daemon >new/five' 2>"$T/err"
match 'denied' "$(cat "$T/err")"
not as 1234:100 bash -c 'echo size=1 project=nosuchgroup >new/five' 2>"$T/err"
match 'No such file' "$(cat "$T/err")"
ok as 1234:100,1 bash -c 'echo size=1 project=daemon >new/five'
eq daemon "$(cat five/project)"
# users see their own refusals, root sees all
match 'uid=1234.*EDQUOT' "$(as 1234:100 cat .volfs/errors)"
not grep -q 'uid=0' <(as 1234:100 cat .volfs/errors)

# One refused write poisons the descriptor: nothing of it is submitted, everything after it fails alike.
python3 - <<-'END'
	import os, errno
	fd = os.open("new/poison", os.O_RDWR | os.O_CREAT)
	os.write(fd, b"size=1\n")
	for text in (b"bogus=1\n", b"description=fine\n"):
	    try:
	        os.write(fd, text)
	        raise SystemExit("a write after a refused one succeeded")
	    except OSError as e:
	        assert e.errno == errno.EINVAL, e
	answer = os.read(fd, 1000)
	assert b"bogus" in answer, answer
	try:
	    os.close(fd)
	    raise SystemExit("close after a refused write succeeded")
	except OSError as e:
	    assert e.errno == errno.EINVAL, e
END
not test -e poison
# A rename of a bad draft: EBADMSG, and the draft stays.
echo size=nonsense >new/.bad
expect_errno EBADMSG rename new/.bad new/bad
expect_errno EBADMSG noreplace new/.bad new/bad
echo size=1 >new/.bad
ok mv new/.bad new/bad
: >new/.empty
expect_errno EBADMSG rename new/.empty new/empty

# A name that 50 writers race for: exactly one wins, and the others are told.
writers=
for i in $(seq 50); do
	sys write new/spec "size=1 name=race"$'\n' >"$T/race.$i" &
	writers+=" $!"
done
wait $writers
eq 1 "$(cat "$T"/race.* | grep -c '^OK')" "winners"
eq 49 "$(cat "$T"/race.* | grep -c '^EEXIST')" "losers"
cd /
stop_volfs
