"""How many examples a property test tries: few in the usual run, many in ``make test-long``.

The two Hypothesis profiles, and the number that a test's own setting becomes under the one that
is active. Knows no test.
"""

from hypothesis import HealthCheck, settings

QUICK, LONG = "quick", "long"
# Hypothesis's own default, to which the numbers that tests give are relative.
USUAL_EXAMPLES = 100
LEAST_EXAMPLES = 5
NUM_EXAMPLES = {QUICK: 25, LONG: 300}


def register_profiles() -> None:
    """Make the profiles known, and the quick one active; ``--hypothesis-profile`` chooses another.

    Both stay random on a continuous integration, where Hypothesis would try the same examples
    every time; a failure prints the blob that reproduces it. A busy machine is no failure.
    """
    for name, number in NUM_EXAMPLES.items():
        settings.register_profile(
            name,
            max_examples=number,
            deadline=None,
            derandomize=False,
            print_blob=True,
            suppress_health_check=[HealthCheck.too_slow],
        )
    settings.load_profile(QUICK)


def examples(usual: int) -> int:
    """Return `usual` scaled by the active profile, as Hypothesis's own 100 is.

    To be called where a test module is imported, which is after the choice of the profile.
    """
    active: int = settings().max_examples
    return max(LEAST_EXAMPLES, usual * active // USUAL_EXAMPLES)
