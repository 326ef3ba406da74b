"""acceptance_test.py BUILD: docs/acceptance.md tells the truth about what there is: each alternative of each `ctest -R` in it
names a test of the build folder, and each program and page that it names is there."""
import itertools
import pathlib
import re
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = None
PAGE = (ROOT / "docs/acceptance.md").read_text(encoding="utf-8")


def alternatives(regex):
    """'a.*(B|C)|d' gives a.*B, a.*C, d."""
    parts = re.split(r"\|(?![^(]*\))", regex)
    for part in parts:
        choices = [piece.strip("()").split("|") for piece in re.split(r"(\([^)]*\))", part)]
        yield from ("".join(words) for words in itertools.product(*choices))


class Acceptance(unittest.TestCase):
    def test_each_test_that_it_names_exists(self):
        listed = subprocess.run(["ctest", "-N"], cwd=BUILD, capture_output=True, text=True, check=True, timeout=240).stdout
        names = re.findall(r"Test +#\d+: (.+)", listed)
        self.assertGreater(len(names), 100)
        regexes = [regex.replace("\\|", "|") for regex in re.findall(r"`ctest -R '?([^'`]+)'?`", PAGE)]
        self.assertGreater(len(regexes), 30)
        for one in itertools.chain.from_iterable(map(alternatives, regexes)):
            self.assertTrue(any(re.search(one, name) for name in names), f"no test is called {one} (is everything built?)")

    def test_each_file_that_it_names_exists(self):
        files = re.findall(r"`((?:bench|scripts|tests|\.ci)/[\w/]+)(?: [A-Z]+)?`", PAGE)
        self.assertGreater(len(files), 8)
        links = [f"docs/{link}" for link in re.findall(r"\]\(([^)]+)\)", PAGE)]
        for file in files + links:
            self.assertTrue((ROOT / file).exists(), file)


if __name__ == "__main__":
    BUILD = sys.argv.pop(1)
    unittest.main()
