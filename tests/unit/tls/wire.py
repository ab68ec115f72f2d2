"""A TLS client that the test carries by hand, so that bytes can be cut, held back, spoilt or not read."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Wire:
    """A client whose TLS bytes the test carries to the server itself, cut as it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext) -> None:
        self.reader, self.writer = reader, writer
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    async def shake_hands(self) -> None:
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.writer.write(self.outgoing.read())
                self.incoming.write(await self.reader.read(65_536))
        self.writer.write(self.outgoing.read())

    def sealed(self, *messages: bytes) -> bytes:
        """Return what is to be sent, one record per message."""
        for message in messages:
            self.tls.write(message)
        return self.outgoing.read()

    async def read(self, size: int) -> bytes:
        """Return `size` bytes of plaintext, or fewer when the stream ends."""
        plaintext = bytearray()
        while len(plaintext) < size:
            try:
                part = self.tls.read(65_536)
                if not part:
                    break
                plaintext += part
            except ssl.SSLWantReadError:
                sealed = await self.reader.read(65_536)
                if sealed:
                    self.incoming.write(sealed)
                else:
                    self.incoming.write_eof()
        return bytes(plaintext)

    async def leave(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


@asynccontextmanager
async def wire(port: int, context: ssl.SSLContext, *, handshake: bool = True) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    carried = Wire(reader, writer, context)
    try:
        if handshake:
            await carried.shake_hands()
        yield carried
    finally:
        await carried.leave()
