from __future__ import annotations

import subprocess
import sys

ASK = """
import cpuinfo
measure = cpuinfo.get_cpu_info
def asked(): raise AssertionError("the processor was measured")
cpuinfo.get_cpu_info = asked
from lorapod.sdk import import_runpod
runpod = import_runpod()
assert cpuinfo.get_cpu_info is asked
assert runpod.serverless.start
"""


def test_the_sdk_is_imported_without_measuring_the_processor() -> None:
    subprocess.run([sys.executable, "-c", ASK], check=True, timeout=60)
