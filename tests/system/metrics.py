"""For metrics.sh: free ports, and every query of the dashboard and of the alerts once, against a real Prometheus.

    metrics.py ports N
    metrics.py wait URL QUERY              until the query has a result that is above 0
    metrics.py queries URL DASHBOARD       each must have a result
    metrics.py rules URL                   all of them are evaluated without an error
    metrics.py expect FILE                 each line of the input, `NUMBER METRIC [LABEL=VALUE…]`, is the sum of such samples, or soon is:
                                           what is done counts a moment later
"""
import json
import re
import socket
import sys
import time
import urllib.parse
import urllib.request

BOUND_S = 30


def get(url, path, **args):
    with urllib.request.urlopen(f"{url}/api/v1/{path}?{urllib.parse.urlencode(args)}", timeout=10) as answer:
        return json.load(answer)["data"]


def ports(n):
    sockets = [socket.socket() for _ in range(int(n))]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    print(*(s.getsockname()[1] for s in sockets))


def wait(url, query):
    until = time.monotonic() + BOUND_S
    while time.monotonic() < until:
        try:
            if any(float(r["value"][1]) > 0 for r in get(url, "query", query=query)["result"]):
                return
        except OSError:
            pass
        time.sleep(0.1)
    sys.exit(f"no result above 0 within {BOUND_S} s: {query}")


def as_grafana_would(expr):
    for name, text in {"$instance": ".*", "$__rate_interval": "5s", "$__range": "1m"}.items():
        expr = expr.replace(name, text)
    return expr


def queries(url, dashboard):
    with open(dashboard) as f:
        panels = json.load(f)["panels"]
    n, empty = 0, []
    for panel in panels:
        for target in panel.get("targets", []):
            expr = as_grafana_would(target["expr"])
            n += 1
            if not get(url, "query", query=expr)["result"]:
                empty.append(f"{panel['title']}: {expr}")
    if empty or n < 40:
        sys.exit(f"{n} queries; of these without a result:\n" + "\n".join(empty))


def rules(url):
    found = [r for g in get(url, "rules")["groups"] for r in g["rules"]]
    bad = [f"{r['name']}: {r['health']} {r.get('lastError', '')}" for r in found if r["health"] != "ok"]
    if bad or len(found) < 10:
        sys.exit(f"{len(found)} rules: " + "\n".join(bad))


def samples(path):
    with open(path) as f:
        for line in f:
            found = re.fullmatch(r"([a-z_]+)(?:\{(.*)\})? (\S+)\n", line)
            if found:
                yield found[1], set(re.findall(r'[a-z]+="[^"]*"', found[2] or "")), float(found[3])


def unlike(path, lines):
    have, wrong = list(samples(path)), []
    for line in lines:
        want, metric, *labels = line.split()
        labels = {label.replace("=", '="', 1) + '"' for label in labels}
        got = sum(value for name, of, value in have if name == metric and labels <= of)
        if got != float(want):
            wrong.append(f"{line.strip()}: it is {got:.15g}")
    return wrong


def expect(path):
    lines, until = list(sys.stdin), time.monotonic() + 5
    while (wrong := unlike(path, lines)) and time.monotonic() < until:
        time.sleep(0.05)
    if wrong:
        sys.exit("\n".join(wrong))


{"ports": ports, "wait": wait, "queries": queries, "rules": rules, "expect": expect}[sys.argv[1]](*sys.argv[2:])
