"""A client in a process of its own: sends a folder, fetches one file back, and says what that took.

`python large_file_client.py URL FOLDER DATASET FILE TARGET` prints JSON: seconds, and peak memory above what the
process held when it had its client.
"""

import json
import sys
import time
from pathlib import Path

from lorapod.client import Client


def peak_bytes() -> int:
    # Not `ru_maxrss`: a process begins with that of the one that started it.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def main(url: str, folder: str, dataset: str, file_path: str, target: str) -> None:
    with Client(url) as client:
        client.call("ping")
        idle = peak_bytes()
        began = time.perf_counter()
        client.upload_dataset(Path(folder), dataset)
        sent = time.perf_counter()
        up_bytes = peak_bytes() - idle
        client.download(file_path, Path(target))
        fetched = time.perf_counter()
    told = {
        "sent_s": sent - began,
        "fetched_s": fetched - sent,
        "up_bytes": up_bytes,
        "peak_bytes": peak_bytes() - idle,
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
