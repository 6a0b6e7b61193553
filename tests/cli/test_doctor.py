"""`savor doctor`: findings for every state of a machine, made up or real."""

from __future__ import annotations

import json
import os
from importlib import metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from savor.cli import app, doctor
from savor.cli.doctor import Finding


def by_name(findings) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch):
    """Pretend that distributions have other versions; None stands for not installed."""

    def pretend(**changed: str | None) -> None:
        real = metadata.version

        def version(name: str) -> str:
            known = changed.get(name, real(name) if name not in changed else None)
            if known is None:
                raise metadata.PackageNotFoundError(name)
            return known

        monkeypatch.setattr(metadata, "version", version)

    return pretend


def test_this_machine_has_all_it_needs() -> None:
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0, result.stdout
    assert "missing:" not in result.stdout
    assert f"torch {metadata.version('torch')}" in " ".join(result.stdout.split())


def test_json_holds_the_same_findings_for_programs(tmp_path: Path) -> None:
    file = tmp_path / "doctor.json"
    shown = CliRunner().invoke(app, ["doctor", "--json", str(file)]).stdout
    piped = CliRunner().invoke(app, ["doctor", "--json", "-"]).stdout
    report = json.loads(file.read_text())
    assert report["ok"] is True
    assert {finding["name"] for finding in report["findings"]} == {
        finding["name"] for finding in json.loads(piped)["findings"]
    }
    assert all(finding["name"] in shown for finding in report["findings"])


def test_a_missing_package_is_named_with_its_pip_line(versions) -> None:
    versions(transformers=None)
    finding = by_name(doctor.check_packages())["transformers"]
    assert finding.status == "missing"
    assert finding.fix is not None
    assert finding.fix.startswith('pip install "transformers')
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "1 missing" in result.stdout


def test_source_without_an_installation_is_reported(versions) -> None:
    versions(savor=None)
    assert [finding.status for finding in doctor.check_packages()] == ["missing"]
    assert list(doctor.check_extras()) == []


def test_a_package_too_old_is_missing_too(versions) -> None:
    versions(torch="2.1.0")
    finding = by_name(doctor.check_packages())["torch"]
    assert (finding.status, finding.detail.split(",")[0]) == ("missing", "2.1.0")


@pytest.mark.parametrize("version", ["2.13.0", "2.13.0+cpu", "2.14.1+cu130"])
def test_any_build_of_torch_satisfies_the_requirement(versions, version: str) -> None:
    versions(torch=version)
    assert by_name(doctor.check_packages())["torch"] == Finding("torch", "ok", version)


def test_cuda_without_a_gpu_is_five_gigabytes_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_cuda_distributions", lambda: {"nvidia-cublas", "nvidia-cudnn"})
    monkeypatch.setattr(doctor, "_has_nvidia_gpu", lambda: False)
    finding = by_name(doctor.check_torch_build())["torch build"]
    assert finding.status == "warning"
    assert "5 GB" in finding.detail
    assert finding.fix is not None
    assert "whl/cpu" in finding.fix
    monkeypatch.setattr(doctor, "_has_nvidia_gpu", lambda: True)
    assert "torch build" not in by_name(doctor.check_torch_build())


@pytest.mark.parametrize(("wants", "warned"), [("torch==2.14.1", True), ("torch==2.13.0", False)])
def test_a_torchvision_for_another_torch_is_found(
    versions, monkeypatch: pytest.MonkeyPatch, wants: str, warned: bool
) -> None:
    versions(torchvision="0.29.1", torch="2.13.0+cpu")
    monkeypatch.setattr(metadata, "requires", lambda name: ["numpy", wants] if name == "torchvision" else [])
    assert ("torchvision" in by_name(doctor.check_torchvision())) is warned


def test_an_incomplete_encoder_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "savor.encoders.bundled_status", lambda: [("minilm", False, "model.safetensors is not there")]
    )
    finding = by_name(doctor.check_encoders())["encoder minilm"]
    assert (finding.status, finding.detail) == ("missing", "model.safetensors is not there")
    assert finding.fix is not None


def test_a_full_disk_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SAVOR_CACHE", str(tmp_path / "not" / "there" / "yet"))
    monkeypatch.setattr(doctor, "SCARCE_DISK", 1e18)
    findings = by_name(doctor.check_disk())
    assert findings["working folder"].status == findings["cache folder"].status == "warning"
    assert str(tmp_path) in findings["cache folder"].detail
    assert not (tmp_path / "not").exists()


def test_a_missing_extra_is_only_a_note(versions) -> None:
    versions(**{"pillow-heif": None})
    finding = by_name(doctor.check_extras())["extra heic"]
    assert finding == Finding("extra heic", "note", "not installed: pillow-heif", 'pip install "savor[heic]"')


@pytest.mark.parametrize(("value", "status"), [("1", "note"), ("ON", "note"), ("0", "ok"), (None, "ok")])
def test_offline_mode_is_reported(monkeypatch: pytest.MonkeyPatch, value: str | None, status: str) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    if value:
        monkeypatch.setenv("HF_HUB_OFFLINE", value)
    assert by_name(doctor.check_network())["hugging face"].status == status


@pytest.mark.skipif(
    "CI" not in os.environ, reason="a user may well have a CUDA build of torch; the CI must not"
)
@pytest.mark.skipif(doctor._has_nvidia_gpu(), reason="a GPU is here, so CUDA may be")
def test_the_ci_is_free_of_cuda_and_of_what_brings_it() -> None:
    assert doctor._cuda_distributions() == set()
    installed = {(distribution.name or "").lower() for distribution in metadata.distributions()}
    assert not installed & {"torchvision", "timm", "open-clip-torch", "open_clip_torch"}
