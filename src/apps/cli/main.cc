// prunella: the operator's command line. Wiring only.
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "apps/cli/program.h"

extern char** environ;

namespace prunella::cli {
namespace {

class SystemClock : public Clock {
 public:
  Instant now() override { return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now()); }
  Monotonic steady() override { return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now()); }
};

class SystemRandom : public Random {
 public:
  void fill(std::span<std::byte> out) override {
    while (!out.empty()) {
      ssize_t got = ::getrandom(out.data(), out.size(), 0);
      if (got < 0 && errno == EINTR) continue;
      check(got > 0, "the kernel gives random bytes");
      out = out.subspan(static_cast<std::size_t>(got));
    }
  }
};

// Set by the handler, read by what watches.
volatile sig_atomic_t interrupts = 0;

void on_interrupt(int) {
  // The second one means it: a watch that doesn't end at once must not hold the person.
  interrupts = interrupts + 1;
  if (interrupts > 1) ::_exit(static_cast<int>(ExitCode::kInterrupted));
}

}  // namespace
}  // namespace prunella::cli

int main(int count, char** values) {
  using namespace prunella;
  using namespace prunella::cli;
  signal(SIGPIPE, SIG_IGN);

  SystemClock clock;
  SystemRandom random;
  Environment environment{std::cout, std::cerr, std::cin, false, false, 100, {}, clock, random, make_api_client, {}};
  environment.out_is_terminal = ::isatty(STDOUT_FILENO) != 0;
  environment.in_is_terminal = ::isatty(STDIN_FILENO) != 0;
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40) environment.columns = size.ws_col;
  for (char** entry = environ; *entry; ++entry) {
    std::string_view text = *entry;
    if (std::size_t equal = text.find('='); equal != std::string_view::npos) environment.variables.emplace(text.substr(0, equal), text.substr(equal + 1));
  }
  // Only a watch ends in its own way at Ctrl-C, and asks; everything else ends as programs do.
  bool handling = false;
  environment.interrupted = [&handling] {
    if (!handling) {
      struct sigaction action {};
      action.sa_handler = on_interrupt;
      sigaction(SIGINT, &action, nullptr);
      handling = true;
    }
    return interrupts > 0;
  };
  std::vector<std::string> words(values + 1, values + count);
  return static_cast<int>(run_program(environment, words));
}
