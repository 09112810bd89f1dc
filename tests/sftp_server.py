"""An SFTP server on a real socket, over a real folder, that breaks off where a test says so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

USER = "pointclear"


@dataclass(slots=True)
class Behaviour:
    """What a server does beside its duty."""

    breaks_at: int = 0
    """The number of the operation at which the connection is lost; 0: at none."""
    after_doing_it: bool = False
    only: str = ""
    """Counts these operations and no others."""
    extensions: bool = True
    """Whether it has OpenSSH's."""
    stalls: bool = False
    """It takes what is written and never says so."""
    at_work: int = 0
    done: list[str] = field(default_factory=list)


class Server(asyncssh.SFTPServer):
    """Serves one folder, as its behaviour says."""

    def __init__(self, channel: Any, folder: Path, behaviour: Behaviour) -> None:
        super().__init__(channel, chroot=str(folder).encode())
        self._behaviour = behaviour

    async def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        return await self._do("open", lambda: super(Server, self).open(path, pflags, attrs))

    async def read(self, file_obj: object, offset: int, size: int) -> bytes:
        read: bytes = await self._do(
            "read", lambda: super(Server, self).read(file_obj, offset, size)
        )
        return read

    async def write(self, file_obj: object, offset: int, data: bytes) -> int:
        async def operation() -> Any:
            written = super(Server, self).write(file_obj, offset, data)
            while self._behaviour.stalls:
                await asyncio.sleep(0.02)
            return written

        done: int = await self._do("write", operation)
        return done

    async def remove(self, path: bytes) -> None:
        await self._do("remove", lambda: super(Server, self).remove(path))

    async def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        self._require_extensions()
        await self._do("rename", lambda: super(Server, self).posix_rename(oldpath, newpath))

    async def fsync(self, file_obj: object) -> None:
        self._require_extensions()
        await self._do("fsync", lambda: super(Server, self).fsync(file_obj))

    def _require_extensions(self) -> None:
        if not self._behaviour.extensions:
            raise asyncssh.SFTPOpUnsupported("not in version 3")

    async def _do(self, name: str, operation: Any) -> Any:
        behaviour = self._behaviour
        if behaviour.only in ("", name):
            behaviour.done.append(name)
        breaks = behaviour.only in ("", name) and len(behaviour.done) == behaviour.breaks_at
        if breaks and not behaviour.after_doing_it:
            self.connection.abort()
            raise asyncssh.SFTPFailure("gone")
        behaviour.at_work += 1
        try:
            result = operation()
            return await result if asyncio.iscoroutine(result) else result
        finally:
            behaviour.at_work -= 1
            if breaks:
                self.connection.abort()


@dataclass(frozen=True, slots=True)
class Listening:
    """A server that takes connections."""

    port: int
    known_hosts: str
    """Its host key as OpenSSH lists it."""


@asynccontextmanager
async def serving(
    folder: Path, client_key: asyncssh.SSHKey, behaviour: Behaviour | None = None
) -> AsyncIterator[Listening]:
    """Serve a folder to whoever has this key."""
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    authorised = asyncssh.import_authorized_keys(client_key.export_public_key().decode())
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[host_key],
        authorized_client_keys=authorised,
        password_auth=False,
        kbdint_auth=False,
        sftp_factory=lambda channel: Server(channel, folder, behaviour or Behaviour()),
    )
    async with server:
        port = server.get_port()
        public = host_key.export_public_key().decode()
        yield Listening(port, f"[127.0.0.1]:{port} {public}")
