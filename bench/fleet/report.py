"""Turns, medians, tables."""
import statistics
import sys

missed = []


def say(words):
    print(f"bench/fleet: {words}", file=sys.stderr, flush=True)


def in_turns(rounds, turns, show="{:,.0f} jobs/s".format):
    """What each turn returned, round by round; every other round goes backwards, so that nobody is always the first."""
    values = {name: [] for name in turns}
    for number in range(rounds):
        for name in list(turns)[::-1 if number % 2 else 1]:
            values[name].append(turns[name]())
            say(f"round {number + 1} of {rounds}: {name}: {show(values[name][-1])}")
    return values


def ratio(ours, theirs):
    """The median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(ours, theirs))


def spread(values, form="{:,.0f}"):
    """The median, and what it is the median of."""
    middle = form.format(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({form.format(min(values))} to {form.format(max(values))})"


def table(head, *rows):
    for cells in (head, ["---"] * len(head), *rows):
        print("| " + " | ".join(map(str, cells)) + " |")
    print(flush=True)


def goal(words, met, result):
    """A row for the table of goals."""
    if not met:
        missed.append(words)
    return (words, result if met else f"**{result}, missed**")


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]
