#!/bin/bash
# Volume types by ordinary tools: made, described, changed by whatever writes files, seen by whom they are for, asked for by specs;
# what is refused and why; what no tree walker may harm; types of the configuration, of a killed server, of an older catalogue.
# timeout: 120
# sanitize
# shellcheck disable=SC2046
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh"

mkdir "$T"/{a,b,c}
chmod 755 "$T"

# conf [MORE]
conf()
{
	cat >"$T/volfs.conf" <<-END
		database = "$T/volfs.db"; trash_delay = 0; admin_group = "disk"; stats_interval = 3600; quota = { volumes = -1; size = -1; }; ${1:-}
		backends = (
		  { name = "a"; driver = "local"; path = "$T/a"; capabilities = { disk = "ssd"; }; },
		  { name = "b"; driver = "local"; path = "$T/b"; capabilities = { disk = "hdd"; }; },
		  { name = "c"; driver = "local"; path = "$T/c"; capabilities = { disk = "ssd"; }; zone = "far"; } );
	END
}

start()
{
	start_volfs --restarts 0 -c "$T/volfs.conf"
	cd "$MNT/.volfs"
	wait_for 10 grep -qx ready status
}

restart()
{
	cd /
	stop_volfs
	start
}

# refused ERRNO REGEX GESTURE…: by its errno, and by its file and sentence in `errors`
refused()
{
	local want=$1 why=$2
	shift 2
	expect_errno "$want" "$@"
	match "${want%@*} $why" "$(tail -n1 errors)" "$*"
}

# says WANT FILE…: their lines
says()
{
	local want=$1
	shift
	eq "$want" "$(echo $(cat "$@"))" "$*"
}

user()
{
	as 1:1 "$@"
}
other()
{
	as 2:2 "$@"
}
operator() # neither root nor owner of anything: a member of admin_group
{
	as 1:1,6 "$@"
}

# kept COMMAND…: whatever it says, the types are as they were $before
kept()
{
	"$@" >"$T/out" 2>&1 || true
	eq "$before" "$(picture)" "types after $*"
}
picture()
{
	(cd types && find . -type f | sort | xargs -r grep -H '')
	find types -type d | sort
}

conf
start

note "a directory is a type"
eq '' "$(ls -A types)"
mkdir types/fast types/new
eq "fast new" "$(echo $(ls types))"
eq "$(
	cat <<-END
		drwxrwxr-x root disk .
		-r--r--r-- root root id
		-rw-rw-r-- root disk description
		-rw-rw-r-- root disk public
		-rw-rw-r-- root disk default
		drwxrwx--- root disk extra_specs
		drwxrwxr-x root disk qos
		-rw-rw-r-- root disk qos/consumer
		drwxrwx--- root disk access
		drwxrwxr-x root disk default_for
	END
)" "$(cd types/fast && stat -c '%A %U %G %n' . $(find . -mindepth 1 -printf '%P\n') | sed '2s/disk/root/')"
match '^[0-9a-f]{8}-[0-9a-f]{4}-' "$(cat types/fast/id)"
says '1 0 back-end' types/fast/{description,public,default,qos/consumer}
for f in id description public default qos/consumer; do
	eq "$(wc -c <"types/fast/$f")" "$(stat -c %s "types/fast/$f")" "size of $f"
done
echo quick >types/fast/description
echo and good >>types/fast/description
says 'quick and good' types/fast/description
eq 15 "$(stat -c %s types/fast/description)"
mv types/new types/slow
rmdir types/slow
eq fast "$(ls types)"

note "whatever writes files writes keys"
specs=types/fast/extra_specs
has() # VALUE: that, and nothing besides
{
	says "$1" $specs/disk
	eq disk "$(ls -A $specs)" "keys"
}
echo one >$specs/disk
has one
eq '-rw-rw---- root disk 4' "$(stat -c '%A %U %G %s' $specs/disk)"
printf 'two\n' | tee $specs/disk >"$T/out"
has two
sed -i s/two/three/ $specs/disk
has three
sed -i.bak s/three/four/ $specs/disk
says three $specs/disk.bak
rm $specs/disk.bak
vim.tiny -u NONE -es -c '%s/four/five/' -c wq $specs/disk </dev/null || true
has five
vim.tiny -u NONE -es -c 'set backup backupdir=.' -c '%s/five/six/' -c wq $specs/disk </dev/null || true
has six
mkdir "$T/src"
echo seven >"$T/src/disk"
cp "$T/src/disk" $specs/
has seven
cp -p --remove-destination "$T/src/disk" $specs/disk
install -m 600 "$T/src/disk" $specs/disk
has seven
echo eighth >"$T/src/disk" # of another length: rsync looks at that and the second
rsync -a "$T/src/" $specs/
has eighth
echo nine >$specs/.disk.tmp
echo ten >"$specs/disk~"
eq disk "$(ls -A $specs)"
mv $specs/.disk.tmp $specs/disk
rm "$specs/disk~"
has nine
mv $specs/disk $specs/disc
mv $specs/disc $specs/disk
echo more >>$specs/disk
has "nine more"
touch -d yesterday $specs/disk
chmod 600 $specs/disk
has "nine more"
rm $specs/disk
eq '' "$(ls -A $specs)"

note "the same of qos/, whose consumer is always there"
qos=types/fast/qos
echo 100 >$qos/total_iops_sec
sed -i s/1/2/ $qos/total_iops_sec
sed -i s/back-end/front-end/ $qos/consumer
says 'front-end 200' $qos/*
vim.tiny -u NONE -es -c '%s/front-end/both/' -c wq $qos/consumer </dev/null || true
says 'both 200' $qos/*
echo back >$qos/.c
mv $qos/.c $qos/consumer
says 'back-end 200' $qos/*
cp "$T/src/disk" $qos/free
says 'back-end eighth 200' $qos/*
refused EPERM '.volfs/types/fast/qos/free: ' rename $qos/free $qos/consumer
refused EPERM '.volfs/types/fast/qos/consumer: ' rename $qos/consumer $qos/free
expect_errno EPERM unlink $qos/consumer
refused EINVAL@write '.volfs/types/fast/qos/consumer: .*back-end, front-end or both' write $qos/consumer nobody
echo nobody >$qos/.c
refused EBADMSG '.volfs/types/fast/qos/consumer: .*back-end, front-end or both' rename $qos/.c $qos/consumer
says nobody $qos/.c
rm $qos/.c
says 'back-end eighth 200' $qos/*

note "values are checked, however they get there"
min=$specs/provisioning:min_vol_size
max=$specs/provisioning:max_vol_size
refused EINVAL@write '.volfs/types/fast/qos/total_iops_sec: .*whole number' write $qos/total_iops_sec many
refused EINVAL@write '.volfs/types/fast/qos/total_iops_sec: .*whole number' write $qos/total_iops_sec 5 APPEND NOTRUNC
refused EINVAL@write '.volfs/types/fast/qos/read_bytes_sec_max: .*whole number' write $qos/read_bytes_sec_max -5
refused EBADMSG '.volfs/types/fast/qos/free: .*total_bytes_sec takes a whole number' rename $qos/free $qos/total_bytes_sec
says 'back-end eighth' $qos/{consumer,free}
rm $qos/read_bytes_sec_max
for value in nonsense -1M 1.5 1X; do
	refused EINVAL@write ".volfs/types/fast/extra_specs/provisioning:min_vol_size: " write $min $value
done
echo 2M >$min
refused EINVAL@write '.*max_vol_size: provisioning:min_vol_size is 2M: no size would do' write $max 1M
echo 1M >$specs/.m
refused EBADMSG '.volfs/types/fast/extra_specs/provisioning:max_vol_size: provisioning:min_vol_size is 2M' rename $specs/.m $max
echo 8M >$max
refused EINVAL@write '.*min_vol_size: provisioning:max_vol_size is 8M: no size would do' write $min 9M
refused EINVAL@write '.*min_vol_size: ' write $min 3M APPEND NOTRUNC
echo 1M >$specs/plain
refused EBADMSG '.*plain: provisioning:min_vol_size is 2M' rename $specs/plain $max
echo word >$specs/plain
refused EBADMSG ".*plain: size 'word'" rename $specs/plain $min
says '8M 2M word' $max $min $specs/plain
echo '<is> True' >$specs/multiattach
refused EINVAL@write '.*cacheable: .*exclude each other' write $specs/cacheable '<is> True'
mv $specs/multiattach $specs/cacheable
rm $specs/{cacheable,plain,.m}
for key in 'a b' 'a,b' 'a=b' 'ä' 'a@b'; do
	refused EINVAL ".volfs/types/fast/extra_specs/$key: " create "$specs/$key"
	refused EBADMSG ".volfs/types/fast/extra_specs/provisioning:min_vol_size: " rename $min "$specs/$key"
done
expect_errno EPERM mkdir $specs/a
expect_errno EPERM symlink x $specs/a
expect_errno EPERM link $min $specs/a
expect_errno EPERM mknod $specs/a
refused EPERM '.volfs/types/fast/extra_specs/4913: ' create $specs/4913
long=$(printf 'k%.0s' {1..255})
echo long >"$specs/$long"
says long "$specs/$long"
rm "$specs/$long"
expect_errno ENAMETOOLONG create "${specs}/${long}k"
expect_errno ENAMETOOLONG mkdir "types/${long}k"
refused EINVAL@write '.volfs/types/fast/extra_specs/long: ' write $specs/long "${long}k"
refused EINVAL@write '.volfs/types/fast/description: ' write types/fast/description "${long}k" APPEND NOTRUNC
says 'quick and good' types/fast/description
refused EINVAL@write '.volfs/types/fast/public: it takes 0 or 1' write types/fast/public yes
refused EACCES '.volfs/types/fast/id: .*only be read' write types/fast/id x
rm $specs/long
mkdir "types/$long"
mv "types/$long" "types/${long%kk}"
rmdir "types/${long%kk}"

note "names of types"
expect_errno EEXIST mkdir types/fast
for name in 'a b' a,b a@b .x -x "$(uuidgen)" 'a"b'; do
	refused EINVAL ".volfs/types/$name: " mkdir "types/$name"
	refused EBADMSG ".volfs/types/fast: " rename types/fast "types/$name"
done
mkdir types/second
refused EEXIST ".volfs/types/second: there is a volume type 'fast'" rename types/second types/fast
for path in types/x types/fast/x; do
	expect_errno EPERM create $path
done
for path in types/fast/x types/fast/access/x; do
	expect_errno EPERM mkdir $path
done
for path in types types/fast/qos types/fast/access; do
	expect_errno EPERM rmdir $path
done
refused EPERM 'second: it cannot be moved there' rename types/second types/fast/second
refused EPERM 'second: it cannot be moved there' rename types/second ../second
expect_errno ENOENT rename types/nosuch types/x
expect_errno ENOENT rmdir types/nosuch
refused EPERM '.volfs/types: ' chmod types 700
refused EPERM '.volfs/types/fast: ' chmod types/fast 700
refused EPERM '.volfs/types/fast/public: ' chown types/fast/public 1 1

note "projects are files, too"
touch types/fast/access/daemon types/fast/default_for/daemon
eq "daemon 0 0" "$(echo $(ls types/fast/access) $(stat -c %s types/fast/{access,default_for}/daemon))"
touch types/fast/access/daemon
: >types/fast/access/daemon
refused ENOENT ".volfs/types/fast/access/nosuchgroup: .*there is no group 'nosuchgroup'" create types/fast/access/nosuchgroup
refused ENOENT '.volfs/types/fast/default_for/nosuchgroup: ' create types/fast/default_for/nosuchgroup
refused EINVAL@write '.volfs/types/fast/access/daemon: .*stays empty' write types/fast/access/daemon x
refused EPERM '.volfs/types/fast/access/daemon: ' rename types/fast/access/daemon types/fast/access/bin
touch types/second/default_for/daemon # a project has one default
eq '' "$(ls types/fast/default_for)"
touch types/fast/default_for/daemon
eq '' "$(ls types/second/default_for)"
refused EBUSY ".volfs/types/fast: .*default type of project 'daemon'" rmdir types/fast
rm types/fast/default_for/daemon
echo 1 >types/fast/default
says '1 0' types/{fast,second}/default
echo 1 >types/second/default
says '0 1' types/{fast,second}/default
refused EBUSY ".volfs/types/second: type 'second' is the default type" rmdir types/second
echo 0 >types/second/default
says '0 0' types/{fast,second}/default

note "a copy of a type is a type"
cp -rT types/fast types/second 2>"$T/err" || true
eq 1 "$(wc -l <"$T/err")" "only its id is its own"
eq '' "$(diff -r -x id types/fast types/second)"
not diff -q types/fast/id types/second/id >"$T/out"

note "who may: root and admin_group, nobody else"
before=$(picture)
for gesture in 'mkdir types/x' 'rmdir types/second' 'rename types/second types/x' "write types/fast/public 0" \
	"write types/fast/description x" "create $qos/x" "write $qos/total_iops_sec 1" "unlink $qos/total_iops_sec" "create $specs/x" \
	"write $min 1M" "unlink $min" "write types/fast/default 1" "create types/fast/default_for/bin" "create types/fast/access/bin" \
	"readdir $specs" "readdir types/fast/access" "read $min" "write $qos/consumer both" "create $qos/.x"; do
	# shellcheck disable=SC2086
	kept user /usr/bin/python3 -S "$SRC/tests/system/sys.py" $gesture
	match '^EACCES@' "$(cat "$T/out")" "$gesture"
done
eq '1 back-end quick and good' "$(echo $(user cat types/fast/public $qos/consumer types/fast/description))"
ok operator sh -c "mkdir types/x && echo y >types/x/description && echo ssd >types/x/extra_specs/disk && sed -i s/s/h/ types/x/extra_specs/disk &&
	touch types/x/access/bin && mv types/x types/y && rm types/y/extra_specs/disk && echo 1 >types/y/default && echo 0 >types/y/default && rmdir types/y"
eq 'fast second' "$(echo $(ls types))"

note "a private type is there for those who have access"
echo 0 >types/fast/public
echo size=2M type=fast >../new/root
for who in user operator 'as 2:2,1'; do
	eq 'fast second' "$(echo $($who ls types))" "$who"
	ok $who test -d types/fast -a -f types/fast/public
done
eq second "$(other ls types)"
for path in types/fast types/fast/id types/fast/qos/consumer quotas/bin/type/fast quotas/daemon/type/fast/size.max; do
	not other test -e $path
done
id=$(cat types/fast/id)
ls quotas/{bin,daemon}/type/fast >"$T/out"
eq fast "$(user ls quotas/daemon/type)"
eq '' "$(other ls quotas/daemon/type quotas/bin/type | grep fast || true)"
for type in fast "$id"; do
	not other "$BASH" -c "echo size=2M type=$type >../new/other" 2>"$T/err"
	match "No such file" "$(cat "$T/err")"
	match "ENOENT new/other: no such volume type: '$type'" "$(tail -n1 errors)"
	not user "$BASH" -c "echo size=2M type=$type project=bin >../new/other" 2>"$T/err"
done
ok user sh -c "echo size=2M type=fast >../new/mine"
says 'available fast' ../mine/{wait,type}
eq fast "$(other cat ../mine/type)"
rm types/fast/access/daemon
not user test -e types/fast
eq second "$(user ls types)"
echo 3M >../mine/size
says 'available fast 3M' ../mine/{wait,type,size}
echo 1 >types/fast/public
eq 'fast second' "$(echo $(other ls types))"
rmdir ../mine ../root

note "walkers destroy nothing, and hang nowhere"
before=$(picture)
for walker in 'rm -rf types/fast' 'rm -rf types' 'rm -rf types/fast types/second' 'find types -delete' 'find types/fast -delete' \
	'find types -depth -exec rm -d {} +' 'python3 -c "import shutil; shutil.rmtree(\"types\", True)"' \
	'python3 -c "import shutil; shutil.rmtree(\"types/fast\", True)"' 'rm -rf ../.volfs' 'cd ..; rm -rf ./* .volfs' 'rmdir -p types/fast/qos' \
	'rm -rf quotas/daemon' 'find quotas -delete' 'mv types/fast types/second' \
	'mv types/fast /tmp/nowhere' 'ln -sf x types/fast' 'ln types/fast/id types/fast/qos/x'; do
	kept timeout 60 sh -c "$walker"
done
for walker in 'rm -rf types' 'find types -delete' 'python3 -c "import shutil; shutil.rmtree(\"types\", True)"'; do
	kept operator timeout 60 sh -c "$walker"
	kept user timeout 60 sh -c "$walker"
done
mkdir -m 777 "$T/copy"
for walker in "tar cf '$T/tar' types quotas" "cp -r types quotas '$T/copy'" 'find types quotas -type f -exec cat {} +' 'grep -rs x types quotas' \
	'du -s types' 'ls -laR types quotas' "rsync -a types '$T/rsync'"; do
	kept timeout 60 sh -c "$walker"
	kept user timeout 60 sh -c "$walker"
done
timeout 20 tar cf "$T/tar" types
says 'quick and good' "$T/copy/types/fast/description"
kept timeout 20 tar xf "$T/tar" # over itself
ok rmdir types/second
eq fast "$(ls types)"

note "specs ask for a type; its specs say where"
rm $min $max
echo ssd >$specs/disk
put() # BACKEND NAME WORDS…
{
	local want=$1 name=$2
	shift 2
	volume "$name" size=4M "$@"
	eq "$want" "$(cat "../$name/backend")" "backend of $name ($*)"
}
mkdir types/slow
echo hdd >types/slow/extra_specs/disk
put a by-name type=fast
put b by-id "type=$(cat types/slow/id)"
echo "{\"size\": \"4M\", \"type\": \"fast\", \"name\": \"by-json\"}" >../new/spec
says 'available fast a' ../by-json/{wait,type,backend}
says 'slow' ../by-id/type
volume without size=4M
says '' ../without/type
cp ../by-id/spec ../new/again
says 'available slow b' ../again/{wait,type,backend}
for type in nosuch "$(uuidgen)" 'a b'; do
	refused ENOENT@write "new/x: no such volume type: '$type'" write ../new/x "size=1M type='$type'"$'\n' CREAT
done
refused ENOENT "new/x: no such volume type: 'nosuch'" write ../new/x '{"size": 1, "type": "nosuch"}' CREAT
expect_errno ENOTSUP write ../by-id/type fast
says slow ../by-id/type
mkdir types/far
echo 'near, far' >types/far/extra_specs/RESKEY:availability_zones
put c far type=far
says far ../far/zone
refused EINVAL@write "new/x: type 'far' is not for zone 'default'" write ../new/x $'size=1M type=far zone=default\n' CREAT
refused EBUSY ".volfs/types/far/extra_specs/x: .*: 1 volume of type 'far' exists" create types/far/extra_specs/x
rmdir ../far
moved() # once what was deleted is purged
{
	echo near >types/far/extra_specs/RESKEY:availability_zones
}
wait_for 10 moved
refused EINVAL@write "new/x: no backend is in a zone of type 'far': near" write ../new/x $'size=1M type=far\n' CREAT
mkdir types/nowhere
echo tape >types/nowhere/extra_specs/disk
echo size=1M type=nowhere >../new/nowhere
eq error "$(cat ../nowhere/wait 2>/dev/null || true)"
match "a: its capability 'disk' is .ssd., the type wants 'tape'; b: .*'hdd'|no backend fits: a: .*'tape'" "$(cat ../nowhere/error)"

note "its bounds"
mkdir types/bounded
echo 2M >types/bounded/extra_specs/provisioning:min_vol_size
echo 4M >types/bounded/extra_specs/provisioning:max_vol_size
refused EINVAL@write "new/x: a volume of type 'bounded' has at least 2M: 1M is too small" write ../new/x $'size=1M type=bounded\n' CREAT
refused EINVAL@write "new/x: a volume of type 'bounded' has at most 4M: 5M is too large" write ../new/x $'type=bounded size=5M\n' CREAT
volume bounded size=4M type=bounded
refused EINVAL@write "bounded/size: .*at most 4M" write ../bounded/size 5M
says 'available 4M' ../bounded/{wait,size}

note "a type in use"
refused EBUSY ".volfs/types/slow: .*: 2 volumes of type 'slow' exist" rmdir types/slow
for gesture in "write types/slow/extra_specs/disk ssd" "create types/slow/extra_specs/x" "unlink types/slow/extra_specs/disk" \
	"rename types/slow/extra_specs/disk types/slow/extra_specs/disc"; do
	# shellcheck disable=SC2086
	refused EBUSY ".volfs/types/slow/extra_specs/(disk|x): extra specs cannot be changed: 2 volumes of type 'slow' exist" $gesture
done
echo ssd >types/slow/extra_specs/.disk
refused EBUSY ".volfs/types/slow/extra_specs/disk: " rename types/slow/extra_specs/.disk types/slow/extra_specs/disk
rm types/slow/extra_specs/.disk
not sed -i s/hdd/ssd/ types/slow/extra_specs/disk 2>"$T/err"
says hdd types/slow/extra_specs/disk
eq disk "$(ls -A types/slow/extra_specs)"
echo words >types/slow/description
rmdir ../again ../by-id
wait_for 10 rmdir types/slow

note "who attaches the volume is told what to keep"
connection()
{
	grep '^qos\.' ../by-name/connection | sort | tr '\n' ' ' || true
}
rm $qos/free
eq '' "$(connection)"
echo 500 >$qos/read_iops_sec
for consumer in front-end both; do
	echo $consumer >$qos/consumer
	eq 'qos.read_iops_sec=500 qos.total_iops_sec=200 ' "$(connection)"
	eq "$(wc -c <../by-name/connection)" "$(stat -c %s ../by-name/connection)"
done
echo back-end >$qos/consumer
eq '' "$(connection)"

note "a renamed type is renamed everywhere"
files="../by-name/type ../by-name/spec ../by-name/json ../by-json/type"
# shellcheck disable=SC2086
before=$(stat -c %s $files)
eq "5 $(echo $(cat ../by-name/spec | wc -c) $(cat ../by-name/json | wc -c)) 5" "$(echo $before)"
mv types/fast types/much-faster
# shellcheck disable=SC2086
eq "$(for size in $before; do echo $((size + 7)); done)" "$(stat -c %s $files)"
says 'much-faster much-faster' ../by-name/type ../by-json/type
match 'type=much-faster' "$(cat ../by-name/spec)"
eq much-faster "$(jq -r .type ../by-name/json)"
eq much-faster "$(ls quotas/root/type | grep fast)"
put a renamed type=much-faster
refused ENOENT@write "new/x: no such volume type: 'fast'" write ../new/x $'size=1M type=fast\n' CREAT
eq "$id" "$(cat types/much-faster/id)"
mv types/much-faster types/fast

note "which one: the spec's, the project's default, everybody's default, the configuration's"
mkdir types/{project,everybody,configured}
conf 'default_type = "configured";'
restart
refused EBUSY '.volfs/types/configured: .*default' rmdir types/configured
refused EBUSY '.volfs/types/configured: .*default_type of the configuration' rename types/configured types/x
says '1 0' types/{configured,everybody}/default
volume default-1 size=4M
echo 1 >types/everybody/default
touch types/project/default_for/daemon
says '0 1' types/{configured,everybody}/default
volume default-2 size=4M
ok user sh -c 'echo size=1M >../new/default-3; echo size=1M type=fast >../new/default-4; echo size=1M >../new/.x && mv ../new/.x ../new/default-5'
says 'configured everybody project fast project' ../default-{1,2,3,4,5}/type
mkdir types/narrow
echo 2M >types/narrow/extra_specs/provisioning:max_vol_size
echo 1 >types/narrow/default
refused EINVAL@write "new/x: no type= before the size: a volume of type 'narrow' has at most 2M" write ../new/x $'size=3M\n' CREAT
{ echo type=fast && echo size=3M; } >../new/default-7
says 'available fast' ../default-7/{wait,type}
rmdir ../default-7
echo 1 >types/everybody/default
rmdir types/narrow
conf 'default_type = "gone";'
restart
echo 0 >types/everybody/default
refused ENOENT@write "new/x: no such volume type: 'gone', which is default_type of the configuration" write ../new/x $'size=1M\n' CREAT
ok user sh -c 'echo size=1M >../new/default-6'
says project ../default-6/type

note "types of the configuration; what is there stands"
conf 'types = ( { name = "fast"; extra_specs = [ "disk=hdd" ]; },
	{ name = "made"; description = "by the file"; public = false; extra_specs = [ "disk=ssd", "provisioning:max_vol_size=100G" ];
	  qos = [ "total_iops_sec=5000", "consumer=both" ]; access = [ "daemon" ]; } );'
restart
says ssd $specs/disk
says 'by the file 0 0 ssd 100G both 5000' types/made/{description,public,default} types/made/extra_specs/* types/made/qos/*
eq daemon "$(ls types/made/access)"
echo changed >types/made/description
rm types/made/qos/total_iops_sec
rmdir types/project 2>"$T/err" && fail "a type in use is gone"
made=$(picture)
restart
eq "$made" "$(picture)" "after a restart"
cd /
kill_volfs
unmount
start
eq "$made" "$(picture)" "after a crash"
rmdir types/made
restart
says 'by the file' types/made/description

note "a server that is killed after the commit and before the answer: done once, and said so"
traced()
{
	[ -z "$(grep -L 'TracerPid:.[1-9]' "/proc/$1"/task/*/status)" ]
}
once() # ROWS COUNT GESTURE…: the server is killed as soon as there are so many
{
	local server
	wait_for 10 server_pid
	server=$(server_pid)
	strace -f -qq -o /dev/null -e inject=writev:delay_enter=60000 -p "$server" 2>/dev/null &
	local tracer=$!
	wait_for 10 traced "$server"
	sys "${@:3}" >"$T/answer" &
	local gesture=$!
	ok timeout 20 /usr/bin/python3 -I -S - <<-END # -I: it imports nothing from here
		import os, signal, sqlite3, time
		db = sqlite3.connect("file:$T/volfs.db?mode=ro", uri=True)
		while db.execute("SELECT count(*) FROM $1").fetchone()[0] != $2:
		    time.sleep(0.002)
		os.kill($server, signal.SIGKILL)
	END
	wait "$gesture"
	eq OK "$(cat "$T/answer")" "${*:3}"
	wait "$tracer" || true
}
once "type WHERE name = 'k'" 1 mkdir types/k
once "type WHERE name = 'kk'" 1 rename types/k types/kk
once "type_entry WHERE key = 'key'" 1 create types/kk/extra_specs/key
once "type_entry WHERE key = 'key' AND value = 'v'" 1 write types/kk/extra_specs/key v
once "type_entry WHERE key = 'key' AND value = 'v w'" 1 write types/kk/extra_specs/key w APPEND NOTRUNC
once "type_entry WHERE key = 'other'" 1 rename types/kk/extra_specs/key types/kk/extra_specs/other
says 'v w' types/kk/extra_specs/other
once "type_entry WHERE key = 'other'" 0 unlink types/kk/extra_specs/other
echo 7 >types/kk/qos/.draft
once "type_entry WHERE key = 'total_iops_sec' AND value = 7" 1 rename types/kk/qos/.draft types/kk/qos/total_iops_sec
echo both >types/kk/qos/.draft
once "type WHERE name = 'kk' AND consumer = 2" 1 rename types/kk/qos/.draft types/kk/qos/consumer
says 'both 7' types/kk/qos/*
eq "consumer total_iops_sec" "$(echo $(ls -A types/kk/qos))"
once "type WHERE name = 'kk'" 0 rmdir types/kk
not test -e types/kk
ok timeout 60 /usr/bin/python3 -S - <<-END
	import errno, os, signal
	def refused(call, path):
	    try:
	        call(path)
	    except OSError as e:
	        assert e.errno == errno.EPERM, e
	    else:
	        raise SystemExit("not refused: " + path)
	refused(os.unlink, "types/far/id")
	os.kill($(server_pid), signal.SIGKILL)
	refused(os.unlink, "types/far/extra_specs/RESKEY:availability_zones")
	refused(os.rmdir, "types/far")
END
ok rmdir types/far

cd /
stop_volfs
