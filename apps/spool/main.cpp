// spool: the one program. Parts are wired here and in a file per subcommand, nowhere else.
#include <CLI/CLI.hpp>

int main(int argc, char** argv) {
  CLI::App app{"Turns video into finished outputs, and never loses a job on the way"};
  app.set_version_flag("--version", SPOOL_VERSION);
  app.require_subcommand(1);
  CLI11_PARSE(app, argc, argv);
}
