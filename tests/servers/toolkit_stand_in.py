"""A checkout that behaves as AI Toolkit 0.12.26 does with `job: generate`.

The real one needs its own environment of two gigabytes and a model of tens; it was run with a tiny Wan model to see
what is kept of it here: the whole config on stdout, the milestones, the bar on stderr with carriage returns,
`<milliseconds>_<count>.<ext>` with the prompt in a `.txt` beside it where that is wished, staging in `.tmp`, thumbnails in `.thumbs`, seeds of `-1` drawn from `SEED`, the processor as
default device, `Error running job` with exit code 1, and exit code 0 with `Job stopped` after SIGINT.

A prompt's first word chooses what goes wrong: `fail`, `memory`, `nothing`, `slow`.
"""

from __future__ import annotations

from pathlib import Path

RUN = """
import json, os, pathlib, random, sys, time
import yaml
from PIL import Image

config = yaml.safe_load(pathlib.Path(sys.argv[1]).read_text())
print("Running 1 job", flush=True)
process = config["config"]["process"][0]
print(json.dumps(process, indent=4), flush=True)
if "SEED" in os.environ:
    random.seed(int(os.environ["SEED"]))
asked = process["generate"]
device = process.get("device", config["config"].get("device", "cpu"))
print(f"Using device {device}")
print("Loading model...")
print("Compiling model...")
prompts = asked["prompts"] * asked.get("num_repeats", 1)
print(f"Generating {len(asked['prompts'])} images", flush=True)
folder = pathlib.Path(process["output_folder"])

def bar(done):
    sys.stderr.write(f"\\rGenerating Samples:  {100 * done // len(prompts):2}%|##  | {done}/{len(prompts)} [00:01<00:01,  1.00it/s]")
    sys.stderr.flush()

try:
    try:
        bar(0)
        for count, prompt in enumerate(prompts):
            word = prompt.split()[0]
            if word == "fail":
                raise ValueError("the prompt said so")
            if word == "memory":
                raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
            for _ in range(600 if word == "slow" else 1):
                time.sleep(0.05)
            seed = asked.get("seed", -1)
            if seed == -1:
                seed = random.randint(0, 2**32 - 1)
            width = max(64, asked.get("width", 512) // 8 * 8)
            height = max(64, asked.get("height", 512) // 8 * 8)
            if word != "nothing":
                (folder / ".tmp").mkdir(parents=True, exist_ok=True)
                (folder / ".thumbs").mkdir(exist_ok=True)
                name = f"{int(time.time() * 1000)}_{str(count).zfill(len(str(len(prompts))))}"
                ending = "." + asked.get("ext", "png").lstrip(".")
                image = Image.new("RGB", (width, height), (seed & 255, seed >> 8 & 255, seed >> 16 & 255))
                image.save(folder / ".tmp" / (name + ending))
                image.resize((8, 8)).save(folder / ".thumbs" / (name + ending + ".jpg"))
                if asked.get("prompt_file"):
                    (folder / ".tmp" / (name + ".txt")).write_text(prompt)
                for path in (folder / ".tmp").iterdir():
                    path.rename(folder / path.name)
            bar(count + 1)
        sys.stderr.write("\\n")
        print("Done generating images")
    except Exception as error:
        print(f"Error running job: {error}", flush=True)
        raise
except KeyboardInterrupt:
    print("\\n========================================\\nJob stopped\\n========================================")
    sys.exit(0)
"""

#: What the worker reads in the sources: a trap for old architectures, and one that is new.
SOURCES = {
    "version.py": 'VERSION = "0.12.26"\n',
    "run.py": RUN,
    "jobs/process/GenerateProcess.py": "sampler = get_sampler(self.train_config.noise_scheduler)\n",
    "extensions_built_in/diffusion_models/zimage.py": 'class ZImage(BaseModel):\n    arch = "zimage"\n',
}


def install_stand_in(root: Path) -> Path:
    """Write the checkout; its root."""
    for name, text in SOURCES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root
