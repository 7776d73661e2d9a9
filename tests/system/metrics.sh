#!/bin/bash
# .volfs/metrics: what promtool says of it, what it counts, who sees what; and the whole way to the dashboard, with a real Prometheus that
# scrapes a real node_exporter, which reads the file through a symlink.
. "$(dirname "$0")/lib.sh"

tool()
{
	/usr/bin/python3 -S "$SRC/tests/system/metrics.py" "$@"
}

# What the page says now; lines as `metrics.py expect` takes them.
expect()
{
	tool expect "$MNT/.volfs/metrics" || fail "see above"
}

settled()
{
	grep -qx 'volfs_jobs 0' "$MNT/.volfs/metrics"
}

# The second backend has no room for anything: what must go there ends as an error. The third has never answered.
cat >"$T/conf" <<-END
	database = "$STATE/volfs.db"; trash_delay = 600; stats_interval = 1;
	quota = { volumes = 100; size = "1T"; per_volume_size = -1; snapshots = 10; trash_size = -1; };
	backends = ( { name = "one"; driver = "local"; path = "$STATE/one"; max_over_subscription_ratio = 100.0; },
		{ name = "none"; driver = "local"; path = "$STATE/none"; zone = "far"; reserved_percentage = 100; },
		{ name = "lost"; driver = "rbd"; ceph_conf = "$T/no.conf"; zone = "nowhere"; timeout = 1; } );
END
mkdir -p "$STATE/one" "$STATE/none"
start_volfs -c "$T/conf"
allow_log "backend lost: down"

note "it is what Prometheus reads, of no size, and the same until it is read again from its beginning"
eq 0 "$(stat -c %s "$MNT/.volfs/metrics")"
promtool check metrics <"$MNT/.volfs/metrics"
exec 5<"$MNT/.volfs/metrics"
dd bs=1000 count=1 <&5 >"$T/a" 2>/dev/null
echo more >"$MNT/new/.again" # counts go on
dd bs=1M count=1 <&5 >>"$T/a" 2>/dev/null
exec 5<&-
promtool check metrics <"$T/a"

note "volfs(8) names what there is, and nothing else"
sed -n 's/^# TYPE \([a-z_]*\) .*/\1/p' "$T/a" | sort >"$T/there"
sed -n '/^METRICS/,/^ERRORS/p' "$SRC/doc/volfs.8.rst" | grep -oE '``volfs_[a-z_]+``' | tr -d '\140' | sort >"$T/named"
ok diff "$T/there" "$T/named"

note "operations are counted by kind and result, once"
volume a size=1
volume b size=2
mkdir "$MNT/a/snapshots/s"
volume c snapshot=a@s
echo 3G >"$MNT/b/size"
eq available "$(cat "$MNT/b/wait")"
echo s >"$MNT/a/revert"
eq available "$(cat "$MNT/a/wait")"
echo text >"$MNT/a/description"
mkdir "$MNT/a/attachments/x"
rmdir "$MNT/a/attachments/x"
mv "$MNT/b" "$MNT/d"
id=$(cat "$MNT/d/id")
rmdir "$MNT/d"
mv "$MNT/.volfs/trash/$id" "$MNT/d"
rmdir "$MNT/d"
expect_errno EINVAL write "$MNT/a/size" 1M
echo 'size=1 zone=far' >"$MNT/new/lost"
not cat "$MNT/lost/wait" >"$T/out" 2>&1
wait_for 10 settled
took=volfs_operation_duration_seconds_count
expect <<-END
	2 $took operation=create result=ok
	1 $took operation=create result=error
	1 $took operation=clone result=ok
	1 $took operation=extend result=ok
	1 $took operation=snapshot result=ok
	1 $took operation=revert result=ok
	2 $took operation=delete result=ok
	1 $took operation=restore result=ok
	1 $took operation=rename result=ok
	1 $took operation=attach result=ok
	1 $took operation=detach result=ok
	0 $took operation=purge
	3 volfs_operations_accepted_total operation=create
	1 volfs_scheduler_unplaced_total
	3 volfs_scheduler_choices_total backend=one
	1 volfs_refused_requests_total errno=EINVAL
	0 volfs_queue_oldest_job_seconds
	0 volfs_backend_errors_total backend=one
	0 volfs_catalogue_commits_lost_total
END

note "volumes by status and backend, the trash apart"
rmdir "$MNT/.volfs/trash/$id" "$MNT/c"
wait_for 10 settled
echo disabled >"$MNT/.volfs/backends/none/state"
expect <<-END
	1 $took operation=purge result=ok
	1 volfs_volumes backend=one
	1 volfs_volumes backend=one status=available
	1 volfs_volumes backend= status=error
	$((1 << 30)) volfs_volume_size_bytes backend=one
	1 volfs_trash_volumes backend=one status=available
	$((1 << 30)) volfs_trash_size_bytes
	$(cat "$MNT/.volfs/backends/one/total") volfs_backend_total_bytes backend=one
	100 volfs_backend_max_over_subscription_ratio backend=one
	1 volfs_backend_reserved_ratio backend=none
	1 volfs_backend_up backend=one
	0 volfs_backend_up backend=lost
	0 volfs_backend_up backend=none
	1 volfs_backend_disabled
END

note "of a storage that has never answered nothing is said"
eq "unknown unknown" "$(cat "$MNT/.volfs/backends/lost/total" "$MNT/.volfs/backends/lost/free" | xargs)"
not grep -E '^volfs_backend_(total|free)_bytes\{backend="lost"' "$MNT/.volfs/metrics"
match "^lost +down +- +unknown " "$(grep ^lost "$MNT/.volfs/summary")"

note "who follows the events"
cat "$MNT/.volfs/events" >"$T/events" &
cat=$!
expect <<-END
	1 volfs_followers
	1 volfs_streams
	$(wc -l <"$MNT/.volfs/history") volfs_log_events
	$(wc -l <"$MNT/.volfs/history") volfs_events_total
	$(stat -c %s "$MNT/.volfs/history") volfs_log_size_bytes
END
kill "$cat"
expect <<-END
	0 volfs_followers
	0 volfs_streams
END

note "what projects use is an administrator's to see, the rest is everybody's"
expect <<-END
	100 volfs_project_volumes_limit project=default
	$((1 << 40)) volfs_project_size_limit_bytes project=default
	2 volfs_project_volumes project=root
	$((1 << 30)) volfs_project_trash_size_bytes
END
as 65534 cat "$MNT/.volfs/metrics" >"$T/theirs"
promtool check metrics <"$T/theirs"
not grep -q '^volfs_project' "$T/theirs"
ok grep -q '^volfs_operations_accepted_total{operation="create"} 3$' "$T/theirs"

note "a killed server is counted, and its successor's counters begin anew"
kill_server
expect <<-END
	1 volfs_server_restarts_total
	0 volfs_operations_accepted_total operation=clone
	1 volfs_trash_volumes backend=one
END

note "node_exporter, Prometheus, and every query of the dashboard"
read -r node prometheus < <(tool ports 2)
mkdir "$T/textfile"
ln -s "$MNT/.volfs/metrics" "$T/textfile/volfs.prom"
prometheus-node-exporter --collector.disable-defaults --collector.textfile --collector.textfile.directory="$T/textfile" \
	--web.listen-address="127.0.0.1:$node" --log.level=warn >"$T/node.log" 2>&1 &
at_exit "kill $! 2>/dev/null"
cat >"$T/prometheus.yml" <<-END
	global: { scrape_interval: 500ms, evaluation_interval: 500ms }
	rule_files: [ "$SRC/etc/prometheus-alerts.yml" ]
	scrape_configs: [ { job_name: node, static_configs: [ { targets: [ "127.0.0.1:$node" ] } ] } ]
END
promtool check config "$T/prometheus.yml" >"$T/out" || fail "$(cat "$T/out")"
prometheus --config.file="$T/prometheus.yml" --storage.tsdb.path="$T/tsdb" --web.listen-address="127.0.0.1:$prometheus" \
	--log.level=warn >"$T/prometheus.log" 2>&1 &
at_exit "kill $! 2>/dev/null"
url=http://127.0.0.1:$prometheus
tool wait "$url" volfs_ready
tool wait "$url" 'node_textfile_scrape_error == bool 0'
for i in 1 2 3; do
	volume "p$i"
	echo "snapshot=a@s" >"$MNT/new/q$i"
	eq available "$(cat "$MNT/q$i/wait")"
	expect_errno EINVAL write "$MNT/a/size" 1M
	tool wait "$url" "volfs_operations_accepted_total{operation=\"clone\"} >= $i"
done
tool queries "$url" "$SRC/etc/grafana-dashboard.json"
tool rules "$url"
stop_volfs
