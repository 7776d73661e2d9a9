#!/bin/bash
# What is installed: binary, pages, unit, configuration; and an administrator's configuration is left alone.
# alone
. "$(dirname "$0")/lib.sh"

install_it()
{
	ok env DESTDIR="$T/root" meson install -C "$BUILD" --no-rebuild >"$T/install.log" 2>&1
}

option()
{
	meson introspect --buildoptions "$BUILD" | jq -r ".[] | select(.name == \"$1\").value"
}

install_it
prefix=$(option prefix)
etc=$(cd / && realpath -m "$prefix/$(option sysconfdir)")
[ "$(option sysconfdir)" != /etc ] || etc=/etc
for file in "$prefix/bin/volfs" "$prefix/bin/volfs-schedule" "$prefix/share/man/man1/volfs-schedule.1" "$prefix/share/man/man8/volfs.8" "$prefix/share/man/man5/volfs.conf.5" \
	"$prefix/share/man/man5/volfs-spec.5" "$prefix/lib/systemd/system/volfs.service" "$etc/volfs/volfs.conf" \
	"$prefix/share/doc/volfs/examples/prometheus-alerts.yml" "$prefix/share/doc/volfs/examples/grafana-dashboard.json"; do
	[ -s "$T/root$file" ] || fail "not installed: $file"
done
ok grep -q "^ExecStart=$prefix/bin/volfs " "$T/root$prefix/lib/systemd/system/volfs.service"
ok cmp "$SRC/etc/volfs.conf" "$T/root$etc/volfs/volfs.conf"
eq '' "$(find "$T/root$prefix" -name '*.a' -o -name 'test_*' -o -name tables)" "installed, but of no use"

echo '# mine' >"$T/root$etc/volfs/volfs.conf"
install_it
eq '# mine' "$(cat "$T/root$etc/volfs/volfs.conf")" "the administrator's configuration"

# What the file says is what volfs takes.
ok "$VOLFS" --check-config -c "$SRC/etc/volfs.conf"
