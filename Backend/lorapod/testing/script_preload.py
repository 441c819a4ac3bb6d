"""What `script_child` needs imported to start warm."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

__all__ = ["Path", "json", "os", "signal", "subprocess", "sys", "time"]
