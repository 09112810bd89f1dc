"""A brand's folder on an SFTP server.

Effects: connects for each visit, and lets go. Rules kept here:

- The server's host key is one that `known_hosts` lists for it, in OpenSSH's form; no other server
  is believed, and none at first sight.
- We are known by a key, from a file of mode 0600. There are no passwords, no agent, and nothing is
  read from the user's own configuration of ssh.
- Everything ends: an operation that is not done in time is a place that failed.
- A transfer that broke off left a `.part`, which the next visit writes anew from its beginning.

Source: SFTP version 3 (draft-ietf-secsh-filexfer-02), with OpenSSH's `fsync` and `posix-rename`
where the server has them.
"""

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import asyncssh

from adapters.file_program.places import FOLDERS, PART, Listed, PlaceFailed, check_same

CHUNK_BYTES = 32 * 1024
"""What every server takes in one message."""
ONE_AT_A_TIME = 0
"""No requests of one file side by side: some would be left behind when one is given up."""
KEEPALIVE_S = 15
"""A server that does not answer three of these is gone."""


@dataclass(frozen=True, slots=True)
class SftpPlace:
    """A folder on an SFTP server; implements `Place`."""

    host: str
    port: int
    user: str
    folder: PurePosixPath
    key_file: Path
    """Our private key, in OpenSSH's form or PKCS#8, without a passphrase."""
    known_hosts: Path
    timeout_s: float = 120
    """For connecting, and for each operation: among them the transfer of one file."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator["SftpFiles"]:
        """Connect, and make the folders that are missing. Raises PlaceFailed."""
        async with _failing(self.timeout_s):
            connection = await asyncssh.connect(
                self.host,
                self.port,
                username=self.user,
                client_keys=[self._key()],
                known_hosts=self._known_hosts(),
                preferred_auth="publickey",
                agent_path=None,
                config=None,
                compression_algs=None,
                connect_timeout=self.timeout_s,
                login_timeout=self.timeout_s,
                keepalive_interval=KEEPALIVE_S,
            )
        try:
            async with _failing(self.timeout_s):
                client = await connection.start_sftp_client()
                for folder in FOLDERS:
                    await client.makedirs(str(self.folder / folder), exist_ok=True)
            yield SftpFiles(client, self.folder, self.timeout_s)
        finally:
            # Nothing is under way any more: whatever was put was acknowledged.
            connection.abort()
            with suppress(OSError, asyncssh.Error):
                await connection.wait_closed()

    def _key(self) -> asyncssh.SSHKey:
        if self.key_file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise PlaceFailed(f"{self.key_file} may be read by others; run: chmod 600")
        return asyncssh.read_private_key(self.key_file)

    def _known_hosts(self) -> asyncssh.SSHKnownHosts:
        # Read here: a path that is not there would otherwise mean none but the system's.
        return asyncssh.import_known_hosts(self.known_hosts.read_text())


@dataclass(frozen=True, slots=True)
class SftpFiles:
    """A connection to a brand's folder; implements `Files`.

    A file that was opened is closed where all went well, and not otherwise: a server that does not
    answer would not answer to that either, and the connection is given up.
    """

    client: asyncssh.SFTPClient
    folder: PurePosixPath
    timeout_s: float

    async def put(self, name: str, content: bytes, *, replace: bool = False) -> None:
        """See `Files`."""
        if not replace and (there := await self.read(name, len(content) + 1)) is not None:
            check_same(name, there, content)
            return
        async with _failing(self.timeout_s):
            file = await self.client.open(self._path(name + PART), "wb", block_size=ONE_AT_A_TIME)
            for start in range(0, len(content), CHUNK_BYTES):
                await file.write(content[start : start + CHUNK_BYTES])
            # Where a server cannot, its word that it was written has to do.
            with suppress(asyncssh.SFTPOpUnsupported):
                await file.fsync()
            await file.close()
            # A crash before this leaves a part, which nobody reads and the next try writes over.
            await self._rename(name + PART, name)

    async def listed(self, folder: str) -> tuple[Listed, ...]:
        """See `Files`."""
        async with _failing(self.timeout_s):
            found = [
                Listed(str(each.filename), each.attrs.size or 0, each.attrs.mtime or 0)
                for each in await self.client.readdir(self._path(folder))
                if stat.S_ISREG(each.attrs.permissions or 0)
            ]
        return tuple(sorted(found, key=lambda each: each.name))

    async def read(self, name: str, bytes_max: int) -> bytes | None:
        """See `Files`."""
        async with _failing(self.timeout_s):
            try:
                file = await self.client.open(self._path(name), "rb", block_size=ONE_AT_A_TIME)
            except asyncssh.SFTPNoSuchFile:
                return None
            content = bytearray()
            while len(content) < bytes_max:
                chunk: bytes = await file.read(min(CHUNK_BYTES, bytes_max - len(content)))
                if not chunk:
                    break
                content += chunk
            await file.close()
            return bytes(content)

    async def move(self, name: str, target: str) -> None:
        """See `Files`."""
        async with _failing(self.timeout_s):
            await self._rename(name, target)

    async def remove(self, name: str) -> None:
        """See `Files`."""
        async with _failing(self.timeout_s):
            with suppress(asyncssh.SFTPNoSuchFile):
                await self.client.remove(self._path(name))

    async def _rename(self, name: str, target: str) -> None:
        try:
            await self.client.posix_rename(self._path(name), self._path(target))
        except asyncssh.SFTPOpUnsupported:
            # Without OpenSSH's extension nothing is renamed over a file. A crash in between leaves
            # the file under its old name, and the next visit does this again.
            with suppress(asyncssh.SFTPNoSuchFile):
                await self.client.remove(self._path(target))
            await self.client.rename(self._path(name), self._path(target))

    def _path(self, name: str) -> str:
        return str(self.folder / name)


@asynccontextmanager
async def _failing(timeout_s: float) -> AsyncIterator[None]:
    """Whatever goes wrong here, or takes too long, is a place that failed."""
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError:
        raise PlaceFailed(f"the server was not done within {timeout_s:g} s") from None
    except (OSError, ValueError, asyncssh.Error, asyncssh.KeyImportError) as wrong:
        raise PlaceFailed(f"{type(wrong).__name__}: {wrong}") from wrong
