#!/usr/bin/python3
"""volfs-schedule against a second account of the same rules, written from the reference alone and in another language:
random documents, every filter and weigher; choices, orders, weights and refusing filters must agree.

Expressions are taken from a list that has each as Python, too.
"""
# sanitize
import json
import math
import os
import random
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOL = os.path.join(os.environ.get("BUILD", os.path.join(TOP, "build")), "volfs-schedule")
FULL = bool(os.environ.get("VOLFS_TEST_FULL"))

FUNCTIONS = {
    "volume.size < 12": lambda b, r: r["size"] < 12,
    "stats.allocated_capacity_gb + volume.size <= 30 or extra.disk == 'ssd'":
        lambda b, r: bool(b["allocated_capacity_gb"] + r["size"] <= 30) | (specs(r)["disk"] == "ssd"),
    "100 - 2 * stats.allocated_capacity_gb": lambda b, r: 100 - 2 * b["allocated_capacity_gb"],
    "100 / (volume.size - 3)": lambda b, r: 100 / (r["size"] - 3),
    "capabilities.iops >= 200 ? 70 : 30": lambda b, r: 70 if int(b["capabilities"]["iops"]) >= 200 else 30,
}
QUERIES = {
    '["<", "$allocated_capacity_gb", 25]': lambda b: b["allocated_capacity_gb"] < 25,
    '["or", ["=", "$capabilities.disk", "ssd"], ["not", ["<", "$nosuch", 3, 9]]]':
        lambda b: b["capabilities"].get("disk") == "ssd",
    '["in", "$host", "b1", "b3", "b5", "b7"]': lambda b: b["name"] in ("b1", "b3", "b5", "b7"),
}


def specs(r):
    return (r.get("type") or {}).get("extra_specs", {})


# ---- capacity: 4.3, 4.4


def word(x):
    return x in ("infinite", "unknown")


def ratio(b):
    if not b["thin_provisioning_support"] or word(b["total_capacity_gb"]) or word(b["free_capacity_gb"]):
        return 1.0
    raw = b["max_over_subscription_ratio"] or 20.0
    if raw == "auto":
        if not b["provisioned_capacity_gb"]:
            return 20.0
        return 1 + b["provisioned_capacity_gb"] / (b["total_capacity_gb"] - (b["free_capacity_gb"] or 0) + 1)
    return float(raw)


def factors(b, r):
    total, free = b["total_capacity_gb"], b["free_capacity_gb"] or 0
    thin = specs(r).get("provisioning:type") != "thick" and b["thin_provisioning_support"]
    usable = total - math.floor(total * b["reserved_percentage"] / 100)
    available = usable * ratio(b) if thin else usable
    virtual = available - b["provisioned_capacity_gb"]
    if not thin:
        virtual = min(free, virtual)
    return thin, round(available, 2), round(virtual, 2)


def need(r):
    return r["new_size"] - r["size"] if "new_size" in r else r["size"]


# ---- filters: 4.5


def capacity(b, r, fleet):
    if need(r) == 0:
        return True
    if b["free_capacity_gb"] is None:
        return False
    if word(b["free_capacity_gb"]):
        return True
    if word(b["total_capacity_gb"]):
        return b["reserved_percentage"] == 0
    if b["total_capacity_gb"] <= 0:
        return False
    thin, available, virtual = factors(b, r)
    if thin:
        if ratio(b) < 1:
            return False
        if available and (b["provisioned_capacity_gb"] + need(r)) / available > ratio(b):
            return False
    return virtual >= need(r)


def zone(b, r, fleet):
    listed = specs(r).get("RESKEY:availability_zones")
    names = [z.strip() for z in listed.split(",") if z.strip()] if listed is not None else None
    if r.get("zone"):
        return b["zone"] == r["zone"] and (names is None or r["zone"] in names)
    return names is None or b["zone"] in names


def one(v, text):
    words = text.split()
    op, operand = (words + ["", ""])[0], (words + ["", ""])[1]
    try:
        if op in ("=", "==", "!=", ">=", "<="):
            x, y = float(v), float(operand)
            return {"=": x >= y, "==": x == y, "!=": x != y, ">=": x >= y, "<=": x <= y}[op]
        if op == "<is>":
            true = ("t", "true", "on", "y", "yes", "1")
            return (str(v).lower() in true) == (operand.lower() in true)
        if op == "<in>":
            return operand in v
        if op == "<or>":
            return v in words[1::2]
        if op == "s>":
            return v > operand
    except (TypeError, ValueError):
        return False
    return isinstance(v, str) and v == text


def capabilities(b, r, fleet):
    if "new_size" in r and b["capabilities"].get("online_extend_support") is False and \
            r.get("volume", {}).get("attach_status", "detached") != "detached":
        return False
    report = dict(b["reported"])
    report.update(b["capabilities"])
    for key, text in specs(r).items():
        parts = key.split(":")
        if len(parts) > 1 and parts[0] != "capabilities":
            continue
        v = report
        for part in parts[1:] if len(parts) > 1 else parts:
            if not isinstance(v, dict) or part not in v:
                return False
            v = v[part]
        if isinstance(v, dict) or not any(one(x, text) for x in (v if isinstance(v, list) else [v])):
            return False
    return True


def same(b, r, fleet):
    ids = r.get("hints", {}).get("same_backend")
    return not ids or bool(set(ids) & set(b["volume_ids"]))


def different(b, r, fleet):
    ids = r.get("hints", {}).get("different_backend")
    return not ids or not set(ids) & set(b["volume_ids"])


def driver(b, r, fleet):
    if not b.get("filter_function"):
        return True
    try:
        return bool(FUNCTIONS[b["filter_function"]](b, r))
    except (KeyError, ZeroDivisionError):
        return False


def query(b, r, fleet):
    text = r.get("hints", {}).get("query")
    return not text or QUERIES[text](b)


FILTERS = {"availability_zone": zone, "capacity": capacity, "capabilities": capabilities, "same_backend": same,
           "different_backend": different, "driver": driver, "json": query,
           "ignore_attempted": lambda b, r, fleet: b["name"] not in r.get("attempted", [])}


# ---- weighers: 4.6


def goodness(b, r):
    if not b.get("goodness_function"):
        return 0
    try:
        value = FUNCTIONS[b["goodness_function"]](b, r)
    except (KeyError, ZeroDivisionError):
        return 0
    if isinstance(value, bool):
        return 100 if value else 0
    return value if 0 <= value <= 100 else 0


def raw_weights(name, multiplier, left, r, chance):
    if name == "capacity":
        known = [not word(b["total_capacity_gb"]) and not word(b["free_capacity_gb"]) for b in left]
        raw = [factors(b, r)[2] if k else (-1 if multiplier > 0 else None) for b, k in zip(left, known)]
        finite = [x for x in raw if x is not None] or [0]
        most = max(finite) + (100 * (max(finite) - min(finite)) or 10000)
        if all(x is None for x in raw):
            most = 0
        return [most if x is None else x for x in raw]
    return {"allocated_capacity": lambda: [b["allocated_capacity_gb"] for b in left],
            "volume_number": lambda: [b["volumes"] for b in left],
            "goodness": lambda: [goodness(b, r) for b in left],
            "chance": lambda: [next(chance) for _ in left]}[name]()


def choose(document, fleet, r, chance):
    refused, left = {}, []
    for b in fleet:
        why = None if b["state"] == "up" else "state"
        for name in document["filters"]:
            if not why and not FILTERS[name](b, r, fleet):
                why = name
        if why:
            refused[b["name"]] = why
        else:
            left.append(b)
    weights = [0.0] * len(left)
    stochastic = any(w["name"] == "stochastic" for w in document["weighers"])
    for w in document["weighers"] if left else []:
        if w["name"] == "stochastic":
            continue
        raw = raw_weights(w["name"], w["multiplier"], left, r, chance)
        if not stochastic:
            low, high = min(raw), max(raw)
            raw = [(x - low) / (high - low) if high > low else 0 for x in raw]
        weights = [total + w["multiplier"] * x for total, x in zip(weights, raw)]
    order = list(zip([b["name"] for b in left], weights))
    if not stochastic:
        order.sort(key=lambda pair: -pair[1])
    elif left:
        x, shares = next(chance), [max(w, 0) for w in weights]
        first = int(x * len(left)) if sum(shares) == 0 else \
            next(k for k in range(len(left)) if sum(shares[:k + 1]) > x * sum(shares))
        order = order[first:] + order[:first]
    return order, refused


def consume(b, r):
    b["allocated_capacity_gb"] += need(r)
    b["provisioned_capacity_gb"] += need(r)
    if b["free_capacity_gb"] is not None and not word(b["free_capacity_gb"]):
        b["free_capacity_gb"] -= need(r)
    b["volumes"] += "new_size" not in r


# ---- random documents


def size(rng, most):
    n = rng.randrange(most)
    return rng.choice([n, n, n, round(n + rng.random(), 2), n + rng.random()])


def backend(rng, i):
    b = {"name": f"b{i}", "zone": rng.choice(["west", "east"]), "state": rng.choice(["up"] * 8 + ["down", "disabled"]),
         "total_capacity_gb": rng.choice([size(rng, 60)] * 12 + ["infinite", "unknown", 0]),
         "allocated_capacity_gb": size(rng, 40), "reserved_percentage": rng.choice([0, 0, 5, 12.5, 33, 100]),
         "max_over_subscription_ratio": rng.choice([1, 1.0, 1.5, 3, 20.0, "auto", 0.5, 0]),
         "thin_provisioning_support": rng.random() < 0.7, "volumes": rng.randrange(6), "volume_ids": [],
         "capabilities": {"disk": rng.choice(["ssd", "hdd"]), "iops": rng.choice([100, 300, "500"]), "a": {"b": [1, "x"]}}}
    total = b["total_capacity_gb"]
    b["free_capacity_gb"] = rng.choice([0 if word(total) else total * rng.random(), 0, "infinite", "unknown", None]
                                       if rng.random() < 0.2 else [0 if word(total) else total * rng.random()])
    b["provisioned_capacity_gb"] = rng.choice([b["allocated_capacity_gb"], size(rng, 50)])
    if rng.random() < 0.1:
        b["capabilities"]["online_extend_support"] = False
    if rng.random() < 0.5:
        b["filter_function"] = rng.choice(list(FUNCTIONS)[:2])
    if rng.random() < 0.7:
        b["goodness_function"] = rng.choice(list(FUNCTIONS))
    b["volume_ids"] = [f"{rng.randrange(8):08x}-0000-4000-8000-000000000000" for _ in range(2)]
    return b


SPECS = [{"disk": "ssd"}, {"capabilities:disk": "<in> dd"}, {"iops": ">= 200"}, {"iops": "500"}, {"capabilities:a:b": "<or> x"},
         {"provisioning:type": "thick"}, {"RESKEY:availability_zones": "west, mars"}, {"thin_provisioning_support": "<is> True"},
         {"disk": "s> m", "acme:x": "y"}, {}]


def request(rng, n):
    r = {"size": rng.choice([size(rng, 20), rng.randrange(20)])}
    if rng.random() < 0.4:
        r["zone"] = rng.choice(["west", "east", "mars"])
    if rng.random() < 0.6:
        r["type"] = {"name": "t", "extra_specs": {k: v for s in rng.sample(SPECS, 2) for k, v in s.items()}}
    if rng.random() < 0.3:
        r["attempted"] = [f"b{rng.randrange(n)}" for _ in range(2)]
    hints = {}
    for name in ("same_backend", "different_backend"):
        if rng.random() < 0.3:
            hints[name] = [f"{rng.randrange(9):08x}-0000-4000-8000-000000000000" for _ in range(rng.randrange(4))]
    if rng.random() < 0.3:
        hints["query"] = rng.choice(list(QUERIES))
    if rng.random() < 0.1:
        r["new_size"] = r["size"] + rng.randrange(10)
        r["volume"] = {"attach_status": rng.choice(["attached", "detached"])}
    return dict(r, hints=hints) if hints else r


def document(rng):
    n = rng.randrange(1, 15)
    weighers = rng.sample(["capacity", "allocated_capacity", "volume_number", "goodness", "chance"], rng.randrange(5))
    if rng.random() < 0.2:
        weighers.append("stochastic")
    return {"backends": [backend(rng, i) for i in range(n)], "explain": rng.random() < 0.7, "commit": rng.random() < 0.7,
            "filters": rng.sample(list(FILTERS), rng.randrange(len(FILTERS) + 1)),
            "weighers": [{"name": w, "multiplier": rng.choice([1.0, -1.0, 0.5, 3])} for w in weighers],
            "random": [rng.random() for _ in range(rng.randrange(1, 9))],
            "requests": [request(rng, n) for _ in range(12)]}


def compare(seed):
    rng = random.Random(seed)
    doc = document(rng)
    if rng.random() < 0.3:
        doc["filters"], doc["weighers"] = ["availability_zone", "capacity"], [{"name": "capacity", "multiplier": 1.0}]
    done = subprocess.run([TOOL], input=json.dumps(doc), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"seed {seed}: {done.stderr}")
    fleet = [dict(b, reported={k: v for k, v in b.items() if k.endswith(("_gb", "_support", "_percentage", "_ratio"))})
             for b in json.loads(json.dumps(doc["backends"]))]
    chance = (doc["random"][i % len(doc["random"])] for i in range(10**9))
    for k, (r, result) in enumerate(zip(doc["requests"], json.loads(done.stdout)["results"])):
        order, refused = choose(doc, fleet, r, chance)
        got = [(o["name"], o["weight"]) for o in result["order"]]
        want = order if doc["explain"] else order[:1]
        near = len(got) == len(want) and all(g[0] == w[0] and abs(g[1] - w[1]) < 1e-6 * (1 + abs(w[1]))
                                             for g, w in zip(got, want))
        choice = order[0][0] if order else None
        if not near or result["choice"] != choice or (result["error"] is None) != bool(order) or \
                doc["explain"] and {f["name"]: f["filter"] for f in result["refused"]} != refused:
            sys.exit(f"seed {seed}, request {k}: {json.dumps(r)}\nwant {want} {refused}\ngot {got} {result['refused']}\n"
                     f"{json.dumps(doc)}")
        if order and doc["commit"]:
            consume(next(b for b in fleet if b["name"] == choice), r)
    return sum(1 for r in json.loads(done.stdout)["results"] if r["choice"])


def main():
    rounds = 5000 if FULL else 800
    chosen = sum(compare(seed) for seed in range(rounds))
    print(f"{rounds} documents, {chosen} choices")
    sys.exit(0 if chosen > rounds else "hardly anything was chosen")


main()
