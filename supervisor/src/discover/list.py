"""Lists the entry points of a group, from the metadata of installed packages. Imports none of them."""

import datetime
import json
import os
import sys


def main(group):
    if sys.version_info < (3, 10):
        version = ".".join(map(str, sys.version_info[:3]))
        return {"problem": "old", "version": version}
    from importlib import metadata

    if not module_file("outboard_plugin"):
        return {"problem": "sdk"}
    points = [told(point) for point in metadata.entry_points(group=group)]
    return {"points": sorted(points, key=lambda point: sorted(point.items()))}


def told(point):
    dist = point.dist
    return {
        "name": point.name,
        "value": point.value,
        "distribution": (dist.name or "") if dist else "",
        "version": (dist.version or "") if dist else "",
        "installed": written(dist, point.value),
    }


def written(dist, value):
    """When the package was installed, or the file that is named was changed: the later of the two."""
    files = [module_file(value.partition(":")[0].strip())]
    folder = getattr(dist, "_path", None)
    if folder is not None:
        files += [os.path.join(folder, name) for name in ("RECORD", "METADATA", "entry_points.txt")]
    times = [0]
    for file in filter(None, files):
        try:
            times.append(os.stat(file).st_mtime_ns)
        except OSError:
            pass
    seconds, rest = divmod(max(times), 10**9)
    at = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{rest // 10**6:03d}Z"


def module_file(module):
    """Where a module lies, or None. Only the package at the top is looked up, since that imports nothing."""
    from importlib import util

    top, *rest = module.split(".")
    try:
        spec = util.find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return None
    if spec is None:
        return None
    if not rest:
        return spec.origin or next(iter(spec.submodule_search_locations or ()), None)
    for folder in spec.submodule_search_locations or ():
        below = os.path.join(folder, *rest)
        for file in (f"{below}.py", os.path.join(below, "__init__.py")):
            if os.path.exists(file):
                return file
    return spec.origin


print(json.dumps(main(sys.argv[1])))
