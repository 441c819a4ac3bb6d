"""A checkout that behaves as AI Toolkit 0.12.26 does with its captioner `Qwen3VLCaptioner`.

Written after its source: the folder is walked and sorted, each caption is written beside its image, `step` in the control
table counts every image, also the one that SIGINT interrupts, an error of one image is printed and it goes on, `stop` and
SIGINT end it. A model whose name has
`slow`, `busy`, `broken` or `odd` in it takes long, takes a moment, cannot be loaded, or fails on each second image.
"""

from __future__ import annotations

from pathlib import Path

RUN = """
import json, os, pathlib, sqlite3, sys, time
import yaml

config = yaml.safe_load(pathlib.Path(sys.argv[1]).read_text())
print("Running 1 job", flush=True)
process = config["config"]["process"][0]
print(json.dumps(process, indent=4), flush=True)
asked = process["caption"]
assert process["type"] == "Qwen3VLCaptioner", process["type"]
job_id = os.environ["AITK_JOB_ID"]

def write(key, value):
    with sqlite3.connect(process["sqlite_db_path"], timeout=30) as table:
        table.execute(f"UPDATE Job SET {key} = ? WHERE id = ?", (value, job_id))

try:
    write("status", "running")
    print("Loading Qwen3VL model", flush=True)
    model = os.path.basename(asked["model_name_or_path"])
    if "broken" in model:
        raise ValueError("the model is broken")
    files = sorted(
        os.path.join(root, name)
        for root, _, names in os.walk(asked["path_to_caption"])
        for name in names
        if name.rpartition(".")[2].lower() in asked["extensions"]
    )
    print(f"Found {len(files)} files to caption", flush=True)
    for count, path in enumerate(files, 1):
        try:
            time.sleep(0.3 if "slow" in model else 0.03 if "busy" in model else 0.01)
            if "odd" in model and count % 2 == 0:
                print(f"Error processing {path}: it is odd", flush=True)
            elif not os.path.exists(path):
                print(f"Error captioning file {path}: [Errno 2] No such file or directory", flush=True)
            else:
                pathlib.Path(path).with_suffix("." + asked["caption_extension"]).write_text(
                    f"{asked['caption_prompt'][:20]} {os.path.getsize(path)} bytes"
                )
        finally:
            write("step", count)
        sys.stderr.write(f"\\rCaptioning files: {100 * count // len(files):3}%|##  | {count}/{len(files)} [00:01<00:01,  1.00file/s]")
        sys.stderr.flush()
    write("status", "completed")
    print("Captioning complete")
except KeyboardInterrupt:
    write("status", "stopped")
    print("Job stopped")
    sys.exit(0)
except Exception as error:
    print(f"Error running job: {error}", flush=True)
    raise
"""

SOURCES = {
    "version.py": 'VERSION = "0.12.26"\n',
    "run.py": RUN,
    "extensions_built_in/captioner/Qwen3VLCaptioner.py": "class Qwen3VLCaptioner:\n    pass\n",
}


def install_captioner(root: Path) -> Path:
    """Write the checkout; its root."""
    for name, text in SOURCES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root
