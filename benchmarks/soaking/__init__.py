"""What `benchmarks/soak.py` does to the project, one kind of trial a file.

A trial is a function of (ground, generator, number) that returns what it found, "right" or "refused", with a number
where it measured one, and raises Wrong.
Every other exception is a bug too. The generator comes from the soak's seed, the trial's name and its number, so that
one trial can be done again alone.
"""


class Wrong(Exception):
    """A trial found what must not be: another result, a traceback, a file that was lost."""
