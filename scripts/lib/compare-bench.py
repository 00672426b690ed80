#!/usr/bin/env python3
"""compare-bench.py DOCKER.json STARLING.json [DOCKER.json STARLING.json ...]: prints each figure that both have, and how many times better Starling is."""
import json
import sys

# For these, more is better; for all others (times, memory, CPU) less is.
MORE_IS_BETTER = ("per_s", "per_second", "tasks_per_s", "min_running")
# Kept for each run beside the figures; not figures themselves.
SKIP = ("runs", "when", "loadavg_before", "section_cpu", "meta")
# What the load client says of its own work.
SKIP_IN_LOAD = ("writes", "seconds", "tasks")


def figures(node, path=()):
    """(path, number) of each median, and of each plain number of the sections that have no medians."""
    if isinstance(node, dict):
        if isinstance(node.get("median"), (int, float)):
            yield path, node["median"]
            return
        for key, value in node.items():
            if key not in SKIP and not (path[:1] == ("load",) and key in SKIP_IN_LOAD):
                yield from figures(value, path + (key,))
    elif isinstance(node, (int, float)) and not isinstance(node, bool) and path and path[0] in ("memory", "load"):
        yield path, node


def load(name):
    try:
        with open(name, encoding="utf-8") as file:
            return dict(figures(json.load(file)))
    except FileNotFoundError:
        print(f"no {name}: that engine was not measured yet")
        return {}


def main():
    docker, starling = {}, {}
    for name in sys.argv[1::2]:
        docker |= load(name)
    for name in sys.argv[2::2]:
        starling |= load(name)
    print(f"{'figure':<72} {'docker':>10} {'starling':>10} {'better':>8}")
    for path in sorted(set(docker) | set(starling)):
        old, new = docker.get(path), starling.get(path)
        better = ""
        if old and new:
            ratio = new / old if path[-1] in MORE_IS_BETTER else old / new
            better = f"{ratio:.1f}x"
        cell = lambda value: "-" if value is None else f"{value:g}"
        print(f"{' '.join(path):<72} {cell(old):>10} {cell(new):>10} {better:>8}")


main()
