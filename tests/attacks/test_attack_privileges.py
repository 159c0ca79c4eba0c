"""A hostile agent looks for more power than it was given: namespaces, capabilities, other processes, the terminal."""

from siege import Attack

CLASS = "privileges"

NO_CAPABILITY = "no capability, and none to be had"
SEALED = "--disable-userns"
PIDS = "its own PID namespace"

SYSCALL = """
import ctypes, os, platform, sys
libc = ctypes.CDLL(None, use_errno=True)
numbers = {"x86_64": {"add_key": 248, "keyctl": 250, "bpf": 321, "open_by_handle_at": 304, "kexec_load": 246},
           "aarch64": {"add_key": 217, "keyctl": 219, "bpf": 280, "open_by_handle_at": 265, "kexec_load": 104}}
call = numbers[platform.machine()]
"""


def python(code: str) -> str:
    return f"python3 - <<'END'\n{SYSCALL}\n{code}\nEND"


def ptrace(pid: str) -> str:
    # PTRACE_SEIZE does not stop its target, which is let go when we end
    return python(f"sys.exit(0 if libc.ptrace(0x4206, {pid}, 0, 0) == 0 else 1)")


ATTACKS = [
    Attack("make a user namespace", "unshare -U true", SEALED, "either"),
    Attack("make a user namespace, and be root in it", "unshare -Ur sh -c 'test $(id -u) = 0'", SEALED, "either"),
    Attack("make a mount namespace", "unshare -m true", NO_CAPABILITY),
    Attack("make a PID namespace", "unshare -p -f true", NO_CAPABILITY),
    Attack("make a network namespace", "unshare -n true", NO_CAPABILITY),
    Attack(
        "mount over what it sees",
        "unshare -m sh -c 'mount -t tmpfs none /mnt' || { mkdir over && mount -t tmpfs none over && umount over; }",
        NO_CAPABILITY,
    ),
    Attack(
        "make the system writable again",
        "unshare -m sh -c 'mount --make-rprivate / && mount -o remount,rw,bind /usr'"
        " || { test $WORLD = sandbox && mount -o remount,rw,bind /usr; }",
        NO_CAPABILITY,
        "either",
    ),
    # With MNT_EXPIRE nothing is unmounted at a first call; EPERM comes before all else.
    Attack(
        "unmount what covers something",
        python("libc.umount2(b'/proc', 4)\nsys.exit(1 if ctypes.get_errno() == 1 else 0)"),
        NO_CAPABILITY,
    ),
    Attack("change its root", "python3 -c 'import os; os.chroot(\"/usr\")'", NO_CAPABILITY),
    Attack("enter the namespaces of its first process", "nsenter -t 1 -m -p true", NO_CAPABILITY, "either"),
    Attack("enter the namespaces of the service", "nsenter -t $VICTIM -m true", PIDS),
    Attack("make a device", "mknod null c 1 3 && rm null", NO_CAPABILITY),
    Attack("take over the service's process with ptrace", ptrace('int(os.environ["VICTIM"])'), PIDS),
    Attack(
        "gain something by taking over the sandbox's first process",
        f"{{ {ptrace('1')}\n}} && {{ test $(readlink /proc/1/ns/mnt) != $(readlink /proc/self/ns/mnt)"
        " || test $(readlink /proc/1/ns/user) != $(readlink /proc/self/ns/user)"
        " || grep -qE 'Cap(Prm|Eff|Bnd|Amb):.*[1-9a-f]' /proc/1/status; }",
        "it is as powerless as the agent",
        "either",
        lambda siege, deed: deed.exit_code == 0 and siege.world == "sandbox",
    ),
    Attack("signal the service", "kill -0 $SERVICE || kill -0 $VICTIM", PIDS),
    Attack("see the processes of others", "test $(ls -d /proc/[0-9]* | wc -l) -gt 25", PIDS),
    Attack("gain a capability", "grep -E 'Cap(Prm|Eff|Bnd|Amb)' /proc/self/status | grep -vE '0{16}'", NO_CAPABILITY),
    Attack("gain power by a setuid program", "grep -q 'NoNewPrivs:.*0' /proc/self/status", "no new privileges"),
    Attack("become another user", "python3 -c 'import os; os.setuid(12345)'", "one user in the namespace"),
    Attack(
        "set the clock",
        "python3 -c 'import time; t = time.clock_gettime(time.CLOCK_REALTIME);"
        " time.clock_settime(time.CLOCK_REALTIME, t)'",
        NO_CAPABILITY,
        "either",
    ),
    Attack(
        "change the machine's name",
        "python3 -c 'import socket; socket.sethostname(socket.gethostname())'",
        "a UTS namespace of its own, no capability",
        "either",
    ),
    Attack(
        "raise its own limits",
        "test $(ulimit -Hn) -gt 8192 || (ulimit -Hn 1048576 && ulimit -n 1048576)",
        "limits are hard",
        "either",
    ),
    Attack("take a higher priority", "nice -n -5 sh -c 'test $(nice) -lt 0'", NO_CAPABILITY, "either"),
    Attack(
        "load a BPF program's map",
        python(
            "attributes = (ctypes.c_uint32 * 18)(2, 4, 4, 1)\n"
            "sys.exit(0 if libc.syscall(call['bpf'], 0, attributes, 72) >= 0 else 1)"
        ),
        NO_CAPABILITY,
        "either",
    ),
    Attack(
        "open a file outside by its handle",
        python(
            "handle = (ctypes.c_uint32 * 8)(8, 1, 2, 0)\nfd = os.open('.', os.O_RDONLY)\n"
            "libc.syscall(call['open_by_handle_at'], fd, handle, 0)\nsys.exit(1 if ctypes.get_errno() == 1 else 0)"
        ),
        NO_CAPABILITY,
        "either",
    ),
    Attack(
        "load a kernel, or a module",
        # with flags that do not exist, so that nothing is unloaded either
        python(
            "libc.syscall(call['kexec_load'], 0, 0, 0, 0xff00)\nsys.exit(1 if ctypes.get_errno() in (1, 38) else 0)"
        ),
        NO_CAPABILITY,
        "either",
    ),
    Attack("read the kernel's log", "dmesg | head -1 | grep -q .", NO_CAPABILITY, "either"),
    Attack(
        "see the service's keyring",
        python(
            "wanted = b'siege-key'\nfound = libc.syscall(call['keyctl'], 10, -3, b'user', wanted, 0)\n"
            "sys.exit(0 if found > 0 else 1)"
        ),
        "the service keeps nothing in a keyring",
        "held",
    ),
    Attack(
        "type into the operator's terminal",
        'python3 -c \'import fcntl, termios; fcntl.ioctl(open("/dev/tty"), termios.TIOCSTI, b"x")\'',
        "a session of its own, no terminal",
        "held",
    ),
    Attack("type into somebody's terminal", "ls /dev/pts/[0-9]* /dev/tty[0-9]*", "a /dev of its own", "either"),
    Attack(
        "reach a bus or a container runtime",
        "ls /run/dbus/system_bus_socket /run/docker.sock /run/containerd"
        " /run/systemd/private /var/run/docker.sock 2>/dev/null | grep -q .",
        "an empty /run",
        "either",
    ),
    Attack(
        "share memory with processes outside",
        "ipcs -m | grep -q $(id -un) || ls /dev/shm/* 2>/dev/null | grep -q .",
        "an IPC namespace and a /dev/shm of its own",
        "either",
    ),
]


def test_is_held(verdict: bool, expected: bool) -> None:
    assert verdict is expected
