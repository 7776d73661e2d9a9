#!/bin/bash
# What is installed: binary, pages, unit, configuration; and an administrator's configuration is left alone.
. "$(dirname "$0")/lib.sh"

install_it()
{
	ok env DESTDIR="$T/root" meson install -C "$BUILD" --no-rebuild >"$T/install.log" 2>&1
}

install_it
for file in usr/local/bin/volfs usr/local/share/man/man8/volfs.8 usr/local/share/man/man5/volfs.conf.5 \
	usr/local/share/man/man5/volfs-spec.5 usr/local/lib/systemd/system/volfs.service etc/volfs/volfs.conf; do
	[ -s "$T/root/$file" ] || fail "not installed: /$file"
done
ok grep -q '^ExecStart=/usr/local/bin/volfs ' "$T/root/usr/local/lib/systemd/system/volfs.service"
ok cmp "$SRC/etc/volfs.conf" "$T/root/etc/volfs/volfs.conf"
eq '' "$(find "$T/root/usr" -name '*.a' -o -name 'test_*' -o -name tables)" "installed, but of no use"

echo '# mine' >"$T/root/etc/volfs/volfs.conf"
install_it
eq '# mine' "$(cat "$T/root/etc/volfs/volfs.conf")" "the administrator's configuration"

# What the file says is what volfs takes.
ok "$VOLFS" --check -c "$SRC/etc/volfs.conf"
