#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/text.h"
#include "world.h"

namespace prunella::sim {
namespace {

constexpr const char* kUsage =
    "prunella-sim run --seeds N [--first S] [--hosts 50] [--without CLASS]... [--json]\n"
    "    Simulates fleets of the real control plane, agents and executors in virtual time, one a seed, under the faults that each\n"
    "    seed draws. Ends with 1 at the first seed that breaks an invariant.\n"
    "prunella-sim replay SEED [--hosts 50] [--without CLASS]...\n"
    "    The same once more, with every event on the standard output.\n"
    "prunella-sim calm [--hosts 50]\n"
    "    A fleet without any fault: every host is patched.\n";

/// Whoever waits for thousands of seeds hears of it after each so many.
constexpr std::uint64_t kToldEvery = 100;

struct Arguments {
  std::string verb;
  std::uint64_t seeds = 1;
  std::uint64_t first = 1;
  bool json = false;
  Options options;
};

bool read(int argc, char** argv, Arguments& arguments) {
  if (argc < 2) return false;
  arguments.verb = argv[1];
  for (int i = 2; i < argc; ++i) {
    std::string_view word = argv[i];
    auto number = [&](std::uint64_t& into) {
      auto value = i + 1 < argc ? parse_uint(argv[++i]) : Result<std::uint64_t>(invalid_input("no number"));
      if (value) into = *value;
      return value.has_value();
    };
    std::uint64_t value = 0;
    if (word == "--seeds" && number(value)) arguments.seeds = value;
    else if (word == "--first" && number(value)) arguments.first = value;
    else if (word == "--hosts" && number(value) && value > 0) arguments.options.hosts = value;
    else if (word == "--jobs" && number(value) && value == 1) continue;
    else if (word == "--without" && i + 1 < argc) arguments.options.without.emplace_back(argv[++i]);
    else if (word == "--json") arguments.json = true;
    else if (arguments.verb == "replay" && parse_uint(word)) arguments.first = *parse_uint(word);
    else return false;
  }
  return arguments.verb == "run" || arguments.verb == "replay" || arguments.verb == "calm";
}

void tell(const Outcome& outcome, const Arguments& arguments, std::uint64_t seed) {
  std::string again = "prunella-sim replay " + std::to_string(seed) + " --hosts " + std::to_string(arguments.options.hosts);
  for (const std::string& name : arguments.options.without) again += " --without " + name;
  std::fprintf(stderr, "seed %llu broke '%s' after %s and %llu events: %s\nfaults: %s\nreplay: %s\n", static_cast<unsigned long long>(seed), outcome.violation->invariant.c_str(),
               to_text(std::chrono::duration_cast<Duration>(outcome.at.time_since_epoch())).c_str(), static_cast<unsigned long long>(outcome.figures.events), outcome.violation->text.c_str(),
               outcome.faults.c_str(), again.c_str());
}

int run(Arguments& arguments) {
  auto begun = std::chrono::steady_clock::now();
  Figures total;
  Sha256 all;
  std::uint64_t done = 0;
  arguments.options.print = arguments.verb == "replay";
  arguments.options.calm = arguments.verb == "calm";
  if (arguments.verb != "run") arguments.seeds = 1;
  std::optional<Outcome> broken;
  std::uint64_t seed = arguments.first;
  for (; seed < arguments.first + arguments.seeds; ++seed) {
    arguments.options.seed = seed;
    Outcome outcome = simulate(arguments.options);
    total.add(outcome.figures);
    all.add(outcome.log.bytes);
    ++done;
    if (done % kToldEvery == 0 && done < arguments.seeds) std::fprintf(stderr, "%llu seeds\n", static_cast<unsigned long long>(done));
    if (!outcome.violation) continue;
    broken = std::move(outcome);
    tell(*broken, arguments, seed);
    break;
  }
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  std::string digest = all.finish().hex();
  Json line(Json::Object{});
  auto put = [&](const char* name, std::uint64_t value) { line[name] = Json(value); };
  put("seeds", done), put("first", arguments.first), put("hosts", arguments.options.hosts), put("elapsed_ms", static_cast<std::uint64_t>(seconds * 1000));
  put("runs", total.runs), put("verified", total.verified), put("reverted", total.reverted), put("escalated", total.escalated), put("not_begun", total.not_begun);
  put("standing", total.standing), put("orders", total.orders), put("effects", total.effects), put("rollouts", total.rollouts), put("forged", total.forged);
  put("executor_deaths", total.executor_deaths), put("control_deaths", total.control_deaths), put("reports", total.reports), put("events", total.events);
  put("healthy", total.healthy), put("longest_rest_minutes", static_cast<std::uint64_t>(total.longest_rest.count() / 60'000));
  put("virtual_minutes", static_cast<std::uint64_t>(total.virtual_time.count() / 60'000));
  line["log_sha256"] = Json(digest);
  line["violation"] = broken ? Json(broken->violation->invariant) : Json(nullptr);
  if (broken) put("seed", seed);
  if (arguments.json)
    std::printf("%s\n", to_canonical(line).c_str());
  else
    std::printf("%llu seeds of %zu hosts in %.1f s (%.2f a second): %llu rollouts, %llu runs (%llu verified, %llu reverted, %llu escalated), %llu deaths of executors, %llu of the control "
                "plane, %llu attacks, %llu virtual hours; events' SHA-256 %s\n",
                static_cast<unsigned long long>(done), arguments.options.hosts, seconds, static_cast<double>(done) / seconds, static_cast<unsigned long long>(total.rollouts),
                static_cast<unsigned long long>(total.runs), static_cast<unsigned long long>(total.verified), static_cast<unsigned long long>(total.reverted),
                static_cast<unsigned long long>(total.escalated), static_cast<unsigned long long>(total.executor_deaths), static_cast<unsigned long long>(total.control_deaths),
                static_cast<unsigned long long>(total.forged), static_cast<unsigned long long>(total.virtual_time.count() / 3'600'000), digest.c_str());
  return broken ? 1 : 0;
}

}  // namespace
}  // namespace prunella::sim

int main(int argc, char** argv) {
  prunella::sim::Arguments arguments;
  if (!prunella::sim::read(argc, argv, arguments)) {
    std::fputs(prunella::sim::kUsage, stderr);
    return 2;
  }
  return prunella::sim::run(arguments);
}
