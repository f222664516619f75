#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Holds the environment that `raiiaf create` records, without running Python, against what Python says of itself."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

# In the order and the words of doc/format.md, 4.
PROBE = """
import platform
try:
    import torch
except ImportError:
    torch = None
try:
    import numpy
except ImportError:
    numpy = None
if torch:
    print(f"name=torch;version={torch.__version__.split('+')[0]};cuda={torch.version.cuda}")
if numpy:
    print(f"name=numpy;version={numpy.__version__}")
print(f"name=python;version={platform.python_version()}")
if torch:
    print(f"name=cuda;version={torch.version.cuda or 'none'}")
print(f"name=os;version={platform.system()} {platform.release()}")
"""
SYSTEM = "/usr/bin:/bin"

work = tempfile.mkdtemp(prefix="raiiaf-environment-")
home = os.path.join(work, "home")
failures = checks = 0


def plain(path, **more):
    """The variables of somebody at home in `work`, with no environment active."""
    clean = {name: value for name, value in os.environ.items()
             if not name.startswith("PYTHON") and name not in ("VIRTUAL_ENV", "CONDA_PREFIX")}
    return clean | {"PATH": path, "HOME": home, "RAIIAF_NVML": "/nowhere", "PYTHONDONTWRITEBYTECODE": "1"} | more


def compare(what, variables):
    global failures, checks
    checks += 1
    said = subprocess.run(["python3", "-c", PROBE], env=variables, cwd=work, check=True, capture_output=True, text=True)
    artifact = os.path.join(work, "it.raiiaf")
    subprocess.run([os.environ["RAIIAF"], "create", "-o", artifact], env=variables, cwd=work, check=True)
    recorded = subprocess.run([os.environ["RAIIAF"], "extract", artifact, "--environment", "-"], env=variables, cwd=work,
                              check=True, capture_output=True, text=True)
    recorded = [component["cononical_str"] for component in json.loads(recorded.stdout)["components"]]
    print(f"{what}: {', '.join(recorded)}")
    if recorded != said.stdout.splitlines():
        failures += 1
        print(f"  but Python says: {', '.join(said.stdout.splitlines())}")


def install(site, name, version, files=None):
    """A distribution, as far as an import and its metadata show it."""
    os.makedirs(os.path.join(site, name), exist_ok=True)
    os.makedirs(os.path.join(site, f"{name}-{version}.dist-info"), exist_ok=True)
    for module, text in (files or {"__init__": f"__version__ = {version!r}\n"}).items():
        with open(os.path.join(site, name, module + ".py"), "w", encoding="utf-8") as file:
            file.write(text)
    with open(os.path.join(site, f"{name}-{version}.dist-info", "METADATA"), "w", encoding="utf-8") as file:
        file.write(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def virtualenv(name, *options):
    folder = os.path.join(work, name)
    subprocess.run(["python3", "-m", "venv", "--without-pip", *options, folder], env=plain(SYSTEM), check=True)
    return folder, plain(os.path.join(folder, "bin") + ":" + SYSTEM, VIRTUAL_ENV=folder)


def run():
    series = subprocess.run(["python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], env=plain(SYSTEM),
                            check=True, capture_output=True, text=True).stdout.strip()
    below = os.path.join("lib", "python" + series, "site-packages")

    compare("the system's Python", plain(SYSTEM))
    compare("the Python that runs this", plain(os.path.dirname(os.path.realpath(sys.executable)) + ":" + SYSTEM))

    folder, active = virtualenv("bare")
    compare("a virtualenv", active)
    compare("a virtualenv that isn't active", {k: v for k, v in active.items() if k != "VIRTUAL_ENV"})
    install(os.path.join(folder, below), "numpy", "98.0.1rc1")
    compare("a virtualenv with a numpy", active)
    install(os.path.join(folder, below), "torch", "2.3.1+cu121", {
        "__init__": "from .version import __version__\nfrom . import version\n",
        "version": "from typing import Optional\n__version__ = '2.3.1+cu121'\ncuda: Optional[str] = '12.1'\n"})
    compare("a virtualenv with a torch", active)

    _, active = virtualenv("open", "--system-site-packages")
    compare("a virtualenv open to the system", active)
    install(os.path.join(home, ".local", below), "numpy", "97.0")
    compare("a virtualenv open to the user's packages", active)
    compare("the system's Python with the user's packages", plain(SYSTEM))
    compare("the same without them", plain(SYSTEM, PYTHONNOUSERSITE="1"))
    install(os.path.join(work, "extra"), "numpy", "96.0")
    compare("the system's Python with PYTHONPATH", plain(SYSTEM, PYTHONPATH=os.path.join(work, "extra")))


if not os.access("/usr/bin/python3", os.X_OK):
    print("SKIP: there is no /usr/bin/python3 to compare with", file=sys.stderr)
    sys.exit(77)
try:
    run()
finally:
    shutil.rmtree(work)
print(f"{checks} environments, {failures} told wrongly")
sys.exit(1 if failures else 0)
