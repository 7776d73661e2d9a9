#!/bin/bash
# volfs-schedule as an administrator uses it: documents, mistakes in them, single operators, and the examples of its page.
# sanitize
. "$(dirname "$0")/lib.sh"
tool=$BUILD/volfs-schedule
cd "$T"

# run DOCUMENT [FILTER]: of the results
run()
{
	"$tool" <<<"$1" >out.json || fail "exit status $? for: $1"
	jq -rc "${2:-.}" out.json
}

# refused REGEX DOCUMENT: exit status 1, one sentence, nothing on standard output
refused()
{
	local code=0
	printf '%s' "$2" | "$tool" >out.json 2>err.txt || code=$?
	eq 1 "$code" "exit status for: $2"
	eq '' "$(cat out.json)" "output for: $2"
	eq 1 "$(wc -l <err.txt)" "lines about: $2"
	match "^volfs-schedule: $1" "$(cat err.txt)" "$2"
}

two='{ "name": "ssd", "zone": "west", "total_capacity_gb": 100, "free_capacity_gb": 60, "volumes": 2,
	"volume_ids": [ "8a5a9c1e-93f0-4a56-8d9a-4f3a9d7c0001" ], "capabilities": { "disk": "ssd" } },
	{ "name": "hdd", "total_capacity_gb": 500, "free_capacity_gb": 90, "capabilities": { "disk": "hdd" } }'

note "choices, orders, reasons"
eq '[["hdd","hdd",1,[],null]]' "$(run "{\"backends\": [$two], \"requests\": [{\"size\": 10}]}" \
	'[.results[] | [.choice, .order[].name, .order[].weight, .refused, .error]]')"
eq '["hdd",[["hdd",1],["ssd",0]],[]]' "$(run "{\"explain\": true, \"backends\": [$two], \"requests\": [{\"size\": 10}]}" \
	'.results[] | [.choice, [.order[] | [.name, .weight]], .refused]')"
eq '[null,[],["ssd","capacity","60 GiB free, 95 GiB wanted"],["hdd","capacity","90 GiB free, 95 GiB wanted"]]' \
	"$(run "{\"requests\": [{\"size\": 95}], \"explain\": true, \"backends\": [$two]}" \
		'.results[0] | [.choice, .order] + [.refused[] | [.name, .filter, .reason]]')"
eq 'no backend fits: ssd: is in zone west, zone mars wanted; hdd: is in zone default, zone mars wanted' \
	"$(run "{\"requests\": [{\"size\": 1, \"zone\": \"mars\"}], \"backends\": [$two]}" '.results[0].error')"
eq '["hdd","hdd","ssd","hdd",null]' "$(run "{\"commit\": true, \"backends\": [$two],
	\"requests\": [{\"size\": 25}, {\"size\": 25}, {\"size\": 50}, {\"size\": 40}, {\"size\": 11}]}" '[.results[].choice]')"

note "hints, types, functions, what was attempted"
hints='"filters": ["same_backend", "different_backend", "json", "capabilities", "driver", "ignore_attempted"]'
for row in '{"same_backend": ["8A5A9C1E93F04A568D9A4F3A9D7C0001"]}=ssd' '{"same_backend": "8a5a9c1e-93f0-4a56-8d9a-4f3a9d7c0001"}=ssd' \
	'{"different_backend": ["8a5a9c1e-93f0-4a56-8d9a-4f3a9d7c0001"]}=hdd' '{"same_backend": []}=hdd' '{"same_backend": null}=hdd' \
	'{"same_backend": ["8a5a9c1e-93f0-4a56-8d9a-4f3a9d7c0002"]}=null' '{"same_backend": 5}=null' '{"different_backend": ["x"]}=null' \
	'{"query": ["<", "$total_capacity_gb", 200]}=ssd' '{"query": "[\"=\", \"$capabilities.disk\", \"hdd\"]"}=hdd' \
	'{"query": ["="]}=null' '{"query": ["like", 1]}=null' '{"local_to_instance": "x"}=hdd'; do
	eq "${row##*=}" "$(run "{$hints, \"backends\": [$two], \"requests\": [{\"size\": 1, \"hints\": ${row%=*}}]}" '.results[0].choice')" "$row"
done
eq '"ssd"' "$(run "{$hints, \"backends\": [$two], \"requests\": [{\"size\": 1, \"type\": {\"extra_specs\": {\"disk\": \"<or> ssd <or> nvme\"}}}]}" \
	'.results[0].choice | tojson')"
eq ssd "$(run "{$hints, \"backends\": [$two], \"requests\": [{\"size\": 1, \"attempted\": [\"hdd\"]}]}" '.results[0].choice')"
eq hdd "$(run "{\"backends\": [$two], \"requests\": [{\"size\": 1, \"attempted\": [\"hdd\"]}]}" '.results[0].choice')" "only where it is asked for"
f='"filter_function": "volume.size < 5 and volume.name == db", "goodness_function": "100 / volume.size"'
eq '["a",null]' "$(run "{\"filters\": [\"driver\"], \"weighers\": [{\"name\": \"goodness\"}], \"backends\": [{\"name\": \"a\", $f}],
	\"requests\": [{\"size\": 4, \"volume\": {\"name\": \"db\"}}, {\"size\": 5, \"volume\": {\"name\": \"db\"}}]}" '[.results[].choice]')"
# what is reported beside the capabilities is one, and a thick type wants what is free
eq '["thin","thick"]' "$(run '{"filters": ["capabilities", "capacity"], "backends": [
	{"name": "thin", "thin_provisioning_support": true, "total_capacity_gb": 10, "free_capacity_gb": 1},
	{"name": "thick", "thick_provisioning_support": true, "total_capacity_gb": 10, "free_capacity_gb": 10}],
	"requests": [{"size": 5, "type": {"extra_specs": {"thin_provisioning_support": "<is> True"}}},
	{"size": 5, "type": {"extra_specs": {"provisioning:type": "thick"}}}]}' '[.results[].choice]')"

note "chance and the stochastic handler"
three='{"name": "A", "allocated_capacity_gb": 2}, {"name": "B", "allocated_capacity_gb": 5}, {"name": "C", "allocated_capacity_gb": 3}'
eq '["A","B","B","C","A"]' "$(run "{\"filters\": [], \"backends\": [$three], \"random\": [0.19, 0.21, 0.69, 0.71],
	\"weighers\": [{\"name\": \"stochastic\", \"multiplier\": 9}, {\"name\": \"allocated_capacity\", \"multiplier\": 1}],
	\"requests\": [$(printf '{"size": 1}, %.0s' 1 2 3 4){\"size\": 1}]}" '[.results[].choice]')"
eq '[["B",5],["C",3],["A",2]]' "$(run "{\"filters\": [], \"explain\": true, \"backends\": [$three], \"random\": [0.5],
	\"weighers\": [{\"name\": \"stochastic\"}, {\"name\": \"allocated_capacity\", \"multiplier\": 1}], \"requests\": [{\"size\": 1}]}" \
	'[.results[0].order[] | [.name, .weight]]')"
eq '["C","B"]' "$(run "{\"filters\": [], \"backends\": [$three], \"random\": [0.3, 0.1, 0.5, 0.2, 0.9, 0.4],
	\"weighers\": [{\"name\": \"chance\"}], \"requests\": [{\"size\": 1}, {\"size\": 1}]}" '[.results[].choice]')"
many="{\"filters\": [], \"weighers\": [{\"name\": \"chance\"}], \"backends\": [$three], \"requests\": [$(printf '{"size": 1}, %.0s' {1..99}){\"size\": 1}]}"
eq "$(run "$many")" "$(run "$many")" "without numbers, the same in every run"
eq 3 "$(run "$many" '[.results[].choice] | unique | length')"

note "mistakes"
refused 'line 1, column 1: expected .{' ''
refused 'line 1, column 1: expected .{' '[]'
refused "the document has no 'backends'" '{}'
refused "the document has no 'requests'" '{"backends": []}'
refused 'line 2, column 3: expected a key' $'{\n  backends: []}'
refused 'line 1, column 30: something follows' '{"backends":[],"requests":[]}x'
refused "unknown key 'request'" '{"request": []}'
refused "the key 'backends' is given twice" '{"backends": [], "backends": []}'
refused "backends.0.: unknown key 'free_capacity'; did you mean 'free_capacity_gb'" '{"backends": [{"name": "a", "free_capacity": 1}]}'
refused 'backends.0.: it has no name' '{"backends": [{}]}'
refused "backends.1.: a second backend has the name 'a'" '{"backends": [{"name": "a"}, {"name": "a"}]}'
refused 'backends.0.: state: must be "up", "down" or "disabled"' '{"backends": [{"name": "a", "state": "gone"}]}'
refused 'backends.0.: total_capacity_gb: must be a number, "infinite" or "unknown"' '{"backends": [{"name": "a", "total_capacity_gb": "much"}]}'
refused 'backends.0.: total_capacity_gb: must be -1e.15 to 1e.15' '{"backends": [{"name": "a", "total_capacity_gb": 1e99}]}'
refused 'line 1, column [0-9]*: real number overflow' '{"backends": [{"name": "a", "total_capacity_gb": 1e999}]}'
refused 'line 1, column [0-9]*: invalid token' '{"backends": [{"name": "a", "total_capacity_gb": NaN}]}'
refused 'backends.0.: allocated_capacity_gb: must not be negative' '{"backends": [{"name": "a", "allocated_capacity_gb": -1}]}'
refused 'backends.0.: reserved_percentage: must be 0 to 100' '{"backends": [{"name": "a", "reserved_percentage": 101}]}'
refused 'backends.0.: volumes: must be a whole number' '{"backends": [{"name": "a", "volumes": 1.5}]}'
refused 'backends.0.: capabilities: is nested more than 16 levels' \
	"{\"backends\": [{\"name\": \"a\", \"capabilities\": $(printf '{"a": %.0s' {1..20})1$(printf '}%.0s' {1..20})}]}"
refused 'requests.1.: size: must not be negative' '{"backends": [], "requests": [{"size": 1}, {"size": -1}]}'
refused 'requests.0.: size: must be a number' '{"backends": [], "requests": [{"size": "10"}]}'
refused 'requests.0.: it has no size' '{"backends": [], "requests": [{}]}'
refused 'requests.0.: new_size: must not be below size' '{"backends": [], "requests": [{"size": 2, "new_size": 1}]}'
refused "requests.0.: type: extra spec 'a' must be text or null" '{"backends": [], "requests": [{"size": 2, "type": {"extra_specs": {"a": 1}}}]}'
refused "there is no filter 'speed'" '{"backends": [], "requests": [], "filters": ["speed"]}'
refused "weighers.0.: there is no weigher 'speed'" '{"backends": [], "requests": [], "weighers": [{"name": "speed"}]}'
refused 'random.1.: must be below 1' '{"backends": [], "requests": [], "random": [0, 1]}'
refused 'commit: must be true or false' '{"backends": [], "requests": [], "commit": 1}'
refused 'line 1, column [0-9]*: ' "$(printf '[%.0s' {1..100000})"
refused 'line 1, column [0-9]*: maximum parsing depth' "{\"backends\": [$(printf '[%.0s' {1..100000})"

note "single operators"
eq true "$("$tool" --match true '<is> True')"
eq false "$("$tool" --match true true)"
eq true "$("$tool" --match ssd ssd)"
eq true "$("$tool" --match '"7"' 7)"
eq false "$("$tool" --match 7 7)"
eq true "$("$tool" --match -5 '>= -7')"
eq true "$("$tool" --match '["a", "b"]' '<or> b <or> c')"
eq 256 "$("$tool" --eval '2^2^3' </dev/null)"
eq 0.5 "$("$tool" --eval '2^(-1)' <&-)"
eq '"True"' "$("$tool" --eval True)"
eq 3 "$(echo '{"volume": {"size": "2"}}' | "$tool" --eval 'volume.size + 1')"
for row in '1 +' 'volume.size' '1/0' 'foo.bar' "$(printf '(%.0s' {1..60000})"; do
	code=0
	"$tool" --eval "$row" </dev/null >out.txt 2>err.txt || code=$?
	eq 1 "$code" "exit status of --eval '${row:0:20}'"
	eq '' "$(cat out.txt)"
	match '^volfs-schedule: column [0-9]+: ' "$(cat err.txt)" "${row:0:20}"
done
not "$tool" --eval 'volume.size' <<<'{"volume": 5}' 2>err.txt
match 'the variables: volume: must be an object' "$(cat err.txt)"
not "$tool" --eval 'volume.size' <<<'{"volumes": {}}' 2>err.txt
match "the variables: unknown key 'volumes'; did you mean 'volume'" "$(cat err.txt)"
not "$tool" --match x 2>err.txt
match 'takes 2 words, not 1' "$(cat err.txt)"
not "$tool" --nonsense 2>err.txt
match "what is '--nonsense'" "$(cat err.txt)"
ok "$tool" --help >help.txt
eq '' "$(awk 'length > 80' help.txt)" "wide lines of --help"
match '^volfs-schedule [0-9]' "$("$tool" --version)"
not "$tool" <<<'{"backends": [], "requests": []}' >/dev/full 2>err.txt
match 'cannot write the results: No space left on device' "$(cat err.txt)"

note "the examples of its page"
PATH=$BUILD:$PATH python3 - "$SRC/doc/volfs-schedule.1.rst" <<'END'
import re, subprocess, sys

page = open(sys.argv[1]).read().split("EXAMPLES\n===", 1)[1].split("THE DOCUMENT\n===", 1)[0]
lines = [line[4:] for line in page.splitlines() if line.startswith("    ")]
examples, text = [], "\n".join(lines)
for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
    command, _, output = part.partition("\n")
    while command.rstrip().endswith("|"):
        more, _, output = output.partition("\n")
        command += "\n" + more
    examples.append((command, output.strip()))
assert len(examples) >= 8, examples
for command, output in examples:
    if command.startswith("cat "):
        open("fleet.json", "w").write(output + "\n")
        continue
    got = subprocess.run(["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout.strip()
    if got != output:
        sys.exit(f"{command}\nprints\n{got}\nand not\n{output}")
print(f"{len(examples)} examples")
END

note "a fleet: nothing is kept of requests that are done"
python3 - >fleet.json <<'END'
import json
backends = [{"name": f"b{i}", "zone": f"z{i % 5}", "total_capacity_gb": 1000 + i % 97, "free_capacity_gb": 1000,
             "thin_provisioning_support": i % 2 == 0} for i in range(2000)]
requests = [{"size": 1 + i % 50, "zone": f"z{i % 6}"} for i in range(60000)]
print(json.dumps({"requests": requests, "commit": True, "backends": backends}))
END
"$tool" <fleet.json >fleet.out
eq '60000 10000' "$(jq -r '.results | "\(length) \(map(select(.choice == null)) | length)"' fleet.out)" "one zone in six is nowhere"
