"""What the README tells people to type works as it stands there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from events import keys
from events.models import Event
from lifecycle import settings as settings_file

ROOT = Path(__file__).resolve().parent.parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[str]:
    text = "\n".join(blocks("sh")).replace("\\\n", " ")
    return [line.partition("  #")[0].strip() for line in text.splitlines() if line[:1] in ".mc"]


def test_every_make_target_it_names_exists_and_is_used_by_ci_or_said_to_be_long():
    makefile = (ROOT / "Makefile").read_text()
    named = {line.split()[1] for line in commands() if line.startswith("make ")}
    assert named
    assert {target for target in named if not re.search(rf"^{target}:", makefile, re.M)} == set()
    run_by_ci = set(re.findall(r"^make ([\w-]+)", (ROOT / ".ci" / "run").read_text(), re.M))
    assert named - run_by_ci <= {"demo", "bench"}


def manage_commands() -> list[list[str]]:
    return [line.split(maxsplit=2)[2:] for line in commands() if "manage.py" in line]


@pytest.mark.django_db
def test_its_commands_set_up_an_installation_in_the_order_given(tmp_path):
    environment = {
        **{k: v for k, v in os.environ.items() if k != "DATABASE_URL"},
        "LIFECYCLE_ENV": "development",
        "DATABASE_URL": f"sqlite:///{tmp_path / 'readme.sqlite3'}",
        "STATIC_ROOT": str(tmp_path / "static"),
    }
    told = [words[0] for words in manage_commands()]
    finite = [words for words in told if not words.startswith("work")]
    migrate = finite.index("migrate")
    for words in finite[migrate:] + finite[:migrate]:
        done = subprocess.run(
            [sys.executable, "manage.py", *_split(words)],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{words}: {done.stderr}"
    status = subprocess.run(
        [sys.executable, "manage.py", "status"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert status.returncode == 1
    assert "manage.py work" in status.stdout


def _split(words: str) -> list[str]:
    return [part.strip('"') for part in re.findall(r'"[^"]*"|\S+', words)]


@pytest.mark.django_db(transaction=True)
def test_its_python_example_stores_what_it_sends(live_server):
    _, key = keys.create("readme")
    (code,) = blocks("python")
    code = code.replace("YOUR_KEY", key).replace("https://lifecycle.example.com", live_server.url)
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert set(Event.objects.values_list("type", "name")) >= {
        ("identify", ""), ("group", ""), ("track", "integration_started"),
    }  # fmt: skip
    assert Event.objects.get(name="integration_started").account is not None


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
@pytest.mark.django_db(transaction=True)
def test_its_curl_example_stores_what_it_sends(live_server):
    _, key = keys.create("readme")
    (line,) = [block for block in blocks("sh") if "curl" in block]
    line = line.replace("YOUR_KEY", key).replace("https://lifecycle.example.com", live_server.url)
    subprocess.run(["bash", "-c", line], check=True, timeout=60, capture_output=True)
    assert Event.objects.get().name == "api_key_created"


def test_every_setting_it_names_is_read():
    named = set(re.findall(r"^([A-Z_]+)=", "\n".join(blocks("ini")), re.M))
    named |= set(re.findall(r"`([A-Z][A-Z_]{5,})`", README))
    source = Path(settings_file.__file__).read_text()
    assert {name for name in named if name not in source} == set()


def test_every_file_it_names_exists():
    paths = set(re.findall(r"`((?:tests|lifecycle|messaging|events|accounts)/[\w./]*\w)`", README))
    assert paths
    assert {path for path in paths if not (ROOT / path).exists()} == set()
