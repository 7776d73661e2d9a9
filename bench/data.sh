# shellcheck shell=bash disable=SC2154 # rounds, src, supervisor, T are bench/run's
# Section `data` of bench/run, which reads this file: the bytes of a volume, beside everything else that makes a file of an
# image. Four targets, each with an image of the same size and features in the same pool:
#
#	librbd      fio's own librbd engine: no kernel, no file; the limit
#	rbd-fuse    Ceph's
#	qemu        a FUSE export of qemu-storage-daemon, with librbd's cache; QEMU=cache.direct=on turns that off
#	volfs       `data`
#
# TARGETS names some of them, in any order; RUNTIME is the seconds of one fio run.

# The cases in their order: rw, block size, depth, unit, wanted of librbd. `fresh`: every block written, every target started.
# librbd writes through until an image sees its first flush (rbd_cache_writethrough_until_flush). fio's engine sends one when it
# begins, the close of a file is one for qemu and none for rbd-fuse: so all are measured as they come, and random writes again
# after an fsync (`flushed`).
data_cases=(
	"fresh"
	"read 1M 8 MiB/s 0.80"
	"write 1M 8 MiB/s 0.80"
	"randread 4k 1 IOPS 0.80"
	"randread 4k 32 IOPS 0.80"
	"randwrite 4k 1 IOPS 0.50"
	"fresh"
	"randwrite 4k 32 IOPS 0.80"
	"fresh --end_fsync=1"
	"randwrite 4k 1 IOPS 0.50 flushed"
	"fresh --end_fsync=1"
	"randwrite 4k 32 IOPS 0.80 flushed"
)
data_figures='.jobs[0]
	| if .error != 0 then error("fio: error \(.error)") else . end
	| (.read.io_bytes + .write.io_bytes) as $bytes
	| if $unit == "IOPS" then .read.iops + .write.iops else (.read.bw_bytes + .write.bw_bytes) / 1048576 end
	| "\(.) \(($cpu - $idle) / $bytes * 1073741824)"'
rbdfuse='' qemu='' # their processes

# end PID [MOUNT]: by SIGTERM, and where that does not help by force; no mount stays. Looks at /proc/mounts only: whoever asks
# the mount itself may wait for ever.
end()
{
	local i
	kill "$1" 2>/dev/null || true
	for ((i = 0; i < 200; i++)); do
		kill -0 "$1" 2>/dev/null || break
		sleep 0.1
	done
	if kill -9 "$1" 2>/dev/null; then
		echo "bench/run: process $1 (${2:-}) had to be killed" >&2
	fi
	wait "$1" 2>/dev/null || true
	if [ -n "${2:-}" ] && grep -qF " $2 " /proc/mounts; then
		umount -l "$2"
	fi
}

# until_mounted MOUNT PID LOG
until_mounted()
{
	local i
	for ((i = 0; i < 300; i++)); do
		! grep -qF " $1 " /proc/mounts || return 0
		kill -0 "$2" 2>/dev/null || break
		sleep 0.1
	done
	cat "$3" >&2
	echo "bench/run: no mount at $1" >&2
	return 1
}

start_rbdfuse()
{
	mkdir -p "$T/rbd-fuse"
	rbd-fuse -f -c "$(ceph_conf)" -p vols "$T/rbd-fuse" >"$T/rbd-fuse.log" 2>&1 &
	rbdfuse=$!
	until_mounted "$T/rbd-fuse" "$rbdfuse" "$T/rbd-fuse.log"
}

start_qemu()
{
	touch "$T/qemu.data"
	qemu-storage-daemon --blockdev "driver=rbd,node-name=data,pool=vols,image=bench-qemu,conf=$(ceph_conf)${QEMU:+,$QEMU}" \
		--export "type=fuse,id=data,node-name=data,mountpoint=$T/qemu.data,writable=on" >"$T/qemu.log" 2>&1 &
	qemu=$!
	until_mounted "$T/qemu.data" "$qemu" "$T/qemu.log"
}

stop_peers()
{
	[ -z "$rbdfuse" ] || end "$rbdfuse" "$T/rbd-fuse"
	[ -z "$qemu" ] || end "$qemu" "$T/qemu.data"
	rbdfuse='' qemu=''
	[ ! -d "$T/tmpfs" ] || ! grep -qF " $T/tmpfs " /proc/mounts || umount -l "$T/tmpfs"
}

file_of()
{
	case $1 in
	rbd-fuse) echo "$T/rbd-fuse/bench-rbd-fuse" ;;
	qemu) echo "$T/qemu.data" ;;
	volfs) echo "$T/vols/bench/data" ;;
	esac
}

image_of()
{
	case $1 in
	volfs) echo "volume-$volume_id" ;;
	*) echo "bench-$1" ;;
	esac
}

# The processes of a target besides fio.
pids_of()
{
	case $1 in
	rbd-fuse) echo "$rbdfuse" ;;
	qemu) echo "$qemu" ;;
	volfs) echo "$supervisor" $(cat "/proc/$supervisor/task/$supervisor/children") ;;
	esac
}

# cpu_of PID…: seconds that they have used, all threads
cpu_of()
{
	local pid
	for pid; do
		sed 's/.*) //' "/proc/$pid/stat"
	done | awk -v hz="$(getconf CLK_TCK)" '{ n += $12 + $13 } END { printf "%.2f\n", n / hz }'
}

# fio_on TARGET OPTIONS…: leaves fio's answer in $T/fio.json and what it and the target's processes used in $cpu
fio_on()
{
	local target=$1 where before after pids TIMEFORMAT='%U %S'
	shift
	case $target in
	librbd) where=(--ioengine=rbd --clientname=admin --pool=vols "--rbdname=$(image_of librbd)") ;;
	*) where=(--ioengine=libaio --direct=1 --allow_file_create=0 "--filename=$(file_of "$target")") ;;
	esac
	pids=$(pids_of "$target")
	before=$(cpu_of $pids)
	if ! { time CEPH_CONF=$(ceph_conf) timeout -k 5 $((runtime + 120)) fio --name=data --size=1G "${where[@]}" "$@" \
		--output-format=json --output="$T/fio.json" >"$T/fio.log" 2>&1; } 2>"$T/fio.cpu"; then
		echo "bench/run: fio on $target $* failed" >&2
		cat "$T/fio.log" >&2
		return 1
	fi
	after=$(cpu_of $pids)
	cpu=$(awk -v b="$before" -v a="$after" '{ print $1 + $2 + a - b }' "$T/fio.cpu")
}

# Every block anew and each object in one piece: memstore keeps what random writes have left as a list of 4 KiB pieces, over
# which reads take twice and writes five times as long. Past the target, which would leave each image in pieces of another size.
fill_image()
{
	CEPH_CONF=$(ceph_conf) timeout -k 5 300 fio --name=fill --ioengine=rbd --clientname=admin --pool=vols --rbdname="$1" \
		--size=1G --rw=write --bs=4M --iodepth=4 --output="$T/fill.log"
}

has()
{
	[[ " ${targets[*]} " == *" $1 "* ]]
}

# The volume first: the peers' images are made like it.
make_data_images()
{
	local target info features size
	start_volfs auto 16
	echo size=1 >"$T/vols/new/bench"
	[ "$(timeout 60 cat "$T/vols/bench/wait")" = available ]
	volume_id=$(cat "$T/vols/bench/id")
	stop_volfs
	info=$(rbd -c "$(ceph_conf)" info --format json "vols/volume-$volume_id")
	features=$(jq -r '.features | join(",")' <<<"$info")
	size=$(jq -r .object_size <<<"$info")
	for target in "${targets[@]}"; do
		[ "$target" = volfs ] || rbd -c "$(ceph_conf)" create --size 1G --object-size "${size}B" --image-feature "$features" "vols/bench-$target"
	done
}

# fresh_targets [OPTIONS OF FIO]: and what is not to be measured done: the first write, which takes the image's exclusive lock
fresh_targets()
{
	local target
	stop_volfs
	stop_peers
	for target in "${targets[@]}"; do fill_image "$(image_of "$target")"; done
	! has rbd-fuse || start_rbdfuse
	! has qemu || start_qemu
	! has volfs || serve -c "$T/volfs.conf"
	for target in "${targets[@]}"; do
		fio_on "$target" --rw=write --bs=4k --number_ios=1 "$@"
		fio_on "$target" --rw=write --bs=4k --number_ios=1
		idle[$target]=$cpu # what fio takes to begin and to end
	done
}

# One target after the other, in another order each round.
data_round()
{
	local round=$1 target i n=${#targets[@]} rw bs depth unit flushed
	for which in "${data_cases[@]}"; do
		read -r rw bs depth unit _ flushed <<<"$which"
		if [ "$rw" = fresh ]; then
			fresh_targets $bs
			continue
		fi
		for ((i = 0; i < n; i++)); do
			target=${targets[(i + round) % n]}
			fio_on "$target" --rw="$rw" --bs="$bs" --iodepth="$depth" --runtime="$runtime" --time_based --randrepeat=0 --norandommap
			jq -r --arg unit "$unit" --argjson cpu "$cpu" --argjson idle "${idle[$target]}" "$data_figures" \
				"$T/fio.json" >>"$T/data/$rw-$bs-$depth$flushed.$target"
		done
	done
	stop_volfs
	stop_peers
}

# data_median COLUMN CASE TARGET; 0 where it was not measured
data_median()
{
	[ -e "$T/data/$2.$3" ] || { echo 0 && return; }
	cut -d' ' -f"$1" "$T/data/$2.$3" | median
}

print_case()
{
	local rw bs depth unit wanted flushed target case what line='' spent='' best=0 who='' ours limit ahead=1.3
	read -r rw bs depth unit wanted flushed <<<"$1"
	[ "$rw" != fresh ] || return 0
	case=$rw-$bs-$depth$flushed
	what="$rw $bs, depth $depth${flushed:+, flushed before}"
	for target in "${targets[@]}"; do
		line+=$(printf '  %s %9.0f' "$target" "$(data_median 1 "$case" "$target")")
		spent+=$(printf '  %s %9.2f' "$target" "$(data_median 2 "$case" "$target")")
	done
	printf '%-40s %-9s%s\n%-40s %-9s%s\n' "$what" "$unit" "$line" "" "CPU s/GiB" "$spent"
	has volfs || return 0
	ours=$(data_median 1 "$case" volfs)
	! has librbd || row "  $what; limit: fio's librbd" "$(data_median 1 "$case" librbd)" "$ours" ">= $wanted"
	for target in rbd-fuse qemu; do
		limit=$(data_median 1 "$case" "$target")
		if awk -v l="$limit" -v b="$best" 'BEGIN { exit l <= b }'; then best=$limit who=$target; fi
	done
	[ -z "$flushed" ] || ahead=1
	[ -z "$who" ] || row "  $what; limit: better peer, $who" "$best" "$ours" ">= $ahead"
	[ "$depth$flushed" != 32 ] || ! has rbd-fuse || row "  $what; limit: rbd-fuse" "$(data_median 1 "$case" rbd-fuse)" "$ours" ">= 3"
}

# Read twice on one descriptor: the second time from the kernel's memory, as a file of tmpfs always is.
bench_reread()
{
	local round line
	fill_image "volume-$volume_id"
	mkdir "$T/tmpfs"
	mount -t tmpfs -o size=1100M volfs-bench "$T/tmpfs"
	head -c 1G /dev/zero >"$T/tmpfs/data"
	serve -c "$T/volfs.conf"
	: >"$T/limit"; : >"$T/ours"; : >"$T/first"
	for round in $(seq "$rounds"); do
		value second "$("$src/bench/data.py" reread "$T/tmpfs/data")" >>"$T/limit"
		line=$(timeout -k 5 120 "$src/bench/data.py" reread "$T/vols/bench/data")
		value first "$line" >>"$T/first"
		value second "$line" >>"$T/ours"
	done
	row "data, 1 GiB read again, buffered, MiB/s; limit: tmpfs" "$(median <"$T/limit")" "$(median <"$T/ours")" ">= 0.80"
	echo "    the first time: $(median <"$T/first") MiB/s"
	stop_volfs
	stop_peers
}

# So many volumes open at once; beside it a program that only opens as many images by librbd.
bench_many()
{
	local name line limit count=1000
	name=$(prefix)
	loop create direct "$name" "$count" 8 >"$T/created"
	limit=$(loop open librbd "$name" "$count" 1)
	loop remove direct "$name" "$count" 8 >"$T/removed"
	start_volfs auto 16
	name=$(prefix)
	gesture create "$T/vols" "$count" 8 "$name" size=1 >"$T/created"
	line=$(timeout -k 5 300 "$src/bench/data.py" many "$T/vols" "$name" "$count" "$(pids_of volfs | cut -d' ' -f2)")
	row "$count volumes open, failures; limit: none" 0 "$(value failures "$line")" "0"
	row "$count volumes open, MiB more; limit: opened by librbd alone" \
		"$(awk -v o="$(value open "$limit")" -v b="$(value before "$limit")" 'BEGIN { print o - b }')" \
		"$(awk -v o="$(value open "$line")" -v b="$(value before "$line")" 'BEGIN { print o - b }')" "<= 1.25"
	echo "    resident: $(value before "$line") MiB before, $(value open "$line") MiB with all open"
	row "open, write, fsync and read, ms a volume; limit: librbd alone" \
		"$(value per-second "$limit" | awk '{ print 1000 / $1 }')" "$(value ms_each "$line")" "<= 1.5"
	stop_volfs
	drop_images
}

bench_data()
{
	local runtime=${RUNTIME:-5} volume_id round cpu which missing=()
	local -A idle
	local -a targets
	read -ra targets <<<"${TARGETS:-librbd rbd-fuse qemu volfs}"
	for tool in fio jq rbd-fuse qemu-storage-daemon; do
		command -v "$tool" >/dev/null || missing+=("$tool")
	done
	[ ${#missing[@]} = 0 ] || { echo "bench/run: missing: ${missing[*]} (script/setup --bench)" >&2 && exit 1; }
	mkdir "$T/data"
	make_data_images
	for round in $(seq "$rounds"); do data_round "$round"; done
	for which in "${data_cases[@]}"; do print_case "$which"; done
	if has volfs; then
		bench_reread
		bench_many
	fi
}
