# Helpers for tests that drive a mounted volfs from outside. Source it first:
#
#	. "$(dirname "$0")/../system/lib.sh"
#
# The runner gives T (an empty folder of the test's own) and BUILD (the build directory). Without them a test
# still runs by itself: T is a new folder under $TMPDIR, BUILD is build/ of the checkout.
#
# A test is an executable file; exit status 0 is success. The first command that fails ends it (`set -e`), says
# where, and everything it started is ended.
#
#	start_volfs [--daemon] [ARGS…]  mounts on $MNT; ARGS default to `-c $(local_conf)`; waits until it answers
#	local_conf [OPTIONS]            a configuration as `--local $STATE` is, but that what is deleted is purged at once
#	stop_volfs                      SIGTERM; demands exit status 0, no mount and a clean log
#	kill_volfs                      kill -9 of supervisor and server at once; the stale mount stays
#	server_pid, supervisor_pid      the processes behind $MNT
#	kill_server, new_server PID     kill -9 of the server alone, until there is another; is there another than that one?
#	check_log [FROM]                the daemon's log holds no suspicious line (allow_log REGEX names expected ones)
#	wait_for SECONDS COMMAND…       until the command succeeds; else fails
#	has_its_size FILE               a reader gets as many bytes as stat says; not yet, if `used` has just been measured in between
#	ok COMMAND…  not COMMAND…       must succeed, must fail
#	eq WANT GOT [WHAT]  match REGEX TEXT [WHAT]
#	expect_errno ENAME OP ARGS…     one gesture by sys.py: `expect_errno EINVAL write $MNT/new/x 'size=0'`
#	as UID[:GID[,GROUP…]] COMMAND…  as another user
#	volume NAME [WORDS…]            a spec through new/NAME (default size=1), waits until it is available
#	at_exit COMMAND                 cleanup, last registered first
#	note TEXT  fail TEXT

set -Eeuo pipefail

SRC=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${BUILD:-$SRC/build}
VOLFS=${VOLFS:-$BUILD/volfs}
if [ -z "${T:-}" ]; then
	T=$(mktemp -d "${TMPDIR:-/tmp}/volfs-test.XXXXXX")
	T_OWN=1
fi
export T BUILD VOLFS SRC
MNT=$T/mnt
STATE=$T/state
LOG=$T/volfs.log
VOLFS_CHILD= # the supervisor while it is our child in front
LIB_EXIT=()
LIB_ALLOW=()

# The sanitizers' reports go to files of their own: a daemon has no stderr.
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1}:log_path=$T/sanitizer"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}:log_path=$T/sanitizer"
export LSAN_OPTIONS="${LSAN_OPTIONS:-suppressions=$SRC/tests/system/lsan.supp:print_suppressions=0}"

note()
{
	printf '%s: %s\n' "$(date +%T.%N | cut -c1-12)" "$*"
}

fail()
{
	printf 'FAILED: %s\n' "$*" >&2
	local i
	for ((i = 1; i < ${#FUNCNAME[@]} - 1; i++)); do
		printf '\tat %s:%s\n' "${BASH_SOURCE[i + 1]##*/}" "${BASH_LINENO[i]}" >&2
	done
	LIB_TOLD=1
	exit 1
}

at_exit()
{
	LIB_EXIT+=("$*")
}

# ---- processes and mounts

# Everything that the test started carries its T in the environment; so nothing is found by a name. Our own
# ancestors may carry it too and are left out.
pids_of_test()
{
	local env envs pid up=$BASHPID own=" "
	while [ "${up:-0}" -gt 1 ]; do
		own+="$up "
		up=$(parent_of "$up")
	done
	envs=$(grep -lzxF "T=$T" /proc/[0-9]*/environ 2>/dev/null || true)
	for env in $envs; do
		pid=${env#/proc/}
		pid=${pid%/environ}
		case $own in
		*" $pid "*) ;;
		*) gone "$pid" || echo "$pid" ;;
		esac
	done
}

# Those of them that are volfs, of every mount of this test.
volfs_pids()
{
	local pid exe
	for pid in $(pids_of_test); do
		exe=$(readlink "/proc/$pid/exe" 2>/dev/null) || continue
		[ "${exe% (deleted)}" != "$(readlink -f "$VOLFS")" ] || echo "$pid"
	done
	return 0
}

parent_of()
{
	sed -n 's/^PPid:\t//p' "/proc/$1/status" 2>/dev/null || true
}

# The supervisor of a mount (default $MNT): its parent is no volfs; the server is its child.
supervisor_pid()
{
	local pid pids mnt=${1:-$MNT}
	pids=" $(volfs_pids | tr '\n' ' ')"
	for pid in $pids; do
		case $pids in
		*" $(parent_of "$pid") "*) continue ;;
		esac
		tr '\0' '\n' <"/proc/$pid/cmdline" | grep -qxF "$mnt" || continue
		echo "$pid"
		return
	done
	return 1
}

# shellcheck disable=SC2120 # tests pass another mount
server_pid()
{
	local pid sup
	sup=$(supervisor_pid "$@") || return 1
	for pid in $(volfs_pids); do
		[ "$(parent_of "$pid")" = "$sup" ] || continue
		echo "$pid"
		return
	done
	return 1
}

kill_server()
{
	local pid
	pid=$(server_pid)
	kill -9 "$pid"
	wait_for 30 new_server "$pid"
}

new_server()
{
	local pid
	pid=$(server_pid) && [ "$pid" != "$1" ]
}

is_mounted()
{
	grep -qF " ${1:-$MNT} " /proc/self/mountinfo
}

# A mount whose daemon is gone answers nothing: cut the connection first (umount -f), then detach.
unmount()
{
	local mnt=${1:-$MNT}
	while is_mounted "$mnt"; do
		umount -f "$mnt" 2>/dev/null || umount -l "$mnt" 2>/dev/null || return 0
	done
}

answers()
{
	is_mounted && timeout 5 cat "$MNT/.volfs/version" >/dev/null 2>&1
}

# shellcheck disable=SC2120 # tests pass them
local_conf()
{
	mkdir -p "$STATE/disk"
	cat >"$T/local.conf" <<-END
		database = "$STATE/volfs.db"; trash_delay = 0; ${1:-}
		quota = { volumes = -1; size = -1; per_volume_size = -1; snapshots = -1; backups = -1; backup_size = -1; groups = -1;
			trash_size = -1; };
		backends = ( { name = "local"; driver = "local"; path = "$STATE/disk"; } );
	END
	echo "$T/local.conf"
}

start_volfs()
{
	local daemon=
	[ "${1:-}" != --daemon ] || { daemon=1 && shift; }
	[ $# -gt 0 ] || set -- -c "$(local_conf)"
	is_mounted || mkdir -p "$MNT" # a stale mount answers nothing, not even mkdir
	mkdir -p "$STATE"
	if [ "$daemon" ]; then
		timeout 60 "$VOLFS" "$@" "$MNT" 2>>"$LOG" || fail "volfs $* $MNT: exit status $?, $(tail -n1 "$LOG")"
		answers || fail "volfs returned 0, but the mount does not answer"
		return
	fi
	"$VOLFS" -f "$@" "$MNT" 2>>"$LOG" </dev/null &
	VOLFS_CHILD=$!
	local until=$((SECONDS + 60))
	until answers; do
		kill -0 "$VOLFS_CHILD" 2>/dev/null || fail "volfs ended before the mount answered: $(tail -n1 "$LOG")"
		[ "$SECONDS" -lt "$until" ] || fail "volfs does not answer after 60 s"
		sleep 0.05
	done
}

stop_volfs()
{
	local sup status=0
	sup=${VOLFS_CHILD:-$(supervisor_pid)} || fail "no volfs is running on $MNT"
	kill -TERM "$sup"
	wait_for 30 gone "$sup"
	if [ "$VOLFS_CHILD" ]; then
		wait "$VOLFS_CHILD" || status=$?
		VOLFS_CHILD=
		[ "$status" = 0 ] || fail "volfs ended with status $status after SIGTERM: $(tail -n1 "$LOG")"
	fi
	wait_for 10 no_volfs
	! is_mounted || fail "volfs ended after SIGTERM, but $MNT is still mounted"
	check_log
}

no_volfs()
{
	[ -z "$(volfs_pids)" ]
}

# Ended, or a zombie that only its parent's wait removes.
gone()
{
	! kill -0 "$1" 2>/dev/null || grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null
}

# The supervisor first: else it would start another server.
kill_volfs()
{
	local sup
	sup=${VOLFS_CHILD:-$(supervisor_pid || true)}
	[ -z "$sup" ] || kill -9 "$sup" 2>/dev/null || true
	local pid
	for pid in $(volfs_pids); do
		kill -9 "$pid" 2>/dev/null || true
	done
	[ -z "$VOLFS_CHILD" ] || wait "$VOLFS_CHILD" 2>/dev/null || true
	VOLFS_CHILD=
	wait_for 10 no_volfs
}

# ---- the daemon's log

allow_log()
{
	LIB_ALLOW+=(-e "$1")
}

check_log()
{
	local bad
	[ -e "$LOG" ] || : >"$LOG"
	bad=$(grep -niE '\berror\b|\bleak|runtime error|assert|sanitizer' "$LOG" || true)
	[ ${#LIB_ALLOW[@]} -eq 0 ] || bad=$(grep -vE "${LIB_ALLOW[@]}" <<<"$bad" || true)
	[ -z "$bad" ] || fail "the daemon wrote what nobody asked for: $(head -n5 <<<"$bad")"
	local report
	for report in "$T"/sanitizer.*; do
		# A leak check that a kill -9 cut short has found nothing.
		[ -s "$report" ] && grep -qv 'Unable to get registers from thread' "$report" || continue
		fail "a sanitizer reports ($report): $(grep -m1 -E 'ERROR|runtime error' "$report")"
	done
}

# ---- assertions

has_its_size()
{
	[ "$(cat "$1" | wc -c)" = "$(stat -c %s "$1")" ] # wc alone would believe stat
}

wait_for()
{
	local bound=$1 start=$EPOCHREALTIME
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(((${EPOCHREALTIME/[.,]/} - ${start/[.,]/}) / 1000000))" -lt "$bound" ] ||
			fail "not within $bound s: $*"
		sleep 0.02
	done
}

ok()
{
	local status=0
	"$@" || status=$?
	[ "$status" = 0 ] || fail "exit status $status: $*"
}

not()
{
	! "$@" || fail "succeeded, but must not: $*"
}

eq()
{
	[ "$1" = "$2" ] || fail "${3:+$3: }wanted '$1', got '$2'"
}

match()
{
	grep -qE -- "$1" <<<"$2" || fail "${3:+$3: }wanted /$1/, got '$2'"
}

sys()
{
	timeout "${SYS_BOUND:-30}" /usr/bin/python3 -S "$SRC/tests/system/sys.py" "$@"
}

expect_errno()
{
	local want=$1 got
	shift
	got=$(sys "$@") || fail "no answer (status $?): $*"
	case $want in
	*@*) ;;
	*) got=${got%@*} ;;
	esac
	[ "$want" = "$got" ] || fail "wanted $want, got $got: $*"
}

as()
{
	local who=$1 uid gids
	shift
	uid=${who%%:*}
	gids=${who#*:}
	local gid=${gids%%,*} rest=--clear-groups
	case $gids in
	*,*) rest=--groups=${gids#*,} ;;
	esac
	setpriv --reuid="$uid" --regid="$gid" "$rest" -- "$@"
}

# ---- volumes

volume()
{
	local name=$1
	shift
	echo "${*:-size=1}" >"$MNT/new/$name" || fail "refused: $name (${*:-size=1})"
	eq available "$(timeout 30 cat "$MNT/$name/wait")" "$name/wait"
}

# ---- the end

cleanup()
{
	local status=$? i pid mnt
	trap - EXIT ERR
	set +e
	[ "$status" = 0 ] || [ ! -s "$LOG" ] || { echo "--- last lines of $LOG" && tail -n 15 "$LOG"; } >&2
	for ((i = ${#LIB_EXIT[@]} - 1; i >= 0; i--)); do
		eval "${LIB_EXIT[i]}"
	done
	exec 2>/dev/null # the shell would report each that is killed
	for pid in $(volfs_pids); do
		kill -9 "$pid" 2>/dev/null
	done
	awk -v t="$T/" 'index($5, t) == 1 { print $5 }' /proc/self/mountinfo | sort -r | while read -r mnt; do
		unmount "$mnt"
	done
	for pid in $(pids_of_test); do
		kill -9 "$pid" 2>/dev/null
	done
	[ -z "${T_OWN:-}" ] || [ "$status" != 0 ] || rm -rf --one-file-system "$T"
	exit "$status"
}

on_err()
{
	local status=$1
	[ -n "${LIB_TOLD:-}" ] ||
		printf 'FAILED: exit status %s at %s:%s: %s\n' "$status" "${BASH_SOURCE[1]##*/}" "${BASH_LINENO[0]}" \
			"$BASH_COMMAND" >&2
}

trap cleanup EXIT
trap 'on_err $?' ERR
trap 'exit 143' TERM
trap 'exit 130' INT
