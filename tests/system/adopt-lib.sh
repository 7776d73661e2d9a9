#!/bin/bash
# What adoption and letting go must do on both drivers. Sourced after lib.sh, data-lib.sh and snapshots-lib.sh, in $MNT, by ../ceph/adopt.sh
# and adopt.sh, which define
#
#	foreign NAME FILE      puts an image with these bytes into the storage of the backend `one`
#	is_foreign NAME FILE   fails unless it is there, with these bytes
#	no_foreign NAME        is it gone?
#
# There are two backends, `one` and `two`, a type `one`, and an image of 8 MiB in $T/image.
# shellcheck source=/dev/null

UNMANAGED=.volfs/unmanaged/one

seen() # NAME: a look has found it
{
	ls $UNMANAGED >/dev/null && [ -e "$UNMANAGED/$1/size" ]
}
unseen()
{
	! seen "$1"
}
is_gone() # NAME
{
	[ ! -e "$1" ]
}

by() # USER GESTURE…
{
	as "$1" /usr/bin/python3 -S "$SRC/tests/system/sys.py" "${@:2}" | sed 's/@.*//'
}

images_are_shown()
{
	eq "one two" "$(ls .volfs/unmanaged | paste -sd' ')"
	eq "" "$(ls $UNMANAGED .volfs/unmanaged/two | grep -v '^$\|:$' || true)"
	foreign img "$T/image"
	wait_for 15 seen img
	eq img "$(ls $UNMANAGED)"
	eq "error seen size snapshots used" "$(ls $UNMANAGED/img | paste -sd' ')"
	eq "8M 0" "$(cat $UNMANAGED/img/{size,snapshots} | paste -sd' ')"
	eq "" "$(cat $UNMANAGED/img/error)"
	match '^[0-9]+$' "$(cat $UNMANAGED/img/used)"
	match '^20[0-9-]+T[0-9:]+Z$' "$(cat $UNMANAGED/img/seen)"
	eq $((8 << 20)) "$(stat -c %s $UNMANAGED/img)"
	eq "770 0:$(getent group disk | cut -d: -f3)" "$(stat -c '%a %u:%g' .volfs/unmanaged | uniq)"
	eq 770 "$(stat -c %a $UNMANAGED)"
	not as 1000:100 ls .volfs/unmanaged 2>/dev/null
	foreign 'odd%name' "$T/image"
	wait_for 15 seen 'odd%25name'
	eq "img odd%25name" "$(ls $UNMANAGED | sort | paste -sd' ')"
	expect_errno ENOENT stat "$UNMANAGED/odd%name"
	expect_errno ENOENT stat "$UNMANAGED/im%67"
	volume owned size=1M type=one
	eq "img odd%25name" "$(ls $UNMANAGED | sort | paste -sd' ')"
	rmdir owned

	note "and nothing else can be done there"
	refused EPERM "" mkdir $UNMANAGED/more
	refused EPERM "adopt it first" rmdir $UNMANAGED/img
	refused EPERM "" write $UNMANAGED/more x
	refused EPERM "" rename $UNMANAGED/img $UNMANAGED/other
	refused EPERM "" rename $UNMANAGED/img .volfs/unmanaged/two/img
	refused EPERM "" rename .volfs/unmanaged/one one
	expect_errno EACCES write $UNMANAGED/img/size 9M
	local walker
	for walker in "rm -rf .volfs/unmanaged" "find .volfs/unmanaged -delete"; do
		eval "timeout 60 $walker" >/dev/null 2>&1 || true
		eq "img odd%25name" "$(ls $UNMANAGED | sort | paste -sd' ')" "after $walker"
	done
	timeout 60 grep -r nosuchtext .volfs/unmanaged || true
}

images_are_adopted()
{
	local id
	eq EACCES "$(by 1000:100 rename $UNMANAGED/img mine)"
	ok mv $UNMANAGED/img db
	# what is there now is a volume, not what the kernel moved
	eq available "$(timeout 30 cat db/wait)"
	eq "8M one" "$(cat db/{size,backend} | paste -sd' ')"
	match '^[0-9a-f-]{36}$' "$(cat db/id)"
	[ -d db/metadata ] || fail "an adopted volume has no metadata/"
	ok cmp "$T/image" db/data
	ok no_foreign img
	eq 'odd%25name' "$(ls $UNMANAGED)"
	eq $((8 << 20)) "$(cat .volfs/quotas/root/size.current)"
	ok mv "$UNMANAGED/odd%25name" odd
	eq available "$(timeout 30 cat odd/wait)"
	ok cmp "$T/image" odd/data
	ok rmdir odd

	note "it is a volume as others are"
	scribble db 1
	cp db/data "$T/changed"
	echo 9M >db/size
	eq available "$(timeout 30 cat db/wait)"
	truncate -s 9M "$T/changed"
	echo web >db/metadata/app
	ok mv db web
	id=$(cat web/id)

	note "let go: its image stays, under its new name"
	ok mv web $UNMANAGED/freed
	wait_for 30 no_volume "$id"
	expect_errno ENOENT stat web
	# the kernel had moved the volume's directory there
	wait_for 15 seen freed
	eq 9M "$(cat $UNMANAGED/freed/size)"
	eq "error seen size snapshots used" "$(ls $UNMANAGED/freed | paste -sd' ')"
	is_foreign freed "$T/changed"
	eq "" "$(ls .volfs/trash)"
	eq 0 "$(cat .volfs/quotas/root/size.current)"
	expect_errno ENOENT stat ".volfs/trash/$id"

	note "and back"
	ok mv $UNMANAGED/freed again
	eq available "$(timeout 30 cat again/wait)"
	ok cmp "$T/changed" again/data
	not test -e again/metadata/app
	(cd again && exec sleep 30) &
	local inside=$!
	at_exit "kill $inside 2>/dev/null"
	ok mv again $UNMANAGED/'per%2525cent'
	wait_for 15 seen 'per%2525cent'
	is_foreign 'per%25cent' "$T/changed"
	kill "$inside"
	wait_for 15 is_gone again # the name is free when the image has its own
	ok mv $UNMANAGED/'per%2525cent' again
	eq available "$(timeout 30 cat again/wait)"
	ok rmdir again
	wait_for 30 trash_is_empty
	rm "$T/changed"
}

no_volume() # ID
{
	[ ! -e ".volfs/by/id/$1" ]
}

images_bring_snapshots()
{
	local was
	volume db size=8M type=one
	ok dd if="$T/image" of=db/data bs=1M conv=notrunc,fsync status=none
	ok mkdir db/snapshots/first
	was=$(sum db/data)
	scribble db 0
	ok mkdir db/snapshots/second
	cp db/data "$T/now"
	ok mv db $UNMANAGED/img
	wait_for 15 is_gone db
	wait_for 15 seen img
	eq 2 "$(cat $UNMANAGED/img/snapshots)"
	is_foreign img "$T/now"
	ok mv $UNMANAGED/img db
	eq available "$(timeout 30 cat db/wait)"
	eq 2 "$(ls db/snapshots | wc -l)"
	eq 2 "$(cat .volfs/quotas/root/snapshots.current)"
	# in order of their taking
	eq "$was" "$(sum "db/snapshots/$(ls -U db/snapshots | head -n1)/data")"
	eq "$(sum "$T/now")" "$(sum "db/snapshots/$(ls -U db/snapshots | tail -n1)/data")"
	ok mv "db/snapshots/$(ls -U db/snapshots | head -n1)" db/snapshots/named
	gone_everywhere_adopted db
	ok rmdir db
	wait_for 30 trash_is_empty
	rm "$T/now"
}

gone_everywhere_adopted()
{
	ok no_snapshots "$1"
}

# IMPOSSIBLE: a name that no image of this storage can have
images_are_refused()
{
	foreign img "$T/image"
	wait_for 15 seen img
	volume taken size=1M type=one
	refused EEXIST "taken" rename $UNMANAGED/img taken
	refused EBADMSG "" rename $UNMANAGED/img 'two words'
	refused EPERM "" rename $UNMANAGED/img new/img
	echo 1M >.volfs/quotas/root/size.max
	refused EDQUOT "" rename $UNMANAGED/img db
	echo max >.volfs/quotas/root/size.max
	refused EBADMSG "one" rename taken .volfs/unmanaged/two/taken
	refused EEXIST "img" rename taken $UNMANAGED/img
	refused EBADMSG "called" rename taken "$UNMANAGED/$IMPOSSIBLE"
	refused EBADMSG "%25" rename taken "$UNMANAGED/two%20words"
	refused EBADMSG "%25" rename taken "$UNMANAGED/50%"
	refused EPERM "" rename taken .volfs/unmanaged/one
	refused EPERM "" rename taken .volfs/unmanaged/three
	mkdir taken/attachments/vm
	refused EBUSY "attached|in-use" rename taken $UNMANAGED/other
	rmdir taken/attachments/vm
	held rw taken refused EBUSY "" rename taken $UNMANAGED/other
	wait_for 10 grep -qx available taken/status
	eq EACCES "$(by 1000:100 rename taken $UNMANAGED/other)"
	eq "available img" "$(cat taken/status) $(ls $UNMANAGED)"
	ok mv $UNMANAGED/img img
	eq available "$(timeout 30 cat img/wait)"
	ok rmdir img taken
	wait_for 30 trash_is_empty
}

images_outlive_servers() # ROUNDS COMMAND…
{
	local round name=img
	foreign img "$T/image"
	wait_for 15 seen img
	for round in $(seq "$1"); do
		mv "$UNMANAGED/$name" db &
		sleep "0.0$(printf %02d $((RANDOM % 40)))" # the instant is the test
		"${@:2}"
		wait "$!" || fail "round $round: mv: exit status $?"
		eq available "$(timeout 30 cat db/wait)" "round $round"
		ok cmp "$T/image" db/data
		name=img$round
		mv db "$UNMANAGED/$name" &
		sleep "0.0$(printf %02d $((RANDOM % 40)))"
		"${@:2}"
		wait "$!" || fail "round $round: mv: exit status $?"
		wait_for 30 seen "$name"
		is_foreign "$name" "$T/image"
	done
	ok mv "$UNMANAGED/$name" db
	eq available "$(timeout 30 cat db/wait)"
	ok rmdir db
	wait_for 30 trash_is_empty
}
