"""``python -m tests.soak [--minutes 20] [--clients 8]``: run it and print the counts."""

import argparse
import sys

from tests.soak.run import soak
from tests.starter import find_starter


def main() -> int:
    """0 when nothing was lost, crossed or stuck and the memory stayed flat within 3 %."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    starter = find_starter()
    assert starter, "run `make setup` first"
    outcome = soak(starter, args.minutes * 60, args.clients, args.seed)
    for name, count in sorted(outcome.acts.items()):
        print(f"{name:12} {count}")
    print(f"{'loads':12} {outcome.loads}")
    before, after = outcome.resident_before / 1e6, outcome.resident_after / 1e6
    print(f"resident     {before:.0f} MB -> {after:.0f} MB ({outcome.growth:+.1%})")
    print(f"left active  {outcome.left_active}")
    print(f"wrong        {len(outcome.wrongs)}", *outcome.wrongs[:20], sep="\n  ")
    return 1 if outcome.wrongs or outcome.left_active or outcome.growth > 0.03 else 0


if __name__ == "__main__":
    sys.exit(main())
