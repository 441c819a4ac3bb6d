from __future__ import annotations

from pathlib import Path

from lorapod.trainers.ai_toolkit.vocabulary import STANDARD_TYPES, vocabulary


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_names_are_read_from_the_sources_without_running_them(tmp_path: Path) -> None:
    models = tmp_path / "extensions_built_in" / "diffusion_models"
    write(models / "new" / "new.py", "raise SystemExit\nclass New:\n    arch = 'new_model'  # comes next\n")
    write(models / "typed.py", 'class Typed:\n    arch: str = "typed.5"\n')
    write(models / "call.py", 'x = make(\n    arch="an_argument",\n)\narch = "global"\n')
    write(models / "example_model" / "model.py", "class Template:\n    arch = 'template_only'\n")
    write(tmp_path / "extensions" / "mine" / "__init__.py", "class Mine:\n    uid = 'my_trainer'\n")
    write(tmp_path / "toolkit" / "models" / "wan" / "wan.py", "class Wan:\n    arch = 'wan99'\n")
    write(tmp_path / "toolkit" / "config_modules.py", "ModelArch = Literal['lit1', \"lit2\"]\n")
    known = vocabulary(tmp_path, "1")
    assert known.archs >= {"new_model", "typed.5", "wan99", "lit1", "lit2"}
    assert not known.archs & {"an_argument", "global", "template_only"}
    assert "my_trainer" in known.process_types


def test_what_is_known_without_any_source(tmp_path: Path) -> None:
    known = vocabulary(tmp_path / "nothing", None)
    assert known.archs >= {"sd1", "sd15", "sdxl", "flux", "wan21", "qwen_image", "zimage", "flux2_klein_4b"}
    assert known.process_types >= STANDARD_TYPES | known.not_trainings | {"concept_slider"}
    assert known.not_trainings >= {"dataset_tools", "Qwen3VLCaptioner", "pure_lora_generator"}


def test_a_new_version_is_read_anew(tmp_path: Path) -> None:
    write(tmp_path / "extensions" / "a.py", "class A:\n    arch = 'first'\n")
    assert "first" in vocabulary(tmp_path, "1").archs
    write(tmp_path / "extensions" / "a.py", "class A:\n    arch = 'second'\n")
    assert "second" not in vocabulary(tmp_path, "1").archs
    assert "second" in vocabulary(tmp_path, "2").archs
