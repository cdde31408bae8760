"""The program that a go command starts: hands its streams to the server, or passes bytes on where streams cannot be handed.

It is run by path, as often as go is, and imports as little as it can: `python -I -S -E client.py fds SOCKET NUMBER` or
`... relay FILE NUMBER`, FILE holding a port of this machine and the word to say there.
"""

import sys


def hand_over(address: str, number: str) -> None:
    """Gives standard input and output to the server, and goes when it has them."""
    if sys.platform != "win32":
        # The modules below `socket` alone: it loads five others, which would be half of the time that this takes.
        import _socket
        from array import array

        connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        connection.connect(address)
        rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array("i", (0, 1)))
        connection.sendmsg((number.encode(),), (rights,))
        connection.recv(1)


def relay(address: str, number: str) -> None:
    """Passes on what comes and goes until one side ends."""
    import os
    import socket
    import threading

    with open(address, encoding="ascii") as file:
        port, word = file.read().split()
    connection = socket.create_connection(("127.0.0.1", int(port)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(f"{word} {number}\n".encode())

    def forth() -> None:
        try:
            while data := os.read(0, 1 << 18):
                connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            os._exit(1)

    threading.Thread(target=forth, daemon=True).start()
    while data := connection.recv(1 << 18):
        view = memoryview(data)
        while view:
            view = view[os.write(1, view) :]
    # Go waits for the end of its program's output, not for its thread that reads.
    os._exit(0)


if __name__ == "__main__":
    try:
        (hand_over if sys.argv[1] == "fds" else relay)(*sys.argv[2:])
    except OSError as error:
        sys.exit(f"goctl's server of compiled packages is gone: {error}")
