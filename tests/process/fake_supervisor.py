"""A supervisor without a mind: it relays packets between the guardian and a test."""

import os
import select
import socket
import sys

GUARDIAN_FD, STATUS_FD = 3, 5


def relay(source: socket.socket, target: socket.socket) -> bool:
    """Pass one packet with its descriptors on; False at the end of the stream."""
    packet, fds, _flags, _address = socket.recv_fds(source, 65, 1)
    if packet:
        socket.send_fds(target, [packet], fds)
    for fd in fds:
        os.close(fd)
    return bool(packet)


def main() -> None:
    guardian = socket.socket(fileno=GUARDIAN_FD)
    tester = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    tester.connect(sys.argv[1])
    tester.send(str(os.getpid()).encode())
    os.write(STATUS_FD, b"ready\n")
    poller = select.poll()
    pairs = {
        guardian.fileno(): (guardian, tester),
        tester.fileno(): (tester, guardian),
    }
    for number in pairs:
        poller.register(number, select.POLLIN)
    while all(relay(*pairs[number]) for number, _events in poller.poll()):
        pass


main()
