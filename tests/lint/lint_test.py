"""The lints must see what they are for: each is run on a small tree with one thing wrong."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"


def run(lint, files):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = pathlib.Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        done = subprocess.run([sys.executable, SCRIPTS / lint, folder], capture_output=True, text=True)
        return done.returncode, done.stdout


class Includes(unittest.TestCase):
    def refused(self, path, line, words):
        code, said = run("lint_includes", {path: f"#pragma once\n{line}\n"})
        self.assertEqual(code, 1, said)
        self.assertIn(f"{path}:2:", said)
        self.assertIn(words, said)

    def test_the_queue_may_not_see_media(self):
        self.refused("src/queue/a.h", '#include "media/cmaf.h"', "queue may not include")

    def test_siblings_may_not_see_each_other(self):
        self.refused("src/store_sqlite/a.cpp", '#include "executors/process.h"', "store_sqlite may include base, queue")

    def test_base_includes_nothing_else(self):
        self.refused("src/base/a.h", '#include "queue/job.h"', "nothing else")

    def test_ffmpeg_is_seen_by_av_and_media_alone(self):
        self.refused("src/steps/a.cpp", "#include <libavcodec/avcodec.h>", "av and media alone")
        self.refused("src/queue/a_test.cpp", "#include <sqlite3.h>", "store_sqlite alone")

    def test_programs_see_every_module_and_no_library_of_a_module(self):
        self.refused("apps/spool/a.cpp", "#include <libavcodec/avcodec.h>", "av and media alone")
        self.refused("apps/spool/a.cpp", "#include <sqlite3.h>", "store_sqlite alone")
        self.refused("src/steps/a.h", '#include "apps/spool/a.h"', "steps may not include")

    def test_relative_includes_are_refused(self):
        self.refused("src/queue/a.h", '#include "../base/id.h"', "not relatively")

    def test_an_unknown_module_is_refused(self):
        code, said = run("lint_includes", {"src/misc/a.h": "\n"})
        self.assertEqual(code, 1)
        self.assertIn("src/misc", said)

    def test_what_is_allowed_passes(self):
        code, said = run("lint_includes", {
            "apps/spool/a.cpp": '#include "a.h"\n#include "store_sqlite/sqlite_store.h"\n#include "media/cmaf.h"\n',
            "src/steps/a.cpp": '#include "media/cmaf.h"\n#include "queue/job.h"\n#include "base/id.h"\n',
            "src/media/a.h": '#include "av/handles.h"\nextern "C" {\n#include <libavutil/frame.h>\n}\n',
        })
        self.assertEqual(code, 0, said)


class Style(unittest.TestCase):
    def refused(self, path, text, words):
        code, said = run("lint_style", {path: text})
        self.assertEqual(code, 1, said)
        self.assertIn(words, said)

    def test_long_files_and_functions(self):
        self.refused("src/base/a.cpp", "int x;\n" * 601, "601 lines")
        body = "  step();\n" * 80
        self.refused("src/base/a.cpp", f"namespace s {{\nint run(int a) {{\n{body}}}\n}}\n", "82 lines in one function")
        self.refused("src/base/a.cpp", f"A::A(int a) : a_(a) {{\n{body}}}\n", "82 lines in one function")
        self.refused("src/base/a.h", f"class A {{\n  void f() const {{\n{body}  }}\n}};\n", "82 lines in one function")

    def test_names_that_hide(self):
        self.refused("src/base/string_util.h", "\n", "name the thing")
        self.refused("src/base/a.h", "class JobManager {\n};\n", "JobManager hides")

    def test_paths_of_a_machine(self):
        self.refused("tests/a/run.py", 'film = "/home/' + 'ann/film.mp4"\n', "a path of one machine")

    def test_sleeping_tests(self):
        self.refused("src/queue/a_test.cpp", "void f() { std::this_thread::sleep_for" + "(1s); }\n", "a test sleeps")

    def test_what_is_fine_passes(self):
        body = "  step();\n" * 70
        text = f'namespace s {{\nint run() {{\n{body}  auto t = "}}{{{{"; // }}}}}}\n}}\nint again() {{\n{body}}}\n}}\n'
        code, said = run("lint_style", {"src/base/a.cpp": text, "docs/a.md": "a b\n" * 700})
        self.assertEqual(code, 0, said)


if __name__ == "__main__":
    unittest.main()
