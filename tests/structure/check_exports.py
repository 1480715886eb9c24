"""check_exports.py LIBRARY LIST: the library exports exactly the checked-in symbols, no more and no fewer."""

import re
import subprocess
import sys


def main():
    library, listing = sys.argv[1:]
    lines = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    # A version script also defines the names of versions, as absolute symbols; they are no part of the interface.
    exported = {line.split()[-1].split("@")[0] for line in lines.splitlines() if line.split()[-2] != "A"}
    with open(listing, encoding="utf-8") as file:
        wanted = {line.strip() for line in file if re.match(r"[A-Za-z_]", line)}
    for name in sorted(wanted - exported):
        print(f"listed, but not exported: {name}")
    for name in sorted(exported - wanted):
        print(f"exported, but not listed: {name}")
    print(f"{len(exported)} symbols exported, {len(wanted)} listed")
    return exported != wanted or not wanted


if __name__ == "__main__":
    sys.exit(main())
