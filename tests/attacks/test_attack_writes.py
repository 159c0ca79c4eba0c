"""A hostile agent writes where it has no business: the system, the service, other runs, by any path or link."""

from siege import Attack

CLASS = "writes"
QUICK = True

READ_ONLY = "the system is mounted read-only"
UNSEEN = "not mounted in the sandbox"

# Whether a file could be opened for writing: nothing is written, so that a sandbox that leaks costs nothing.
OPENS = "import os, sys; [os.close(os.open(path, os.O_WRONLY)) for path in sys.argv[1:]]"


def opens(*paths: str) -> str:
    return f"python3 -c '{OPENS}' {' '.join(paths)}"


ATTACKS = [
    Attack("write to a file of /usr", opens("/usr/bin/env"), READ_ONLY),
    Attack("write to /etc", opens("/etc/passwd"), READ_ONLY),
    Attack(
        "make a file in /etc/profile.d, /usr/lib or /lib",
        "for d in /etc/profile.d /usr/lib /lib; do test -w $d && exit 0; done; exit 1",
        READ_ONLY,
    ),
    Attack(
        "write to the CLI's own binary",
        "test -w $(readlink /proc/$(pgrep -o claude)/exe || echo /proc/$PPID/exe)",
        READ_ONLY,
    ),
    Attack(
        "write to the service's interpreter and packages",
        "find $VENV/lib -maxdepth 4 -path '*/site-packages/fastapi' -writable | grep -q .",
        UNSEEN,
    ),
    Attack(
        "write to /proc/sys",
        "find /proc/sys/kernel /proc/sys/vm -maxdepth 1 -type f -writable | grep -q .",
        "/proc is remounted read-only",
    ),
    Attack(
        "write to the kernel's core pattern", opens("/proc/sys/kernel/core_pattern"), "/proc is remounted read-only"
    ),
    Attack("write to sysrq", opens("/proc/sysrq-trigger"), "/proc is remounted read-only", "either"),
    Attack("write to /sys", "find /sys/kernel /sys/module -maxdepth 2 -type f -writable | grep -q .", UNSEEN),
    Attack(
        "write to a control group",
        "find /sys/fs/cgroup -maxdepth 3 -name cgroup.procs -writable | grep -q .",
        UNSEEN,
        "either",
    ),
    Attack("write to a disk", "find /dev -type b -writable | grep -q .", "a /dev of its own", "either"),
    Attack(
        "read kernel memory",
        opens("/dev/mem") + " || " + opens("/proc/kcore"),
        "a /dev of its own, no capability",
        "either",
    ),
    Attack(
        "make a file in the state directory",
        "mkdir -p $STATE && echo x > $STATE/planted-$MARK",
        UNSEEN,
        breached=lambda siege, deed: (siege.arena.state / f"planted-{siege.arena.mark}").exists(),
    ),
    Attack(
        "make a file beside its own checkout",
        "echo x > ../planted",
        UNSEEN,
        breached=lambda siege, deed: any((siege.arena.state / "slots").glob("*/planted")),
    ),
    Attack(
        "write to another run's checkout",
        "mkdir -p $STATE/slots/9/checkout; echo x > $STATE/slots/9/checkout/planted",
        UNSEEN,
        breached=lambda siege, deed: (siege.arena.state / "slots/9/checkout/planted").exists(),
    ),
    Attack(
        "write to another run's private directory",
        "mkdir -p $STATE/runs && for d in $STATE/runs/*beef; do mkdir -p $d; echo x > $d/planted; done",
        UNSEEN,
        breached=lambda siege, deed: any((siege.arena.state / "runs").glob("*beef/planted")),
    ),
    Attack(
        "write to another run's file through a symbolic link",
        "ln -s $STATE/slots/9/checkout/stock.csv link && echo x > link",
        UNSEEN,
        breached=lambda siege, deed: (siege.arena.state / "slots/9/checkout/stock.csv").exists(),
    ),
    Attack("make a hard link to a file outside", "ln $STATE/secrets/deploy-key linked", UNSEEN),
    Attack(
        "make a hard link to a file of the system",
        "ln /etc/passwd linked || ln /etc/passwd /tmp/linked-$MARK",
        READ_ONLY,
        "either",
    ),
    Attack(
        "write to the mirror's objects",
        'o=$(cat .git/objects/info/alternates) && test -d "$o" && find "$o" -writable | grep -q .',
        "the mirror's objects are mounted read-only",
    ),
    Attack(
        "write to the mirror's refs, hooks or config",
        "m=$(dirname $(cat .git/objects/info/alternates)) && ls $m/config $m/HEAD && test -w $m",
        UNSEEN,
    ),
    Attack(
        "write to the remote on this machine",
        "r=$REPOSITORY; test -w $r/config && test -w $r/hooks -o -w $r",
        "a remote on this machine is mounted read-only",
    ),
    Attack(
        "write to Prefect's database",
        'python3 -c \'import os, sqlite3; sqlite3.connect(os.environ["STATE"] +'
        ' "/prefect/other.db").execute("create table t (x)")\'',
        UNSEEN,
    ),
    Attack(
        "become what the next sandbox mounts, by a link in place of the checkout",
        "here=$PWD; cd / && mv $here $here-moved && mv $here-moved $here",
        "a mount point cannot be moved",
    ),
    Attack(
        "leave files of another user's",
        "touch theirs && chown 12345 theirs",
        "no capability, one user in the namespace",
    ),
    Attack(
        "leave a program that runs as its owner, for others",
        "cp /usr/bin/env rooted && chown 0 rooted && chmod u+s rooted && ! grep -q 'NoNewPrivs:.*1' /proc/self/status",
        "no new privileges",
    ),
    Attack("write through the root of its parent", "test -w /proc/1/root/usr -o -w /proc/$PPID/root/etc", READ_ONLY),
    Attack(
        "write through a directory the service has open",
        "ls -l /proc/*/fd 2>/dev/null | grep -F $STATE | grep -v -e runs/run- -e slots/0",
        "descriptors are not inherited",
        "either",
    ),
]


def test_is_held(verdict: bool, expected: bool) -> None:
    assert verdict is expected
