"""Each SDK as it would be published: packed, looked into, installed into a fresh project, and run.

Run by `plugin-sdk/test`, with a Python that has pip and the backend of the Python SDK; OUTBOARD is the program. Nothing is
fetched. With OUTBOARD_LONG=1 a fresh project in Rust is built too, and the wheel in isolation, as `pip` does it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import unittest
import zipfile
from pathlib import Path

SDK = Path(__file__).resolve().parents[1]
ROOT = SDK.parent
OUTBOARD = os.environ.get("OUTBOARD", "outboard")
LONG = os.environ.get("OUTBOARD_LONG") == "1"

LICENCES = {"LICENSE-MIT", "LICENSE-APACHE"}

#: Seconds; generous, it only keeps what is broken from hanging.
PATIENCE = 600


class Packages(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.project = self.folder / "project"
        self.project.mkdir()

    def run_in(self, folder: Path, *words: str | Path, **env: str) -> str:
        ended = subprocess.run(
            words,
            cwd=folder,
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self.assertEqual(ended.returncode, 0, f"{words}\n{ended.stdout}\n{ended.stderr}")
        return ended.stdout

    def packed(self, folder: Path, pattern: str) -> Path:
        found = list(folder.glob(pattern))
        self.assertEqual(len(found), 1, found)
        return found[0]

    def echoes(self, *command: str | Path) -> None:
        """What was installed is run by a supervisor, in the project's folder, and called."""
        argv = json.dumps([str(word) for word in command])
        (self.project / "echo.toml").write_text(f"[process]\ncommand = {argv}\n")
        env = {**os.environ, "OUTBOARD_STATE_DIR": str(self.folder / "state")}
        supervisor = subprocess.Popen(
            [OUTBOARD, "run", "echo.toml", "--output", "json"],
            cwd=self.project,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        try:
            assert supervisor.stdout
            for line in supervisor.stdout:
                event = json.loads(line)
                self.assertNotEqual(event["event"], "plugin.failure", event)
                if event["event"] == "plugin.state" and event["to"] == "active":
                    break
            call = [OUTBOARD, "call", "echo", "echo", '{"a":1}']
            self.assertEqual(subprocess.check_output(call, env=env), b'{"a":1}\n')
        finally:
            supervisor.terminate()
            supervisor.communicate(timeout=PATIENCE)

    def test_python(self) -> None:
        build = "import sys, flit_core.buildapi as it; it.build_sdist(sys.argv[1])"
        self.run_in(SDK / "python", sys.executable, "-c", build, self.folder)
        sdist = self.packed(self.folder, "*.tar.gz")
        with tarfile.open(sdist) as archive:
            names = {name.partition("/")[2] for name in archive.getnames()}
        for name in [*LICENCES, "README.md", "pyproject.toml", "tests/test_vectors.py"]:
            self.assertIn(name, names)

        # The wheel is made of the archive, as an index would have it.
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        alone = [] if LONG else ["--no-build-isolation", "--no-index"]
        self.run_in(self.folder, *pip, "wheel", "--no-deps", *alone, "--wheel-dir", ".", sdist)
        wheel = self.packed(self.folder, "*.whl")
        with zipfile.ZipFile(wheel) as archive:
            names = set(archive.namelist())
        sources = (SDK / "python/src").rglob("*.py")
        own = {str(path.relative_to(SDK / "python/src")) for path in sources}
        code = {name for name in names if "dist-info" not in name}
        self.assertEqual(code, own | {"outboard_plugin/py.typed"})
        self.assertEqual({Path(name).name for name in names if "/licenses/" in name}, LICENCES)

        venv = self.project / ".venv"
        self.run_in(self.project, sys.executable, "-m", "venv", "--without-pip", venv)
        where = self.run_in(self.project, sys.executable, "-c", "import pip; print(pip.__path__[0])")
        lent = str(Path(where.strip()).parent)
        python = venv / "bin/python"
        self.run_in(
            self.project, python, *pip[1:], "install", "--no-index", wheel, PYTHONPATH=lent
        )
        (self.project / "echo.py").write_text((SDK / "python/examples/echo.py").read_text())
        self.echoes(python, "echo.py")

    def test_typescript(self) -> None:
        sdk = SDK / "typescript"
        # It is built already, and others read what was.
        packing = ["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination"]
        self.run_in(sdk, *packing, self.folder)
        tarball = self.packed(self.folder, "*.tgz")
        with tarfile.open(tarball) as archive:
            names = {name.partition("/")[2] for name in archive.getnames()}
        modules = [path.stem for path in (sdk / "src").glob("*.ts")]
        built = {f"dist/{module}{end}" for module in modules for end in (".js", ".d.ts")}
        beside = LICENCES | {"README.md", "package.json"}
        self.assertLessEqual(built | beside, names)
        # What an earlier source left in `dist` goes when it is packed to be published.
        self.assertEqual([n for n in names - beside if not n.startswith("dist/")], [])

        (self.project / "package.json").write_text('{"type": "module", "private": true}')
        installing = ["npm", "install", "--offline", "--no-audit", "--no-fund", "--silent"]
        self.run_in(self.project, *installing, tarball)
        # Its types are those of whoever installs it.
        echo = (sdk / "examples/echo.ts").read_text()
        (self.project / "echo.ts").write_text(echo)
        (self.project / "echo.test.ts").write_text(
            'import { Plugin } from "outboard-plugin";\n'
            'import { FakeHost } from "outboard-plugin/testing";\n'
            'const plugin = new Plugin("echo", "1.0.0").method("echo", (params) => params);\n'
            "const host = await FakeHost.open(plugin);\n"
            "export const answer: unknown = await host.call(\"echo\", { a: 1 });\n"
            "await host.close();\n"
        )
        compiler = sdk / "node_modules/typescript/bin/tsc"
        types = ["--typeRoots", str(sdk / "node_modules/@types"), "--types", "node"]
        options = ["--strict", "--target", "es2022", "--module", "nodenext", *types]
        self.run_in(self.project, "node", compiler, *options, "echo.ts", "echo.test.ts")
        self.run_in(self.project, "node", "echo.test.js")
        self.echoes("node", "echo.js")

    def test_go(self) -> None:
        module = self.run_in(SDK / "go", "go", "list", "-m").strip()
        version = "v0.1.0"
        # As a module proxy has it.
        proxy = self.folder / "proxy" / module / "@v"
        proxy.mkdir(parents=True)
        gomod = (SDK / "go/go.mod").read_text()
        self.assertNotIn("require", gomod, "it needs nothing but Go")
        (proxy / f"{version}.mod").write_text(gomod)
        (proxy / f"{version}.info").write_text(json.dumps({"Version": version}))
        (proxy / "list").write_text(f"{version}\n")
        files = (path for path in (SDK / "go").rglob("*") if path.is_file())
        names = [str(path.relative_to(SDK / "go")) for path in files]
        self.assertLessEqual(LICENCES | {"README.md", "go.mod"}, set(names))
        with zipfile.ZipFile(proxy / f"{version}.zip", "w") as archive:
            for name in names:
                archive.write(SDK / "go" / name, f"{module}@{version}/{name}")

        required = f"module echo\n\ngo 1.22\n\nrequire {module} {version}\n"
        (self.project / "go.mod").write_text(required)
        (self.project / "main.go").write_text((SDK / "go/examples/echo/main.go").read_text())
        self.run_in(
            self.project,
            *["go", "build", "-modcacherw", "-mod=mod", "-o", "echo", "."],
            GOPROXY=f"file://{self.folder / 'proxy'}",
            GOMODCACHE=str(self.folder / "modules"),
            GOSUMDB="off",
            GOFLAGS="",
        )
        self.echoes("./echo")

    def test_rust(self) -> None:
        crates = ["outboard-wire", "outboard-plugin"]
        chosen = [word for crate in crates for word in ("-p", crate)]
        packing = ["cargo", "package", "--quiet", "--no-verify", "--allow-dirty", "--offline"]
        self.run_in(ROOT, *packing, *chosen, CARGO_TARGET_DIR=str(self.folder))
        patches = ""
        for crate in crates:
            with tarfile.open(self.packed(self.folder / "package", f"{crate}-*.crate")) as archive:
                names = {name.partition("/")[2] for name in archive.getnames()}
                archive.extractall(self.folder, filter="data")
            self.assertLessEqual(LICENCES | {"README.md", "Cargo.toml", "src/lib.rs"}, names)
            unpacked = self.packed(self.folder, f"{crate}-*")
            manifest = (unpacked / "Cargo.toml").read_text()
            self.assertIsNone(re.search(r"^path = \"\.\.", manifest, re.MULTILINE), manifest)
            patches += f'{crate} = {{ path = "{unpacked}" }}\n'
        if not LONG:
            return
        (self.project / "src").mkdir()
        echo = (SDK / "rust/examples/echo.rs").read_text()
        (self.project / "src/main.rs").write_text(echo)
        (self.project / "Cargo.toml").write_text(
            '[package]\nname = "echo"\nversion = "0.1.0"\nedition = "2024"\n\n'
            f'[dependencies]\noutboard-plugin = "0.1"\n\n[patch.crates-io]\n{patches}'
        )
        self.run_in(
            self.project, "cargo", "build", "--quiet", CARGO_TARGET_DIR=str(self.folder / "target")
        )
        self.echoes(self.folder / "target/debug/echo")


class Licences(unittest.TestCase):
    def test_every_package_has_those_of_the_project(self) -> None:
        sdks = (SDK / name for name in ("rust", "python", "typescript", "go"))
        for package in [ROOT / "supervisor/wire", *sdks]:
            for name in LICENCES:
                self.assertEqual((package / name).read_text(), (ROOT / name).read_text(), package)


if __name__ == "__main__":
    unittest.main()
