#!/bin/bash
# Every idiom by which programs write a file submits exactly one spec, whole: at the last close, not before, not twice.
. "$(dirname "$0")/../system/lib.sh"
start_volfs
cd "$MNT"
count=0

# expect NAME SIZE: the idiom before made exactly this volume, with all of what was written.
expect()
{
	eq available "$(timeout 30 cat "$1/wait")" "$1"
	eq "$2" "$(cat "$1/size")" "$1/size"
	[ -z "${3:-}" ] || eq "$3" "$(cat "$1/description")" "$1/description"
	count=$((count + 1))
	eq "$count" "$(ls | grep -vcx new)" "volumes after $1"
}

echo size=1 >new/echo
expect echo 1G
{ echo size=1; echo description=two; } >new/group
expect group 1G two
(
	echo size=1
	echo description=sub
) >new/subshell
expect subshell 1G sub
printf 'size=1\n' >"$T/a"
printf 'description=cats\n' >"$T/b"
( cat "$T/a"; cat "$T/b" ) >new/cats
expect cats 1G cats
printf 'size=1\ndescription=printf\n' >new/printf
expect printf 1G printf
printf 'size=1' >new/no-newline
expect no-newline 1G
dd if="$T/a" of=new/dd bs=1 status=none
expect dd 1G
cp "$T/a" new/cp
expect cp 1G
cp -p "$T/a" new/cp-p
expect cp-p 1G
install -m 600 "$T/a" new/install
expect install 1G
tee new/tee <"$T/a" >"$T/tee"
expect tee 1G
cat "$T/a" "$T/b" | tee new/tee2 >"$T/tee"
expect tee2 1G cats
{ echo size=1; command -v ls >/dev/null; echo description=middle; } >new/middle
expect middle 1G middle
{ echo size=1; echo msg >&2; echo description=stderr; } >new/stderr 2>"$T/err"
expect stderr 1G stderr
exec 3>new/exec
echo size=1 >&3
echo description=exec >&3
not test -e exec
exec 3>&-
expect exec 1G exec
f() { echo size=1; ls >/dev/null; echo description=function; }
f >new/function
expect function 1G function
sh -c 'echo size=1 >new/dash'
expect dash 1G
sh -c '{ echo size=1; echo description=dash2; } >new/dash2'
expect dash2 1G dash2
sh -c 'exec 3>new/dash3; echo size=1 >&3; true | cat; echo description=d3 >&3; exec 3>&-'
expect dash3 1G d3
( echo size=1; sleep 0.1 & wait; echo description=background ) >new/background
expect background 1G background
seq 1 1 | sed 's/.*/size=1/' >new/pipe
expect pipe 1G
for i in 1; do echo size=$i; echo description=loop; done >new/loop
expect loop 1G loop
while read -r line; do echo "$line"; done <"$T/a" >new/while
expect while 1G
cat >new/heredoc <<-END
	size=1
	description=heredoc
END
expect heredoc 1G heredoc
python3 - <<-'END'
	with open("new/python", "w") as f:
	    f.write("size=1\n")
	    f.flush()
	    f.write("description=python\n")
END
expect python 1G python
python3 - <<-'END'
	import os, threading
	fd = os.open("new/thread", os.O_WRONLY | os.O_CREAT)
	def run():
	    os.write(fd, b"size=1\n")
	    os.close(fd)
	t = threading.Thread(target=run); t.start(); t.join()
END
expect thread 1G
python3 -c 'import shutil; shutil.copy("'"$T"'/a", "new/shutil")'
expect shutil 1G
cp "$T/a" "$T/list.spec"
cp "$T/a" "$T/list2.spec"
cp "$T"/*.spec new/
count=$((count + 1))
expect list 1G
eq available "$(cat list2/wait)"
rmdir list2
count=$((count - 1))

# An editor's and a script's way: a draft, then a rename.
cp "$T/a" new/.draft
ls -A new | grep -qx .draft
not test -e draft
mv new/.draft new/draft
expect draft 1G
echo size=1 >new/sponge.tmp
mv -n new/sponge.tmp new/sponge
expect sponge 1G
rsync "$T/a" new/rsync
expect rsync 1G
printf 'size=9\n' >new/.sed
sed -i s/9/1/ new/.sed
mv new/.sed new/sed
expect sed 1G
# vim: a swap file, 4913, a backup name, fsync, then the file itself
vim.tiny -u NONE -n -es -c 'normal isize=1' -c wq new/vim </dev/null || true
expect vim 1G

# Metadata: what writes a temporary file and renames it, and what writes in place; neither leaves a trace.
mkdir "$T/src"
echo by-rsync >"$T/src/app"
cd echo/metadata
has()
{
	eq "$1" "$(cat app)" "metadata/app"
	eq app "$(ls -A)" "keys"
}
echo one >app
sed -i s/one/two/ app
has two
sed -i -e 's/two/three/;s/$/ words/' app
has "three words"
sed -i.bak s/three/four/ app
eq "three words" "$(cat app.bak)" "sed -i.bak"
rm app.bak
has "four words"
vim.tiny -u NONE -es -c '%s/four/five/' -c wq app </dev/null || true
has "five words"
vim.tiny -u NONE -es -c 'set backup backupdir=.' -c '%s/five/six/' -c wq app </dev/null || true
has "six words"
rsync -a "$T/src/app" app
has by-rsync
rsync -r "$T/src/" .
has by-rsync
cp -f "$T/a" app
has size=1
printf 'by mv\n' >.new
mv .new app
has "by mv"
printf 'by mv too\n' >new
mv new app
has "by mv too"
python3 - <<-'END'
	import os, tempfile # as Ansible's copy does it, and as others do
	for prefix, text in ((".ansible_tmp", "ansible"), ("tmp", "python")):
	    fd, path = tempfile.mkstemp(prefix=prefix, dir=".", suffix="app" if prefix[0] == "." else "")
	    os.write(fd, text.encode())
	    os.close(fd)
	    if prefix[0] == ".":
	        os.chmod(path, 0o644)
	        os.chown(path, 0, 0)
	        os.utime(path)
	    os.rename(path, "app")
	    assert open("app").read() == text + "\n", text
END
has python
mv app other
eq python "$(cat other)"
mv other app
has python
printf 'a\nb\n' >.bad
expect_errno EBADMSG rename .bad app
match 'EBADMSG metadata/app: .*control' "$(tail -n1 ../../.volfs/errors)"
expect_errno EBADMSG rename app 'a=b'
expect_errno ENOENT rename nosuch app
rm .bad
expect_errno EPERM rename app ../../cp/metadata/app
has python
match 'metadata app set, was other' "$(tail -n1 ../history)"
cd ../..
# Nothing can be made beside an attribute, so sed -i finds no place for its copy.
not sed -i s/a/b/ echo/description 2>/dev/null

# The UUID comes back on the same descriptor.
exec 3<>new/spec
echo size=1 >&3
read -r id <&3
exec 3>&-
match '^[0-9a-f-]{36}$' "$id"
expect "$id" 1G
eq "$id" "$(cat "$id/id")"
exec 3<>new/answer
echo size=1 >&3
read -r id <&3
exec 3>&-
expect answer 1G
eq "$id" "$(cat answer/id)"
echo size=1 name=named >new/spec
expect named 1G
printf '{"size": 1, "name": "json", "description": "a json", "metadata": {"k": "v"}}' >new/spec
expect json 1G "a json"
eq v "$(cat json/metadata/k)"
cp echo/spec new/again
expect again 1G

# No bytes, no request; nothing that was refused leaves anything.
: >new/nothing
touch new/nothing
{ :; } >new/nothing
eq "$count" "$(ls | grep -vcx new)" "volumes after nothing"

# After acceptance the name shows the spec, and nothing can be done to it.
eq "size=1" "$(cat new/echo)"
eq "size=1" "$(cat new/list.spec)"
chmod 600 new/echo
chown 0:0 new/echo
touch new/echo
expect_errno EEXIST@open write new/echo size=1
match 'EEXIST new/echo: this spec was accepted' "$(tail -n1 .volfs/errors)"
echo size=1 >new/.x
expect_errno EEXIST rename new/.x new/echo
eq 644 "$(stat -c %a new/.x)"
chmod 600 new/.x # what is in a draft may be nobody else's business
eq 600 "$(stat -c %a new/.x)"
ok rm new/.x
not ls new/.x 2>/dev/null
match spec "$(ls new)"

# What removes a file before it writes it anew finds nothing to do; another text is refused.
twice()
{
	ok "$@" "$T/a" new/install
	eq "size=1" "$(cat new/install)" "after $*"
	cp "$T/b" "$T/install.b"
	not "$@" "$T/install.b" new/install 2>"$T/err"
	match 'EEXIST new/install: another spec was accepted' "$(tail -n1 .volfs/errors)" "$*"
}
twice install -m 600
twice cp -f
twice cp --remove-destination
cp "$T/a" "$T/tar"
tar cf "$T/spec.tar" -C "$T" tar
tar xf "$T/spec.tar" -C new
expect tar 1G
tar xf "$T/spec.tar" -C new
# What looks first finds nothing to do; what writes all the same is told, even if it is the same text: who writes
# `size=1` into a new file wants a new volume.
ok rsync -ac "$T/a" new/install
ok cp -n "$T/a" new/install
ok cp -pn "$T/a" new/install
not cp -p "$T/a" new/install 2>/dev/null
touch -d yesterday "$T/a"
not rsync -a "$T/a" new/install 2>/dev/null
match 'EEXIST new/install: a volume .install. exists' "$(tail -n1 .volfs/errors)"
eq spec "$(ls -A new)"
ok rm new/install
expect_errno EEXIST create new/install
expect_errno EPERM unlink new/spec
eq 1G "$(cat install/size)"
not as 1234:100 rm -f new/install 2>"$T/err"

# A close by execve(2) of a close-on-exec descriptor: the kernel holds a lock there that much of /proc waits for.
timeout 10 python3 -c 'import os
fd = os.open("new/execve", os.O_WRONLY | os.O_CREAT)
os.write(fd, b"size=1\n")
os.execv("/bin/true", ["true"])'
expect execve 1G

# A writer that is killed in the middle submits nothing.
sh -c 'exec 3>new/killed; echo size=1 >&3; kill -9 $$' || true
python3 - <<-'END' || true
	import os, signal
	fd = os.open("new/killed2", os.O_WRONLY | os.O_CREAT)
	os.write(fd, b"size=1\n")
	os.kill(os.getpid(), signal.SIGKILL)
END
not test -e killed
not test -e killed2
sleep 0.2 # a RELEASE has no answer to wait for: give a wrong one time to show
not test -e killed
not test -e killed2
eq "$count" "$(ls | grep -vcx new)" "volumes at the end"
cd /
stop_volfs
