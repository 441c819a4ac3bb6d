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


#: `runpod` here is a module that waits on its import until the second thread has asked for it, too.
TWO_THREADS = """
import sys, threading, types
import cpuinfo

asked_twice = threading.Event()
patched = []


class Watched(types.ModuleType):
    def __setattr__(self, name, value):
        patched.append(name)
        super().__setattr__(name, value)


class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "runpod":
            from importlib.machinery import ModuleSpec
            return ModuleSpec(name, self)

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        assert cpuinfo.get_cpu_info() == {}
        asked_twice.wait(5)


measure = cpuinfo.get_cpu_info
cpuinfo.__class__ = Watched
sys.meta_path.insert(0, Finder())
from lorapod.sdk import import_runpod


def second():
    asked_twice.set()
    import_runpod()


threads = [threading.Thread(target=import_runpod), threading.Thread(target=second)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
import_runpod()
assert patched == ["get_cpu_info", "get_cpu_info"], patched
assert cpuinfo.get_cpu_info is measure
"""


def test_the_sdk_is_imported_without_measuring_the_processor() -> None:
    subprocess.run([sys.executable, "-c", ASK], check=True, timeout=60)


def test_the_processor_s_question_is_changed_once_whoever_asks_for_the_sdk() -> None:
    subprocess.run([sys.executable, "-c", TWO_THREADS], check=True, timeout=60)
