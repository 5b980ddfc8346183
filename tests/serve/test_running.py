"""The socket of a service."""

import asyncio
import socket

from mirclr.serve.running import bind


def test_small_answers_are_sent_at_once() -> None:
    async def option() -> int:
        asked = asyncio.get_running_loop().create_future()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with bind("127.0.0.1", 0) as sock:
            address = sock.getsockname()
            async with await asyncio.start_server(answer, sock=sock):
                _, writer = await asyncio.open_connection(*address)
                writer.close()
                return await asked

    assert asyncio.run(option())
